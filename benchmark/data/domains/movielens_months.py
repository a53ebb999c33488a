"""MovieLens-1M cut by months, as the papers after TALLRec test it: CoLLM and those that copy its table.

Source:
    CoLLM (TKDE 2025, arXiv 2310.19488), `dataset/ml-1m/processing_ood.ipynb` of zyang1580/CoLLM at 48042b1.
    `selection: collm` reads the rows that it released, `selection: months` makes the same from the official files. A
    history holds the user's earlier likes among these rows and no dislike.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, ValidationInfo, field_validator

from benchmark.artifacts.paths import SPLITS
from benchmark.config.params import DomainParams
from benchmark.data.domains import DomainData
from benchmark.data.domains.lines import LineCount
from benchmark.data.domains.rating_columns import read_ratings, read_titles
from benchmark.data.domains.splits import occurring
from benchmark.data.domains.titles import plain
from benchmark.data.sources import SourceFile
from benchmark.errors import DataError, refuse_other_text
from benchmark.schema import Interaction, Item, Labelled, Sample, item_ids

SCALE = (1.0, 5.0)
MONTHS = {"train": ("2001-06", "2002-03"), "valid": ("2002-04", "2002-08"), "test": ("2002-09", "2003-01")}
"""First and last month (UTC) of each split: months 14 to 23, 24 to 28 and 29 to 33 after that of the first rating."""
N_ROWS = {"train": 33_891, "valid": 10_401, "test": 7_331}
"""Of the split, by CoLLM's own count: the only check of official files, of which no checksum is known here."""
MOST_LIKES = 10
"""Of a history, in a prompt of CoLLM and in the released rows."""
_COLLM = "https://github.com/zyang1580/CoLLM/raw/48042b168bb5aa41b42e9c89e7582b718e301556/collm-datasets/ml-1m.zip"
_CHECKSUMS = {
    "train.csv": "4dbb9080243a04fb25be27f49b461b5ce3fd4482e5030f1f49406c1827de0797",
    "valid.csv": "fc71a05039576dad331ab275719fb0f29a4614461bc5cb80e30f0fb3ba62c6dc",
    "test.csv": "131bba118fc994a2c455ada3357a14b3c03ca7f611615f7011030f481708184c",
    "items.csv": "6c3b06fe9729f589fb6808e6bc2fbc7d4e55d895e95c40f8334eec91a1148f7f",
}
_GROUPLENS = "https://files.grouplens.org/datasets/movielens/ml-1m.zip"
_COLUMNS = ["user_id", "item_id", "timestamp", "liked", "history"]
_TITLE_COLUMNS = ["item_id", "title"]
_NUMBER = re.compile(r"[1-9][0-9]{0,10}")


class Params(DomainParams):
    """Section of a domain in the format `ml-1m`."""

    history_length: Annotated[int, Field(gt=0, le=MOST_LIKES)]
    selection: Literal["collm", "months"]
    """`collm`: the rows as CoLLM released them; `months`: the same rows, made from the official files."""

    @field_validator("selection")
    @classmethod
    def _has_the_likes_of_the_files(cls, selection: str, before: ValidationInfo) -> str:
        if selection == "collm" and before.data.get("liked_above", 3) != 3:
            raise ValueError(
                "the released rows have their likes, of ratings above 3; expected months, or liked_above 3.0"
            )
        return selection


class Row(NamedTuple):
    """A rating with the user's likes before it, oldest first; users and items as CoLLM numbers them."""

    user: str
    item: str
    time: int
    liked: bool
    history: Sequence[str]


def files(params: Params) -> tuple[SourceFile, ...]:
    """The raw files of the selection."""
    if params.selection == "collm":
        return tuple(
            SourceFile(f"collm-ml-1m/{name}", _COLLM, sha256, is_derived=True) for name, sha256 in _CHECKSUMS.items()
        )
    names = ("ratings.dat", "movies.dat")
    return tuple(SourceFile(f"ml-1m/{name}", _GROUPLENS, None, archive_member=f"ml-1m/{name}") for name in names)


def max_n_shots(params: Params) -> int:
    """Rows of the training split."""
    del params
    return N_ROWS["train"]


def read(raw: Path, params: Params) -> DomainData:
    """The rows of the selection -> samples in the order of user and time, split by months.

    `raw` is named after its domain, which starts every sample id.

    Raises:
        DataError: a file is missing or malformed, or a split has other rows than MovieLens-1M.
    """
    lines: dict[str, LineCount] = {}
    if params.selection == "collm":
        titles, rows = (
            _released_titles(raw / "items.csv"),
            {s: _released(raw / f"{s}.csv") for s in SPLITS},
        )
    else:
        titles, rows = cut(raw, params.liked_above, lines)
        if (found := {split: len(rows[split]) for split in SPLITS}) != N_ROWS:
            told = f"the months have {found} rows, expected those of 1M: {N_ROWS}; {lines['ratings.dat']}"
            raise DataError(f"{raw / 'ratings.dat'}: {told}; of the titles, {lines['movies.dat']}")
    splits = {split: _samples(f"{raw.name}-{split}", rows[split], params) for split in SPLITS}
    items = {_item_id(item, params): plain(title) for item, title in titles.items()}
    samples = list(chain.from_iterable(splits.values()))
    if unknown := item_ids(row.sample for row in samples) - items.keys():
        raise DataError(f"{raw / 'items.csv'}: no title of {min(unknown)}")
    notes = {
        "ratings": len(samples),
        "titles_changed": sum(plain(title) != title for title in titles.values()),
        "target_times": {
            split: [_day(end(row.time for row in part)) for end in (min, max)] for split, part in rows.items() if part
        },
    }
    shown = {item: Item(item, params.noun, title, mention=f'"{title}"') for item, title in items.items()}
    return DomainData(occurring(shown, samples), splits, notes, lines=lines)


