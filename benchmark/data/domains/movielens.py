"""MovieLens-100K: each sample is a rating with the user's ratings before it.

Source:
    The released `preprocess_movie.py` (TALLRec, commit c1db29ce): `selection: released` gives the same rows
    in the same order. `selection: described` takes the most recent rows instead, as the paper says.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Literal, NamedTuple

from benchmark.config.params import DomainParams, PositiveInt
from benchmark.config.values import Count
from benchmark.data.domains import DomainData
from benchmark.data.domains.lines import LineCount, numbered_lines
from benchmark.data.domains.splits import SplitFractions, boundaries, occurring, split_in_order, target_times
from benchmark.data.domains.titles import plain
from benchmark.data.sources import SourceFile
from benchmark.errors import DataError
from benchmark.schema import EXTENDED, Interaction, Item, Labelled, Sample

_ARCHIVE = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"

FILES = (
    SourceFile(
        path="ml-100k/u.data",
        url=_ARCHIVE,
        sha256="06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490",
        archive_member="ml-100k/u.data",
    ),
    SourceFile(
        path="ml-100k/u.item",
        url=_ARCHIVE,
        sha256="553841ebc7de3a0fd0d6b62a204ea30c1e651aacfb2814c7a6584ac52f2c5701",
        archive_member="ml-100k/u.item",
    ),
)

_TIME = re.compile(r"[0-9]{1,11}")
"""Seconds since 1970; one in milliseconds has more digits."""
SCALE = (1.0, 5.0)
_STARS = {"1": 1, "2": 2, "3": 3, "4": 4, "5": 5}


class Params(DomainParams):
    """Section of a domain in the format `ml-100k`."""

    selection: Literal["released", "described"]
    """`released`: the last rows in user order; `described`: the most recent rows."""
    n_samples: PositiveInt
    """Rows kept, over all splits."""
    split: SplitFractions
    extended_rows_per_user: Count
    """Of each user of whom no row is kept, the last rows make a further test set; 0: there is none."""

    @property
    def has_extended(self) -> bool:
        """Whether there is a further test set."""
        return self.extended_rows_per_user > 0


class Rating(NamedTuple):
    """One line of `u.data`."""

    item: str
    stars: int
    timestamp: str


class Window(NamedTuple):
    """The rating at `position` of a user's list, with `history_length` ratings before it."""

    user: str
    position: int


def max_n_shots(params: Params) -> int:
    """Rows of the training split."""
    return boundaries(params.n_samples, params.split)[0]


def read(raw: Path, params: Params) -> DomainData:
    """`u.data` and `u.item` -> samples in the order of the selection, split by position.

    `raw` is named after its domain, which starts every sample id.

    Raises:
        DataError: a line is malformed, there are fewer than `n_samples` rows with a full history, or none is left for
            the further test set.
    """
    count = LineCount()
    titles, ratings = read_lines(raw, count)
    count.tell(raw / "u.item")
    windows = [
        Window(user, position) for user, rows in ratings.items() for position in range(params.history_length, len(rows))
    ]
    if len(windows) < params.n_samples:
        raise DataError(
            f"{raw / 'u.data'}: {len(windows)} ratings have {params.history_length} ratings of their user "
            f"before them, domains.{raw.name}.n_samples is {params.n_samples}"
        )
    n_eligible = len(windows)
    if params.selection == "described":
        windows.sort(key=lambda window: int(ratings[window.user][window.position].timestamp))
    windows = windows[-params.n_samples :]
    samples = [_sample(f"{raw.name}-{row}", window, ratings[window.user], params) for row, window in enumerate(windows)]
    further = _further_windows(windows, ratings, params)
    if params.has_extended and not further:
        raise DataError(
            f"{raw / 'u.data'}: no user is left for the further test set; expected a smaller "
            f"domains.{raw.name}.n_samples, or 0 for domains.{raw.name}.extended_rows_per_user"
        )
    extended = tuple(
        _sample(f"{raw.name}{EXTENDED}-{row}", window, ratings[window.user], params)
        for row, window in enumerate(further)
    )
    items = {_item_id(item, params): _item(item, title, params) for item, title in titles.items()}
    notes = {
        "ratings": sum(map(len, ratings.values())),
        "eligible_rows": n_eligible,
        "titles_not_utf8": count.not_utf8,
        "titles_garbled": count.garbled,
        "titles_changed": sum(plain(title) != title for title in titles.values()),
        "titles_of_several_items": sum(count > 1 for count in Counter(titles.values()).values()),
        "target_times": target_times(
            [int(ratings[window.user][window.position].timestamp) for window in windows], params.split
        ),
    }
    splits = split_in_order(samples, params.split)
    return DomainData(occurring(items, (*samples, *extended)), splits, notes, extended)


