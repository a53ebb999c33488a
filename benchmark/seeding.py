"""Randomness by name: a seed is a hash of what it is for, so no draw depends on an earlier draw."""

import hashlib


def derive_seed(*parts: str | int) -> int:
    """A seed in [0, 2**32) that depends on `parts` and on nothing else.

    Each part enters with its type and length, so that ("a", "bc") and ("ab", "c"), or 1 and "1", differ.
    """
    digest = hashlib.sha256()
    for part in parts:
        encoded = str(part).encode()
        digest.update(f"{type(part).__name__}:{len(encoded)}:".encode() + encoded)
    return int.from_bytes(digest.digest()[:4], "big")
