"""The key of a server: from the environment to the client alone, and in no line that anybody reads."""

import logging
import os
import re
from functools import cache
from html import escape

from benchmark.errors import ConfigError

CHATTY = ("httpx", "httpx2", "openai")
"""Loggers that write a line a request, and at their lowest level the request itself."""
NO_KEY = "none"
"""Sent to a server that needs no key: the client insists on one."""
FEWEST_LETTERS = 8
"""Of a key. What is shorter is the word that servers without keys are given: to take "Yes" out of replies would
change them."""
MOST_LETTERS = 300
"""Of a line about what a server says."""


def secret_of(variable: str | None) -> str:
    """The key.

    Raises:
        ConfigError: it is not in the environment, or cannot stand in a header; the line does not repeat it.
    """
    if variable is None:
        return NO_KEY
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ConfigError(f"environment variable {variable}: not set, expected the key of the server")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ConfigError(
            f"environment variable {variable}: holds white space, a line end, or a letter that no key has (curly "
            "quotes, say); expected the key of the server alone"
        )
    return key


def silence() -> None:
    """Keep the loggers of the client from writing requests."""
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


def body_without(body: bytes, secret: str) -> bytes:
    """A body without the key, which some servers repeat."""
    return _written(secret).sub("***", body.decode(errors="surrogateescape")).encode(errors="surrogateescape")


@cache
def _written(key: str) -> re.Pattern[str]:
    """The key as JSON, a page or an address may write it, each letter of it escaped or not; never what is no key."""
    if key == NO_KEY or len(key) < FEWEST_LETTERS:
        return re.compile("(?!)")
    return re.compile("".join(map(_any_form, key)))


def _any_form(letter: str) -> str:
    code = f"{ord(letter):02x}"
    named = re.escape(escape(letter).strip("&;"))
    return rf"(?:\\*{re.escape(letter)}|(?i:\\+(?:u00|x){code}|%(?:25)*{code}|&(?:#{ord(letter)}|#x{code}|{named});))"


def without(text: object, secret: str) -> str:
    """One line of at most `MOST_LETTERS`, without the key, which some servers repeat when they refuse it."""
    return _written(secret).sub("***", " ".join(str(text).split()))[:MOST_LETTERS]
