"""Files of other formats -> safetensors, once: a GGUF file becomes a base, a pickled adapter a PEFT folder."""
