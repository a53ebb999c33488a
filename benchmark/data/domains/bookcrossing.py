"""BookCrossing from the raw dump: one sample a user, of random ratings, since the dump has no times.

Source:
    The released `preprocess_book.py` (TALLRec, commit c1db29ce). Its user shuffle has no seed, so its rows
    can't be had again from the dump; this reader follows the same steps with seeded draws.
"""

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from benchmark.config.params import DomainParams
from benchmark.data.domains import DomainData
from benchmark.data.domains.splits import SplitFractions, occurring, split_in_order
from benchmark.data.domains.titles import plain
from benchmark.data.sources import SourceFile
from benchmark.errors import DataError
from benchmark.schema import Interaction, Item, Labelled, Sample
from benchmark.seeding import derive_seed

_ARCHIVE = "http://www2.informatik.uni-freiburg.de/~cziegler/BX/BX-CSV-Dump.zip"

FILES = (
    SourceFile("bookcrossing/BX-Book-Ratings.csv", _ARCHIVE, sha256=None, archive_member="BX-Book-Ratings.csv"),
    SourceFile("bookcrossing/BX-Books.csv", _ARCHIVE, sha256=None, archive_member="BX-Books.csv"),
)

_POINTS = {str(points): points for points in range(11)}


class Params(DomainParams):
    """Section of a domain in the format `bookcrossing`."""

    zero_ratings: Literal["dislike", "drop"]
    """A zero is an implicit rating: kept as a dislike as in the released code, or dropped."""
    min_ratings: Annotated[int, Field(ge=4)]
    """Users with fewer ratings are left out; 4 gives a target and a history of 3."""
    split: SplitFractions
    """Shares of the users."""
    seed: int


def read(raw: Path, params: Params) -> DomainData:
    """`BX-Books.csv` and `BX-Book-Ratings.csv` -> one sample a user, users shuffled and split.

    Every rating read is either used or counted in the notes under the reason why not. `raw` is named after
    its domain, which starts every sample id.

    Raises:
        DataError: a file is missing, lacks a column, or no user has enough ratings.
    """
    items, books, n_changed = _read_books(raw / "BX-Books.csv", params)
    users, ratings = _read_ratings(raw / "BX-Book-Ratings.csv", items, params)
    if not users:
        raise DataError(f"{raw / 'BX-Book-Ratings.csv'}: no user has {params.min_ratings} ratings")
    names = sorted(users)
    rng = np.random.default_rng(derive_seed("bookcrossing", "users", params.seed))
    order: list[int] = rng.permutation(len(names)).tolist()
    samples = [
        _sample(f"{raw.name}-{row}", names[index], users[names[index]], params) for row, index in enumerate(order)
    ]
    notes = {"ratings": dict(ratings), "books": dict(books), "users": len(users), "titles_changed": n_changed}
    return DomainData(occurring(items, samples), split_in_order(samples, params.split), notes)


def _read_books(path: Path, params: Params) -> tuple[dict[str, Item], Counter[str], int]:
    """Items by id, what became of each line, and of how many items title or author were changed."""
    items: dict[str, Item] = {}
    n_changed = 0
    counts = Counter(read=0, used=0, broken_line=0, duplicate=0)
    for row in _rows(path, ("ISBN", "Book-Title", "Book-Author")):
        counts["read"] += 1
        if row is None:
            counts["broken_line"] += 1
            continue
        isbn, title, author = row
        item_id = _item_id(isbn, params)
        if item_id in items:
            counts["duplicate"] += 1
            continue
        counts["used"] += 1
        shown_title, shown_author = plain(title), plain(author)
        n_changed += (shown_title, shown_author) != (title, author)
        mention = f'"{shown_title}" written by {shown_author}'
        items[item_id] = Item(item_id, params.noun, text=mention, mention=mention)
    return items, counts, n_changed


def _read_ratings(path: Path, items: dict[str, Item], params: Params) -> tuple[dict[str, dict[str, int]], Counter[str]]:
    """Points by item id of each user with enough ratings, and what became of each line."""
    users: dict[str, dict[str, int]] = {}
    reasons = ("broken_line", "unknown_isbn", "duplicate", "zero_rating", "user_with_few_ratings")
    counts: Counter[str] = Counter(dict.fromkeys(("read", "used", *reasons), 0))
    for row in _rows(path, ("User-ID", "ISBN", "Book-Rating")):
        counts["read"] += 1
        if row is None or not row[0] or row[2] not in _POINTS:
            counts["broken_line"] += 1
            continue
        user, isbn, points = row
        item_id = _item_id(isbn, params)
        if item_id not in items:
            counts["unknown_isbn"] += 1
        elif points == "0" and params.zero_ratings == "drop":
            counts["zero_rating"] += 1
        elif item_id in users.setdefault(user, {}):
            counts["duplicate"] += 1
        else:
            users[user][item_id] = _POINTS[points]
    kept = {user: rated for user, rated in users.items() if len(rated) >= params.min_ratings}
    counts["used"] = sum(map(len, kept.values()))
    counts["user_with_few_ratings"] = sum(map(len, users.values())) - counts["used"]
    return kept, counts


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, ...] | None]:
    """The named columns of each line after the header; None for a line that breaks the format.

    Lines are read one by one: a quote left open would otherwise swallow the lines after it.
    """
    if not path.exists():
        raise DataError(f"{path}: not there; stage `raw` writes it")
    with path.open(encoding="latin-1", newline="\n") as stream:
        header = _fields(stream.readline()) or []
        missing = [column for column in columns if column not in header]
        if missing:
            raise DataError(f"{path}: line 1: no column {missing[0]!r} in the header {header}")
        positions = [header.index(column) for column in columns]
        for line in stream:
            if not line.strip():
                continue
            fields = _fields(line)
            if fields is None or len(fields) != len(header):
                yield None
            else:
                yield tuple(fields[position] for position in positions)


def _fields(line: str) -> list[str] | None:
    try:
        rows = csv.reader((line.rstrip("\r\n"),), delimiter=";", escapechar="\\", doublequote=False, strict=True)
        return next(rows, None)
    except csv.Error:
        return None


def _sample(sample_id: str, user: str, rated: dict[str, int], params: Params) -> Labelled:
    """A random rating of the user as target, others of the user's as history."""
    # Sorted, and with a generator a user, so that neither the file's order nor other users change a draw.
    item_ids = sorted(rated)
    rng = np.random.default_rng(derive_seed("bookcrossing", "ratings", params.seed, user))
    order: list[int] = rng.permutation(len(item_ids)).tolist()
    target, *others = [item_ids[index] for index in order]
    history = tuple(
        Interaction(item_id, rated[item_id] > params.liked_above) for item_id in others[: params.history_length]
    )
    return Labelled(Sample(sample_id, user, history, target), rated[target] > params.liked_above)


def _item_id(isbn: str, params: Params) -> str:
    return f"{params.noun}-{isbn}"
