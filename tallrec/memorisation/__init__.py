"""What a model has kept of a text: how it goes on with it."""
