"""BookCrossing from the raw dump: one sample a user, of random ratings, since the dump has no times.

Source:
    The released `preprocess_book.py` (TALLRec, commit c1db29ce). Its user shuffle has no seed, so its rows
    can't be had again from the dump; this reader follows the same steps with seeded draws.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, ValidationInfo, field_validator

from benchmark.config.params import DomainParams
from benchmark.data.domains import DomainData
from benchmark.data.domains.lines import LineCount, is_off_scale, numbered_lines
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

SCALE = (0.0, 10.0)
_POINTS = {f"{points}{zero}": points for points in range(11) for zero in ("", ".0")}


class Params(DomainParams):
    """Section of a domain in the format `bookcrossing`."""

    zero_ratings: Literal["dislike", "drop"]
    """A zero is an implicit rating: kept as a dislike as in the released code, or dropped."""
    min_ratings: Annotated[int, Field(ge=4)]
    """Users with fewer ratings are left out; 4 gives a target and a history of 3."""
    split: SplitFractions
    """Shares of the users."""
    seed: int

    @field_validator("zero_ratings")
    @classmethod
    def _leaves_two_classes(cls, zero_ratings: str, before: ValidationInfo) -> str:
        if zero_ratings == "drop" and before.data.get("liked_above", 1) < 1:
            raise ValueError("without zeros all ratings are liked; expected dislike, or liked_above of 1.0 or more")
        return zero_ratings


def read(raw: Path, params: Params) -> DomainData:
    """`BX-Books.csv` and `BX-Book-Ratings.csv` -> one sample a user, users shuffled and split.

    Every rating read is either used or counted in the notes under the reason why not. `raw` is named after
    its domain, which starts every sample id.

    Raises:
        DataError: a file is missing, lacks a column, or no user has enough ratings.
    """
    items, books, n_changed = _read_books(raw / "BX-Books.csv", params)
    users, ratings = _read_ratings(raw / "BX-Book-Ratings.csv", items, params)
    counts = {"BX-Books.csv": books, "BX-Book-Ratings.csv": ratings}
    for name, count in counts.items():
        count.tell(raw / name)
    if not users:
        told = f"no user has {params.min_ratings} ratings; {ratings}; of the books, {books}"
        raise DataError(f"{raw / 'BX-Book-Ratings.csv'}: {told}")
    names = sorted(users)
    rng = np.random.default_rng(derive_seed("bookcrossing", "users", params.seed))
    order: list[int] = rng.permutation(len(names)).tolist()
    samples = [
        _sample(f"{raw.name}-{row}", names[index], users[names[index]], params) for row, index in enumerate(order)
    ]
    notes = {
        "ratings": ratings.summary(),
        "books": books.summary(),
        "first_lines_left_out": {"ratings": ratings.first, "books": books.first},
        "books_not_utf8": books.not_utf8,
        "books_garbled": books.garbled,
        "users": len(users),
        "titles_changed": n_changed,
    }
    return DomainData(occurring(items, samples), split_in_order(samples, params.split), notes, lines=counts)


def _read_books(path: Path, params: Params) -> tuple[dict[str, Item], LineCount, int]:
    """Items by id, what became of each line, and of how many items title or author were changed."""
    items: dict[str, Item] = {}
    n_changed = 0
    count = LineCount(left_out=dict.fromkeys(("broken_line", "duplicate"), 0))
    for number, row in _rows(path, ("ISBN", "Book-Title", "Book-Author"), count):
        if row is None or not (row[0].strip() and row[1].strip()):
            count.leave_out("broken_line", [number])
            continue
        isbn, title, author = row
        item_id = _item_id(isbn, params)
        if item_id in items:
            count.leave_out("duplicate", [number])
            continue
        shown_title, shown_author = plain(title), plain(author)
        n_changed += (shown_title, shown_author) != (title, author)
        mention = f'"{shown_title}" written by {shown_author}'
        items[item_id] = Item(item_id, params.noun, text=mention, mention=mention)
    count.used = len(items)
    return items, count, n_changed


def _read_ratings(path: Path, items: dict[str, Item], params: Params) -> tuple[dict[str, dict[str, int]], LineCount]:
    """Points by item id of each user with enough ratings, and what became of each line."""
    users: dict[str, dict[str, int]] = {}
    lines: dict[str, list[int]] = {}
    reasons = ("broken_line", "unknown_isbn", "duplicate", "zero_rating", "user_with_few_ratings")
    count = LineCount(left_out=dict.fromkeys(reasons, 0))
    for number, row in _rows(path, ("User-ID", "ISBN", "Book-Rating"), count):
        user, isbn, points = row or ("", "", "")
        item_id = _item_id(isbn, params)
        has_names = bool(user.strip() and isbn.strip())
        if has_names and is_off_scale(points, SCALE):
            count.leave_out_rating(points, SCALE, [number])
        elif not has_names or points not in _POINTS:
            count.leave_out("broken_line", [number])
        elif item_id not in items:
            count.leave_out("unknown_isbn", [number])
        elif _POINTS[points] == 0 and params.zero_ratings == "drop":
            count.leave_out("zero_rating", [number])
        elif item_id in users.setdefault(user, {}):
            count.leave_out("duplicate", [number])
        else:
            users[user][item_id] = _POINTS[points]
            lines.setdefault(user, []).append(number)
    kept = {user: rated for user, rated in users.items() if len(rated) >= params.min_ratings}
    count.used = sum(map(len, kept.values()))
    count.leave_out("user_with_few_ratings", [number for user in lines.keys() - kept.keys() for number in lines[user]])
    return kept, count


def _rows(path: Path, columns: tuple[str, ...], count: LineCount) -> Iterator[tuple[int, tuple[str, ...] | None]]:
    """The named columns of each line after the header, with its number; None for a line that breaks the format.

    Lines are read one by one: a quote left open would otherwise swallow the lines after it.
    """
    lines = numbered_lines(path, count)
    first = next(lines, (1, ""))[1]
    header = _fields(first) or []
    missing = [column for column in columns if column not in header]
    if missing:
        expected = f"expected a header with the columns {', '.join(columns)}, separated by ';'"
        raise DataError(f"{path}: line 1: {expected}: no column {missing[0]!r} in {first!r:.80}")
    positions = [header.index(column) for column in columns]
    for number, line in lines:
        if line.strip():
            fields = _fields(line)
            is_whole = fields is not None and len(fields) == len(header)
            yield number, tuple(fields[position] for position in positions) if fields and is_whole else None


def _fields(line: str) -> list[str] | None:
    """A quote inside a field is escaped, as in the dump, or doubled, as every other writer has it."""
    try:
        return next(csv.reader((line,), delimiter=";", escapechar="\\", doublequote=True, strict=True), None)
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
