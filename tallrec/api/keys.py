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


def without(text: object, secret: str) -> str:
    """One line of at most `MOST_LETTERS`, without the key, which some servers repeat when they refuse it."""
    line = " ".join(str(text).split())
    for form in (secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], quote(secret), quote(secret, safe="")):
        line = line if secret == NO_KEY else line.replace(form, "***")
    return line[:MOST_LETTERS]
