"""The key of a server: from the environment to the client alone, and in no line that anybody reads."""

import json
import logging
import os
from urllib.parse import quote

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
    return body.replace(secret.encode(), b"***") if _is_secret(secret) else body


def _is_secret(key: str) -> bool:
    return key != NO_KEY and len(key) >= FEWEST_LETTERS


def without(text: object, secret: str) -> str:
    """One line of at most `MOST_LETTERS`, without the key, which some servers repeat when they refuse it."""
    line = " ".join(str(text).split())
    for form in (secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], quote(secret), quote(secret, safe="")):
        line = line.replace(form, "***") if _is_secret(secret) else line
    return line[:MOST_LETTERS]
