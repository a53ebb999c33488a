"""Tables of ratings and of titles, large ones too, as columns; every line is used or counted."""

import csv
import sys
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow  # pyright: ignore[reportMissingTypeStubs]
import pyarrow.compute  # pyright: ignore[reportMissingTypeStubs]
import pyarrow.csv  # pyright: ignore[reportMissingTypeStubs]
from numpy.typing import NDArray

from benchmark.data.domains.lines import Integers, LineCount, is_off_scale, numbered_lines
from benchmark.errors import DataError, refuse_other_text

# pyarrow has no types. Whatever passes through these names is `Any`.
pa: Any = pyarrow
pc: Any = pyarrow.compute
arrow_csv: Any = pyarrow.csv

Bools = NDArray[np.bool_]

_RATING_COLUMNS = ("userId", "movieId", "rating", "timestamp")
_TITLE_COLUMNS = ("movieId", "title", "genres")
_FIRST_LINE = {"csv": 2, "dat": 1}
"""The first line of a csv is its header."""
SCALE = (0.5, 5.0)
"""Of ratings, in halves."""
_STARS = {text.encode(): half / 2 for half in range(1, 11) for text in (f"{half / 2:.1f}", f"{half / 2:g}")}
"""Ratings with or without a zero after the point."""
_MOST_DIGITS = 11
"""Of a timestamp in seconds; one in milliseconds has more."""
_UNKNOWN, _NO_NAME = -1, -2
"""Instead of the place of a user or an item."""
_BLOCK_BYTES = 1 << 25
"""Of the file, read and converted together; bounds memory and changes no result."""


@dataclass(frozen=True, slots=True)
class Ratings:
    """The usable ratings in file order; every array has shape (n_ratings,)."""

    users: Sequence[str]
    """Names of users, in the order of their first ratings."""
    user: Integers
    """Place in `users`."""
    item: Integers
    """Place among the titles."""
    liked: Bools
    time: Integers
    """Seconds since 1970 (UTC)."""


def read_titles(path: Path, layout: str) -> tuple[dict[str, str], LineCount]:
    """Titles by item id, in file order, and what became of each line.

    Args:
        path: movieId, title and more; UTF-8, and lines that are none as `numbered_lines` reads them.
        layout: `csv`, with a header, or `dat`, with `::` between fields.

    Raises:
        DataError: the file is missing or has another header.
    """
    _check(path, layout, _TITLE_COLUMNS)
    titles, count = dict[str, str](), LineCount()
    for number, line in numbered_lines(path, count):
        if number < _FIRST_LINE[layout]:
            continue
        item, title = _title_fields(line, layout)
        if not (item and title.strip()):
            count.leave_out("broken_line", [number])
        elif item in titles:
            count.leave_out("duplicate", [number])
        else:
            titles[item] = title
    count.used = len(titles)
    return titles, count


def _check(path: Path, layout: str, columns: Sequence[str]) -> None:
    if not path.exists():
        raise DataError(f"{path}: not there; stage `raw` writes it")
    refuse_other_text(path)
    if layout == "csv":
        with path.open(encoding="utf-8-sig", errors="replace", newline="\n") as stream:
            line = stream.readline(1000)
        if line.rstrip("\r\n") != ",".join(columns):
            raise DataError(f"{path}: line 1: expected the header {','.join(columns)}, got {line[:80]!r}")


def _title_fields(line: str, layout: str) -> tuple[str, str]:
    """Item id and title; empty where the line breaks the format.

    Lines are read one by one: a quote left open would otherwise swallow the lines after it.
    """
    if layout == "dat":
        item, _, rest = line.partition("::")
        return item, rest.rpartition("::")[0]
    try:
        item, title, _ = next(csv.reader((line,), strict=True)) if '"' in line else line.split(",")
    except (csv.Error, ValueError):
        return "", ""
    return item, title


def read_ratings(path: Path, layout: str, titles: Mapping[str, str], liked_above: float) -> tuple[Ratings, LineCount]:
    """The usable ratings, and what became of each line.

    Args:
        path: userId, movieId, rating and timestamp.
        layout: as in `read_titles`.
        titles: items to know.
        liked_above: a rating above this is a like.

    Raises:
        DataError: as `read_titles`, or a line is longer than what is read at once.
    """
    _check(path, layout, _RATING_COLUMNS)
    item_of = {item.encode(): place for place, item in enumerate(titles)} | {b"": _NO_NAME}
    users: dict[bytes, int] = {}
    count, misshapen, next_line = LineCount(), list[int](), _FIRST_LINE[layout]
    kinds = (np.int32, np.int32, np.bool_, np.int64, np.int32)
    parts: list[list[NDArray[Any]]] = [[np.empty(0, kind) for kind in kinds]]
    for batch in _batches(path, layout, misshapen):
        lines = _line_numbers(next_line, batch.num_rows, misshapen)
        next_line = int(lines[-1]) + 1 if len(lines) else next_line
        columns, is_broken, is_off_scale = _columns(batch, users, item_of, liked_above)
        is_unknown = ~is_broken & (columns[1] == _UNKNOWN)
        if is_off_scale.any():
            rating = batch.column("rating")[int(np.argmax(is_off_scale))].as_py().decode()
            count.leave_out_rating(rating, SCALE, lines[is_off_scale])
        count.leave_out("broken_line", lines[is_broken & ~is_off_scale])
        count.leave_out("unknown_item", lines[is_unknown])
        is_used = ~(is_broken | is_unknown)
        parts.append([column if is_used.all() else column[is_used] for column in (*columns, lines)])
    count.leave_out("broken_line", misshapen)
    user, item, liked, time, lines = (np.concatenate(column) for column in zip(*parts, strict=True))
    del parts
    is_again = _rated_again(user, item, len(titles))
    if is_again.any():
        count.leave_out("duplicate", lines[is_again])
        user, item, liked, time = (column[~is_again] for column in (user, item, liked, time))
    count.used = len(user)
    names: list[str] = [name.decode(errors="backslashreplace") for name in users]
    if count.left_out:  # users come in the order of their usable ratings, whatever lines were left out
        places, first, user = np.unique(user, return_index=True, return_inverse=True)
        order = np.argsort(first)
        kept: list[int] = places[order].tolist()
        names, user = [names[place] for place in kept], np.argsort(order)[user]
    return Ratings(names, user, item, liked, time), count


