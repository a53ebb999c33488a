"""Prompts -> logits where the answer begins -> scores."""
