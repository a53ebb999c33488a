"""TALLRec's released book prompts, parsed back into samples.

The prompts list the liked books, then the disliked ones, so the order between the two lists is lost: a
history here is the liked list followed by the disliked list. Books are known by their text alone; editions of
one text are one item.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

from pydantic import field_validator

from benchmark.artifacts.paths import SPLITS
from benchmark.config.params import DomainParams
from benchmark.data.domains import DomainData
from benchmark.data.domains.titles import MOST_LETTERS, plain
from benchmark.data.sources import SourceFile, read_manifest
from benchmark.errors import DataError, refuse_other_text
from benchmark.schema import Interaction, Item, Labelled, Sample

_FOLDER = "https://raw.githubusercontent.com/SAI990323/TALLRec/c1db29ce6501bce32cc8c3e343c4eb14155beeb1/data/book"

FILES = (
    SourceFile(
        path="tallrec-book/train.json",
        url=f"{_FOLDER}/train.json",
        sha256=None,
        stand_in="tallrec-book/train.sample.json",
    ),
    SourceFile(
        path="tallrec-book/valid.json",
        url=f"{_FOLDER}/valid.json",
        sha256="484165aefc7941fd9f19cc9f42144832d5cee7424b15dc661b753d7705769aa2",
    ),
    SourceFile(
        path="tallrec-book/test.json",
        url=f"{_FOLDER}/test.json",
        sha256="28ab5fe8b28f4094b7fa5b0d46acdbb3984f55e728d04f78e3ea42e7c2bf102b",
    ),
)

N_TRAIN = 19_414
"""Rows of the released `train.json`, the only check of a file whose checksum is not known."""

_ANSWERS = {"Yes.": True, "No.": False}
_INPUT = re.compile(
    r"User Preference: (?P<liked>[^\n]*)\n"
    r"User Unpreference: (?P<disliked>[^\n]*)\n"
    r"Whether the user will like the target \w+ (?P<target>[^\n]*)\?"
)
# Titles and authors may hold ", " and quotes. A book ends where ', "' begins what is "written by" again.
_BOOK = re.compile(r'"(?P<title>.*?)" written by (?P<author>.*?)(?:, (?=".*?" written by )|$)')
# The released files quote the target as a whole; rows of the released script have lost two spaces instead.
_TARGET = re.compile(r'"(?P<text>"[^\n]*" written by [^\n]*)"|"(?P<title>.*?)"written by(?P<author>.*)')


SCALE = (0.0, 10.0)
"""Of the ratings that the likes of the files were made of."""


class Params(DomainParams):
    """Section of a domain in the format `released-json` or `released-csv`."""

    @field_validator("source")
    @classmethod
    def _is_official(cls, source: str) -> str:
        if source != "official":
            raise ValueError("the released files have no embedded form, expected 'official'")
        return source

    @field_validator("history_length")
    @classmethod
    def _is_history_length_of_the_files(cls, history_length: int) -> int:
        if history_length != 10:
            raise ValueError("fixed by the released files, expected 10")
        return history_length

    @field_validator("liked_above")
    @classmethod
    def _is_threshold_of_the_files(cls, liked_above: float) -> float:
        if liked_above != 5:
            raise ValueError("fixed by the released files, expected 5.0")
        return liked_above


class Prompt(NamedTuple):
    """What a released row says; items by their text."""

    liked: tuple[str, ...]
    disliked: tuple[str, ...]
    target: str
    answer: bool


def max_n_shots(params: Params) -> int:  # noqa: ARG001 - the same signature in every format
    """Rows of the released training split."""
    return N_TRAIN


def read(raw: Path, params: Params) -> DomainData:
    """`train.json`, `valid.json`, `test.json` -> samples in file order; one row is one user.

    `raw` is named after its domain, which starts every sample id.

    Raises:
        DataError: a row is not in the released form, or `train.json` lacks rows and no stand-in is recorded.
    """
    items: dict[str, Item] = {}
    splits: dict[str, tuple[Labelled, ...]] = {}
    rewritten: dict[str, int] = {}
    for split in SPLITS:
        prompts = list(_read_prompts(raw / f"{split}.json"))
        for row, (prompt, _) in enumerate(prompts):
            for text in (*prompt.liked, *prompt.disliked, prompt.target):
                items.setdefault(_item_id(text, params), _item(text, params))
            _check_length(raw / f"{split}.json", row, prompt, params)
        splits[split] = tuple(
            _sample(f"{raw.name}-{split}-{row}", prompt, params) for row, (prompt, _) in enumerate(prompts)
        )
        rewritten[split] = sum(render_input(prompt, params.noun) != given for prompt, given in prompts)
    stand_ins = {name: entry["stand_in"] for name, entry in read_manifest(raw).items() if entry["stand_in"]}
    if len(splits["train"]) != N_TRAIN and "train.json" not in stand_ins:
        raise DataError(f"{raw / 'train.json'}: {len(splits['train'])} rows, expected {N_TRAIN}")
    notes = {
        "history_order": "liked, then disliked: the released prompts do not keep the order between them",
        "rows_not_rendered_back_byte_for_byte": rewritten,
        "stand_in": stand_ins,
        "titles_changed": sum(_item_id(item.text, params) != item_id for item_id, item in items.items()),
    }
    return DomainData(items, splits, notes)


def parse_books(text: str) -> tuple[str, ...]:
    """The books of a list in a prompt, each as `"Title" written by Author`.

    Raises:
        ValueError: some of the text belongs to no book.
    """
    books: list[str] = []
    end = 0
    while end < len(text):
        match = _BOOK.match(text, end)
        if match is None:
            raise ValueError(f'expected "Title" written by Author at {text[end : end + 60]!r}')
        books.append(f'"{match["title"]}" written by {match["author"]}')
        end = match.end()
    return tuple(books)


def render_input(prompt: Prompt, noun: str) -> str:
    """The `input` of a released row."""
    return (
        f"User Preference: {', '.join(prompt.liked)}\nUser Unpreference: {', '.join(prompt.disliked)}\n"
        f'Whether the user will like the target {noun} "{prompt.target}"?'
    )


def _read_prompts(path: Path) -> Iterator[tuple[Prompt, str]]:
    """Each row parsed, and its `input` as it stands in the file."""
    try:
        refuse_other_text(path)
        rows = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise DataError(f"{path}: not there; stage `raw` writes it") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: expected UTF-8, got other bytes at {error.start}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON ({error})") from None
    if not isinstance(rows, list):
        raise DataError(f"{path}: expected a list of rows, got {type(rows).__name__}")
    for number, row in enumerate(cast("list[Any]", rows)):
        try:
            yield _parse(row["input"], row["output"]), row["input"]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path}: row {number}: not a released prompt: {error}") from None


def _parse(text: str, output: str) -> Prompt:
    text.encode()  # JSON can hold half a character ("\\ud800"), which no file can be written with
    match = _INPUT.fullmatch(text)
    if match is None:
        raise ValueError("expected User Preference, User Unpreference and Whether the user will like the target")
    if output not in _ANSWERS:
        raise ValueError(f"expected the output Yes. or No., got {output!r}")
    target = _TARGET.fullmatch(match["target"])
    if target is None:
        raise ValueError(f'expected ""Title" written by Author" as target, got {match["target"]!r}')
    book = target["text"] or f'"{target["title"]}" written by {target["author"]}'
    return Prompt(parse_books(match["liked"]), parse_books(match["disliked"]), book, _ANSWERS[output])


def _check_length(path: Path, row: int, prompt: Prompt, params: Params) -> None:
    length = len(prompt.liked) + len(prompt.disliked)
    if not 0 < length <= params.history_length:
        raise DataError(f"{path}: row {row}: history of {length} books, expected 1 to {params.history_length}")


def _sample(sample_id: str, prompt: Prompt, params: Params) -> Labelled:
    liked = [Interaction(_item_id(text, params), liked=True) for text in prompt.liked]
    disliked = [Interaction(_item_id(text, params), liked=False) for text in prompt.disliked]
    sample = Sample(sample_id, sample_id, (*liked, *disliked), _item_id(prompt.target, params))
    return Labelled(sample, prompt.answer)


def _item_id(text: str, params: Params) -> str:
    return f"{params.noun}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _item(text: str, params: Params) -> Item:
    shown = plain(text, 2 * MOST_LETTERS)  # title and author
    return Item(_item_id(text, params), params.noun, text=shown, mention=shown)
