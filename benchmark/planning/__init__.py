"""Before a run: what it costs, what this machine has, whether the files that it reads are still the same."""