def read_lines(raw: Path, count: LineCount | None = None) -> tuple[dict[str, str], dict[str, list[Rating]]]:
    """What the lines of `u.item` and `u.data` say: titles by item, and ratings by user, oldest first.

    Args:
        raw: folder of the two files.
        count: gets how many lines of titles are no UTF-8.

    Raises:
        DataError: a line is malformed.
    """
    titles = _read_titles(raw / "u.item", count or LineCount())
    return titles, _read_ratings(raw / "u.data", titles)


def _further_windows(kept: Sequence[Window], ratings: Mapping[str, list[Rating]], params: Params) -> list[Window]:
    """The last windows of each user who has none among `kept`: `extended_rows_per_user`, or as many as there are."""
    users = {window.user for window in kept}
    return [
        Window(user, position)
        for user, rows in ratings.items()
        if user not in users
        for position in range(max(params.history_length, len(rows) - params.extended_rows_per_user), len(rows))
    ]


def _read_titles(path: Path, count: LineCount) -> dict[str, str]:
    titles: dict[str, str] = {}
    for number, line in filter(itemgetter(1), numbered_lines(path, count)):
        fields = line.split("|", 2)
        if len(fields) < 3 or not fields[0] or not fields[1].strip() or fields[0] in titles:
            raise DataError(f"{path}: line {number}: expected a new item id, a title and more, separated by '|'")
        titles[fields[0]] = fields[1]
    return titles


def _read_ratings(path: Path, titles: dict[str, str]) -> dict[str, list[Rating]]:
    """Ratings by user, users in order of first appearance, each user's ratings oldest first."""
    ratings: dict[str, list[Rating]] = {}
    seen: set[tuple[str, str]] = set()
    for number, line in filter(itemgetter(1), numbered_lines(path, LineCount())):
        fields = line.split("\t")
        if len(fields) != 4 or not fields[0] or fields[2] not in _STARS or not _TIME.fullmatch(fields[3]):
            expected = "user, item, rating 1 to 5 and timestamp of at most 11 digits, separated by tabs"
            raise DataError(f"{path}: line {number}: expected {expected}, got {line[:80]!r}")
        user, item, stars, timestamp = fields
        if item not in titles:
            raise DataError(f"{path}: line {number}: item {item!r} is not in u.item")
        if (user, item) in seen:
            raise DataError(f"{path}: line {number}: user {user!r} rates item {item!r} a second time")
        seen.add((user, item))
        ratings.setdefault(user, []).append(Rating(item, _STARS[stars], timestamp))
    for rows in ratings.values():
        # Released: the timestamp is compared as a string, and equal ones keep the order of the file.
        rows.sort(key=lambda rating: rating.timestamp)
    return ratings


def _sample(sample_id: str, window: Window, rows: list[Rating], params: Params) -> Labelled:
    target = rows[window.position]
    history = rows[window.position - params.history_length : window.position]
    sample = Sample(
        sample_id=sample_id,
        user_id=window.user,
        history=tuple(Interaction(_item_id(event.item, params), event.stars > params.liked_above) for event in history),
        target_item_id=_item_id(target.item, params),
    )
    return Labelled(sample, target.stars > params.liked_above)


def _item_id(item: str, params: Params) -> str:
    return f"{params.noun}-{item}"


def _item(item: str, title: str, params: Params) -> Item:
    title = plain(title)
    return Item(_item_id(item, params), params.noun, text=title, mention=f'"{title}"')
