"""Sequences of tokens, compared; of characters too."""

from collections.abc import Sequence


def n_shared(first: Sequence[object], second: Sequence[object]) -> int:
    """How many tokens, or characters, two sequences begin with alike."""
    shortest = min(len(first), len(second))
    return next((place for place in range(shortest) if first[place] != second[place]), shortest)