def _batches(path: Path, layout: str, misshapen: list[int]) -> Iterator[Any]:
    """Record batches of texts; the numbers of lines that have another number of fields go to `misshapen`."""
    # In a dat, one colon separates: between two fields there is an empty one.
    names = [part for name in _RATING_COLUMNS for part in ((name,) if layout == "csv" else (name, f"after {name}"))]
    names = names[: len(names) - (layout == "dat")]
    with path.open("rb") as stream:
        for _ in range(_FIRST_LINE[layout] - 1):
            stream.readline()
        if not stream.read(1):
            return

    def skip(row: Any) -> str:
        misshapen.append(row.number)
        return "skip"

    def tell(found: Any) -> None:
        if found.object is not skip:
            former(found)

    text = pa.dictionary(pa.int32(), pa.binary())
    # A line that is no UTF-8 never gets to `skip`: pyarrow prints a traceback, and then raises as without it.
    former, sys.unraisablehook = sys.unraisablehook, tell
    try:
        yield from arrow_csv.open_csv(
            path,
            # With threads, lines have no numbers.
            arrow_csv.ReadOptions(
                column_names=names, skip_rows=_FIRST_LINE[layout] - 1, block_size=_BLOCK_BYTES, use_threads=False
            ),
            arrow_csv.ParseOptions(
                delimiter="," if layout == "csv" else ":",
                quote_char=False,
                ignore_empty_lines=False,
                invalid_row_handler=skip,
            ),
            arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, text) | {"timestamp": pa.string()}, check_utf8=False
            ),
        )
    except pa.ArrowInvalid as error:
        raise DataError(f"{path}: {error}") from None
    finally:
        sys.unraisablehook = former


def _line_numbers(first: int, n_lines: int, misshapen: Sequence[int]) -> Integers:
    """Numbers of the next `n_lines` lines from `first` on that have the right number of fields."""
    between = misshapen[bisect_left(misshapen, first) :]
    candidates = np.arange(first, first + n_lines + len(between), dtype=np.int32)
    return np.setdiff1d(candidates, between)[:n_lines] if between else candidates


def _columns(
    batch: Any, users: dict[bytes, int], item_of: Mapping[bytes, int], liked_above: float
) -> tuple[tuple[NDArray[Any], ...], Bools, Bools]:
    """User, item, like and time of each line, which lines are broken, and which of these by a rating off the scale.

    New users go to `users`.
    """
    names = {name: batch.column(name) for name in batch.schema.names}
    time = names.pop("timestamp")
    is_time = pc.and_(pc.ascii_is_decimal(time), pc.less_equal(pc.binary_length(time), _MOST_DIGITS))
    time = pc.cast(pc.if_else(is_time, time, "0"), pa.int64()).to_numpy()
    user = _looked_up(
        names.pop("userId"), lambda text: users.setdefault(text, len(users)) if text else _NO_NAME, np.int32
    )
    item = _looked_up(names.pop("movieId"), lambda text: item_of.get(text, _UNKNOWN), np.int32)
    stars = _looked_up(names.pop("rating"), lambda text: _STARS.get(text, np.nan), np.float64)
    off_scale = _looked_up(batch.column("rating"), lambda text: is_off_scale(text, SCALE), np.bool_)
    is_broken = ~is_time.to_numpy(zero_copy_only=False) | (user == _NO_NAME) | (item == _NO_NAME)
    for between in names.values():
        is_broken |= _looked_up(between, bool, np.bool_)
    return (user, item, stars > liked_above, time), is_broken | np.isnan(stars), off_scale & ~is_broken


def _looked_up(column: Any, value_of: Callable[[bytes], Any], kind: Any) -> NDArray[Any]:
    """`value_of` each text of a column, asked once for each different text."""
    values = [value_of(text) for text in column.dictionary.to_pylist()]
    return np.array(values, dtype=kind)[column.indices.to_numpy()]


def _rated_again(user: Integers, item: Integers, n_items: int) -> Bools:
    """Which ratings are of an item that their user rated further up."""
    pairs = user.astype(np.int64) * n_items + item
    is_again = np.zeros(len(pairs), dtype=np.bool_)
    if (pairs[1:] <= pairs[:-1]).any():  # never in the official files, which are sorted
        order = np.argsort(pairs, kind="stable")
        is_again[order[1:]] = pairs[order[1:]] == pairs[order[:-1]]
    return is_again
