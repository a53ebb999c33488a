"""What is taken out of replies and lines: a key, and not the word that a server without keys is given."""

import html
import json
import re
from collections.abc import Callable
from urllib.parse import quote

import pytest

from tallrec.api.keys import body_without, without


def test_a_key_that_a_server_repeats_is_in_no_body_and_no_line() -> None:
    assert body_without(b'{"you": "sk-planted-7f3a9c"}', "sk-planted-7f3a9c") == b'{"you": "***"}'
    assert without("your key sk-planted-7f3a9c", "sk-planted-7f3a9c") == "your key ***"


KEY = 'sk-"pl/an+ted=\\&<x>12'
FORMS: dict[str, Callable[[str], str]] = {
    "JSON": lambda key: json.dumps(key)[1:-1],
    "JSON in JSON": lambda key: json.dumps(json.dumps(key))[3:-3],
    "JSON with slashes escaped": lambda key: json.dumps(key)[1:-1].replace("/", "\\/"),
    "JSON with signs escaped": lambda key: json.dumps(key)[1:-1].replace("+", "\\u002B").replace("&", "\\u0026"),
    "JSON in numbers": lambda key: "".join(f"\\u{ord(letter):04x}" for letter in key),
    "a page": html.escape,
    "an address": lambda key: quote(key, safe=""),
    "an address in small letters": lambda key: re.sub("%..", lambda found: found[0].lower(), quote(key, safe="")),
    "an address in an address": lambda key: quote(quote(key)),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_key_is_taken_out_in_whatever_form_it_is_written(form: str) -> None:
    written = FORMS[form](KEY)
    assert without(f"your key {written}.", KEY) == "your key ***."
    assert body_without(f'\xe9\\n"{written}"'.encode("latin-1"), KEY) == b'\xe9\\n"***"'
    assert without(f"your key {written[:-3]}", KEY) == f"your key {written[:-3]}"


@pytest.mark.parametrize("word", ["Yes", "token", "a", "none"])
def test_a_word_in_the_place_of_a_key_changes_no_reply(word: str) -> None:
    body = b'{"token": "Yes", "logprob": -0.5}'
    assert body_without(body, word) == body
    assert without("a token", word) == "a token"
