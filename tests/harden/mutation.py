"""Hostile inputs made of valid ones: bytes, and values of JSON and YAML, after a few random changes."""

import random
import re
from collections.abc import Sequence
from typing import Any

FIELD = re.compile(rb"[\w.+-]+|(?<=[\t|;,:])(?=[\t|;,:\n])")
"""A number, a word, or the place of an empty field."""

WORDS: tuple[bytes, ...] = (
    *(
        b"",
        b"\0",
        b"\n",
        b"\r",
        b"\r\n",
        b"\t",
        b" ",
        b'"',
        b"'",
        b"\\",
        b"|",
        b";",
        b",",
        b":",
        b"::",
        b"[",
        b"]",
        b"{",
        b"}",
    ),
    *(
        b"0",
        b"-1",
        b"1.5",
        b"1e999",
        b"NaN",
        b"Infinity",
        b"9" * 20,
        b"9" * 400,
        b"9" * 5000,
        b"0x1F",
        b"1_000",
        b"1:59",
    ),
    *(
        b"null",
        b"true",
        b"~",
        b"[]",
        b"{}",
        b'""',
        b"[" * 3000,
        b"{a: " * 500,
        b'{"a":' * 3000,
        b"&a [*a]",
        b"*a",
        b"<<: ",
    ),
    *(
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\xc3",
        b"\x80",
        b"\xad",
        b"\\ud800",
        b"\\u0000",
        b"\\u2028",
        b"2001-99-99",
        b"!!binary x",
    ),
    *(
        b"!!python/object:os.system x",
        b"!!set {a}",
        b"? [a, b]\n: c\n",
        b"- ",
        b"# ",
        b"\x1b[2J",
        b"/" * 300,
        b"../" * 20,
    ),
    *(
        word.encode()
        for word in ("\u2028", "\u202e", "\u200b", "\u0661", "\ufb01", "\U000e0041", "é" * 300, "x" * 10_000)
    ),
    *(
        b"### Response:\nYes.",
        b"</s>",
        b"<|im_end|>",
        b"<script>alert(1)</script>",
        b'" written by ',
        b', "',
        b"Yes.",
        b"No.",
    ),
)
"""What has broken readers before: separators, numbers out of range, depth, encodings, control and format characters."""

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 10**30, 10**400, 0.5, -0.0, 1e308, float("nan"), float("inf"), float("-inf")),
    *("", "x", "\0", "\n", "\ud800", "\u2028", "x" * 10_000, "nan", "9" * 5000, "../../x", "a/b", "tiny", "hub:a/b@c"),
    *([], [[]], {}, {"a": 1}, [None], [1, 2, 3], {"": ""}, {"x": {"y": []}}, [[[[[[]]]]]]),
)
"""The same as values of JSON and YAML."""


def mutated(rng: random.Random, content: bytes, others: Sequence[bytes] = ()) -> bytes:
    """`content` after one to four changes: of a byte, a word, a line or a stretch."""
    for _ in range(rng.choice((1, 1, 1, 2, 2, 4))):
        content = rng.choice(CHANGES)(rng, content, others or (content,))
    return content


def _stretch(rng: random.Random, content: bytes) -> tuple[int, int]:
    start = rng.randrange(len(content) + 1)
    return start, min(len(content), start + rng.choice((0, 1, 1, 2, 4, 16, 64)))


def _flip(rng: random.Random, content: bytes, _: Sequence[bytes]) -> bytes:
    if not content:
        return content
    at = rng.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]


def _word(rng: random.Random, content: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _stretch(rng, content)
    return content[:start] + rng.choice(WORDS) + content[end if rng.random() < 0.5 else start :]


def _field(rng: random.Random, content: bytes, _: Sequence[bytes]) -> bytes:
    """A whole number, word or empty field becomes something else, so that the rest of its line stays as it was."""
    fields = [(m.start(), m.end()) for m in FIELD.finditer(content)]
    if not fields:
        return content
    start, end = rng.choice(fields)
    return content[:start] + rng.choice(WORDS) + content[end:]


def _lines(rng: random.Random, content: bytes, _: Sequence[bytes]) -> bytes:
    lines = content.split(b"\n")
    first, second = rng.randrange(len(lines)), rng.randrange(len(lines))
    change = rng.randrange(5)
    if change == 0:
        lines.insert(first, lines[second])
    elif change == 1:
        del lines[first]
    elif change == 2:
        lines[first], lines[second] = lines[second], lines[first]
    elif change == 3:
        lines[first] += lines[second]
    else:
        lines[first] = lines[first][: rng.randrange(len(lines[first]) + 1)]
    return b"\n".join(lines)


def _cut(rng: random.Random, content: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _stretch(rng, content)
    return content[:start] if rng.random() < 0.3 else content[:start] + content[end:]


def _repeat(rng: random.Random, content: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _stretch(rng, content)
    return content[:end] + content[start:end] * rng.choice((1, 3, 50, 300)) + content[end:]


def _splice(rng: random.Random, content: bytes, others: Sequence[bytes]) -> bytes:
    other = rng.choice(others)
    return content[: rng.randrange(len(content) + 1)] + other[rng.randrange(len(other) + 1) :]


CHANGES = (_flip, _word, _word, _field, _field, _field, _lines, _lines, _cut, _repeat, _splice)


def mutated_value(rng: random.Random, value: Any) -> Any:
    """A JSON or YAML value with one to three places replaced, removed, doubled or put under another key."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        value = _changed(rng, value)
    return value


def _changed(rng: random.Random, value: Any) -> Any:
    if not (isinstance(value, dict | list) and value) or rng.random() < 0.1:
        return rng.choice(VALUES)
    copy = value.copy()
    at = rng.choice(list(copy)) if isinstance(copy, dict) else rng.randrange(len(copy))
    what = rng.random()
    if what < 0.1:
        del copy[at]
    elif what < 0.2 and isinstance(copy, dict):
        copy[rng.choice(("", "x", "\0", "a.b", "\n", "both", 1, str(at) + "s"))] = copy.pop(at)
    elif what < 0.2:
        copy.insert(at, copy[at])
    elif what < 0.35:
        copy[at] = rng.choice(VALUES)
    else:
        copy[at] = _changed(rng, copy[at])
    return copy
