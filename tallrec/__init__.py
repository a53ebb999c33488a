"""The paper's method: prompts, base model, instruction tuning, rec-tuning, scoring, in-context learning."""
