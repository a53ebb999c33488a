"""What a model is asked, and which tokens are its answer."""
