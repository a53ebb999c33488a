"""Numbers in README.md and docs/: each is what a file of this repository says."""
