"""Base models and adapters: loading, storing, checking, sharding."""
