"""Conventional recommenders: one file a model, one training loop (`baselines.training`)."""
