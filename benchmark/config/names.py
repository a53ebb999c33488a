"""A name that is not known, said with the nearest of those that are."""

import difflib
from collections.abc import Collection

from benchmark.errors import ConfigError


def refuse_unknown(key: str, name: str, known: Collection[str]) -> None:
    """Refuse a name that is asked for on a command line and is none of those that there are.

    Args:
        key: of `params.yaml`, or what of the command line is wrong: begins the error.
        name: what is asked for.
        known: what there is.

    Raises:
        ConfigError: it is none of `known`.
    """
    if name not in known:
        raise ConfigError(f"{key}: {unknown(name, known)}")


def unknown(name: object, known: Collection[str]) -> str:
    """That `name` is none of `known`, with the nearest of them."""
    return f"{name!r} is not one of {', '.join(known)}{guess(name, known)}"


def guess(word: object, known: Collection[str]) -> str:
    """`, did you mean ...?` if one of `known` is near, else nothing."""
    close = difflib.get_close_matches(str(word), list(known), n=1)
    return f", did you mean {close[0]!r}?" if close else ""
