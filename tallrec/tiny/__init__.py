"""The language model that the pipeline makes itself."""
