"""Before a run: what it costs, and what it will be able to see."""
