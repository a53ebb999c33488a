"""The embedded world: generated users, items, ratings and texts whose truth is known."""
