"""What is taken out of replies and lines: a key, and not the word that a server without keys is given."""

import pytest

from tallrec.api.keys import body_without, without


def test_a_key_that_a_server_repeats_is_in_no_body_and_no_line() -> None:
    assert body_without(b'{"you": "sk-planted-7f3a9c"}', "sk-planted-7f3a9c") == b'{"you": "***"}'
    assert without("your key sk-planted-7f3a9c", "sk-planted-7f3a9c") == "your key ***"


@pytest.mark.parametrize("word", ["Yes", "token", "a", "none"])
def test_a_word_in_the_place_of_a_key_changes_no_reply(word: str) -> None:
    body = b'{"token": "Yes", "logprob": -0.5}'
    assert body_without(body, word) == body
    assert without("a token", word) == "a token"
