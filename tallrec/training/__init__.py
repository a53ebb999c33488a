"""Instruction tuning and rec-tuning: rows, loss, trainer, checkpoints."""