def cut(
    raw: Path, liked_above: float, lines: dict[str, LineCount] | None = None
) -> tuple[dict[str, str], dict[str, list[Row]]]:
    """`movies.dat` and `ratings.dat` -> titles by item and the rows of each split, as CoLLM makes them.

    Args:
        raw: folder of the two files.
        liked_above: a rating above this is a like.
        lines: gets what became of the lines of each file, by its name.

    Raises:
        DataError: a file is missing.
    """
    known, of_titles = read_titles(raw / "movies.dat", "dat")
    ratings, of_ratings = read_ratings(raw / "ratings.dat", "dat", known, liked_above)
    counts = {"movies.dat": of_titles, "ratings.dat": of_ratings}
    for name, count in counts.items():
        count.tell(raw / name)
    if lines is not None:
        lines.update(counts)
    names = list(known)
    item_of_row: list[int] = ratings.item.tolist()
    # Equal times of a user keep the order of pandas.merge: item after item, as they first occur in the file.
    place = {item: number for number, item in enumerate(dict.fromkeys(item_of_row))}
    columns: tuple[list[int], list[int], list[int], list[bool]]
    columns = (ratings.user.tolist(), ratings.time.tolist(), item_of_row, ratings.liked.tolist())
    chosen: list[tuple[int, str, int, int, str, int, bool]] = (
        sorted(  # by the number of the user: a shorter one is smaller
            (len(ratings.users[user]), ratings.users[user], time, place[item], split, item, liked)
            for user, time, item, liked in zip(*columns, strict=True)
            if (split := _split_at(time))
        )
    )
    users = {user: str(number) for number, user in enumerate(dict.fromkeys(row[1] for row in chosen), start=1)}
    items = {item: str(number) for number, item in enumerate(dict.fromkeys(row[5] for row in chosen), start=1)}
    rows: dict[str, list[Row]] = {split: [] for split in SPLITS}
    likes: dict[str, list[str]] = {user: [] for user in users}
    for _, user, time, _, split, item, liked in chosen:
        rows[split].append(Row(users[user], items[item], time, liked, likes[user][-MOST_LIKES:]))
        if liked:
            likes[user].append(items[item])
    return {number: known[names[item]] for item, number in items.items()}, rows


def _split_at(time: int) -> str | None:
    """The split of a rating, or None; `time` in seconds since 1970."""
    month = _day(time)[:7]
    return next((split for split, (first, last) in MONTHS.items() if first <= month <= last), None)


def _day(time: int) -> str:
    return datetime.fromtimestamp(time, UTC).date().isoformat()


def _released_titles(path: Path) -> dict[str, str]:
    titles: dict[str, str] = {}
    for number, (item, title) in enumerate(_fields(path, _TITLE_COLUMNS), start=2):
        if item in titles or not title.strip():
            raise DataError(
                f"{path}: line {number}: expected a new item id and a title, got {item!r} and {title!r:.60}"
            )
        titles[item] = title
    return titles


def _released(path: Path) -> list[Row]:
    rows: list[Row] = []
    for number, (user, item, time, liked, history) in enumerate(_fields(path, _COLUMNS), start=2):
        likes = history.split()
        if not all(map(_NUMBER.fullmatch, (user, item, time, *likes))) or liked not in ("0", "1"):
            raise DataError(f"{path}: line {number}: expected numbers, and 0 or 1 for liked")
        if len(likes) > MOST_LIKES:
            raise DataError(f"{path}: line {number}: {len(likes)} items in the history, expected {MOST_LIKES} at most")
        rows.append(Row(user, item, int(time), liked == "1", likes))
    return rows


def _fields(path: Path, columns: list[str]) -> Iterator[list[str]]:
    """The fields of each line after the header."""
    if not path.exists():
        raise DataError(f"{path}: not there; stage `raw` writes it")
    refuse_other_text(path)
    with path.open(encoding="utf-8-sig", newline="") as stream:
        lines = csv.reader(stream, strict=True)
        try:
            for number, fields in enumerate(lines, start=1):
                if len(fields) != len(columns) or (number == 1 and fields != columns):
                    raise DataError(f"{path}: line {lines.line_num}: expected {','.join(columns)}")
                if number > 1:
                    yield fields
        except csv.Error as error:
            raise DataError(f"{path}: line {lines.line_num}: {error}") from None
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: below line {lines.line_num}: expected UTF-8: {error}") from None


def _samples(name: str, rows: Sequence[Row], params: Params) -> tuple[Labelled, ...]:
    """A sample for each row; a history holds likes alone."""

    def labelled(number: int, row: Row) -> Labelled:
        likes = (Interaction(_item_id(item, params), liked=True) for item in row.history[-params.history_length :])
        return Labelled(Sample(f"{name}-{number}", row.user, tuple(likes), _item_id(row.item, params)), row.liked)

    return tuple(labelled(number, row) for number, row in enumerate(rows))


def _item_id(item: str, params: Params) -> str:
    return f"{params.noun}-{item}"
