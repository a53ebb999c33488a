"""A table of ratings and one of titles: MovieLens-32M, 25M, 20M and latest, any data in their files, and 1M and 10M.

Each sample is a rating with the user's ratings before it, as in `movielens.py`, but read and ordered as columns: an
object is made for the selected samples alone, so that memory is a few numbers a rating.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, cast

import numpy as np

from benchmark.config.params import DomainParams, PositiveInt
from benchmark.config.values import Name
from benchmark.data.domains import DomainData
from benchmark.data.domains.rating_columns import SCALE, Integers, Ratings, read_ratings, read_titles
from benchmark.data.domains.splits import SplitFractions, boundaries, split_in_order, target_times
from benchmark.data.domains.titles import plain
from benchmark.data.sources import SourceFile
from benchmark.errors import DataError
from benchmark.schema import Interaction, Item, Labelled, Sample

__all__ = ["SCALE", "Params", "files", "max_n_shots", "read"]

_ARCHIVES = "https://files.grouplens.org/datasets/movielens"
_FOLDERS = {"ml-10m": "ml-10M100K"}
"""Releases whose archive holds a folder of another name."""


class Params(DomainParams):
    """Section of a domain in the format `ratings-table`."""

    release: Name
    """Archive at GroupLens and folder in the mirror: `ml-32m`, `ml-25m`, `ml-latest-small`, `ml-1m`, or your own."""
    layout: Literal["csv", "dat"]
    """`csv`: ratings.csv and movies.csv with a header; `dat`: ratings.dat and movies.dat, fields between `::`."""
    selection: Literal["released", "described"]
    """`described`: the most recent rows; `released`: the last rows in user order, as the released script selects."""
    n_samples: PositiveInt
    """Rows kept, over all splits."""
    split: SplitFractions


def files(params: Params) -> tuple[SourceFile, ...]:
    """The two raw files of the release; without a checksum, since any release can be named."""
    names = (f"ratings.{params.layout}", f"movies.{params.layout}")
    if params.source == "local":
        return tuple(SourceFile(f"{params.release}/{name}", "", None) for name in names)
    inside = _FOLDERS.get(params.release, params.release)
    url = f"{_ARCHIVES}/{params.release}.zip"
    return tuple(SourceFile(f"{params.release}/{name}", url, None, archive_member=f"{inside}/{name}") for name in names)


def max_n_shots(params: Params) -> int:
    """Rows of the training split."""
    return boundaries(params.n_samples, params.split)[0]


def read(raw: Path, params: Params) -> DomainData:
    """Ratings and titles -> samples in the order of the selection, split by position.

    Every line is used, or counted in the notes under the reason why not, with the number of the first such line.
    `raw` is named after its domain, which starts every sample id.

    Raises:
        DataError: a file is missing or has another header, or too few ratings have a full history.
    """
    titles, of_titles = read_titles(raw / f"movies.{params.layout}", params.layout)
    path = raw / f"ratings.{params.layout}"
    ratings, of_ratings = read_ratings(path, params.layout, titles, params.liked_above)
    counts = {f"movies.{params.layout}": of_titles, path.name: of_ratings}  # a title that is lost loses its ratings
    for name, count in counts.items():
        count.tell(raw / name)
    order, eligible = _windows(ratings, params.history_length)
    if len(eligible) < params.n_samples:
        raise DataError(
            f"{path}: {len(eligible)} ratings have {params.history_length} ratings of their user before them, "
            f"domains.{raw.name}.n_samples is {params.n_samples}; {of_ratings}; of the titles, {of_titles}"
        )
    chosen = _selected(eligible, ratings.time[order[eligible]], params)
    windows = order[chosen[:, None] + np.arange(-params.history_length, 1)]  # a row's last rating is its target
    samples = _samples(ratings, windows, list(titles), raw.name, params)
    notes = {
        "ratings": of_ratings.summary(),
        "titles": of_titles.summary(),
        "first_lines_left_out": {"ratings": of_ratings.first, "titles": of_titles.first},
        "titles_not_utf8": of_titles.not_utf8,
        "titles_garbled": of_titles.garbled,
        "eligible_rows": len(eligible),
        "titles_changed": sum(plain(title) != title for title in titles.values()),
        "titles_of_several_items": len(titles) - len(set(titles.values())),
        "target_times": target_times(ratings.time[windows[:, -1]].tolist(), params.split),
    }
    splits = split_in_order(samples, params.split)
    return DomainData(_items(ratings, windows, titles, params), splits, notes, lines=counts)


def _item_id(item: str, params: Params) -> str:
    return f"{params.noun}-{item}"


def _windows(ratings: Ratings, history_length: int) -> tuple[Integers, Integers]:
    """Ratings by user, oldest first, equal times in file order; and those places with a full history before them."""
    # One key, sorted in half the time of two. It fits in 64 bits: times have 11 digits at most.
    order = np.argsort(ratings.user * (np.int64(ratings.time.max(initial=0)) + 1) + ratings.time, kind="stable")
    n_of_user = np.bincount(ratings.user, minlength=len(ratings.users))
    first_of_user = np.cumsum(n_of_user) - n_of_user
    position = np.arange(len(order)) - np.repeat(first_of_user, n_of_user)
    return order, np.flatnonzero(position >= history_length)


def _selected(eligible: Integers, times: Integers, params: Params) -> Integers:
    """The last `n_samples` of `eligible`, in their order or in that of `times`."""
    if params.selection == "described":
        kth = len(times) - params.n_samples
        recent = np.flatnonzero(times >= np.partition(times, kth)[kth])  # sorting these alone is enough
        eligible = eligible[recent[np.argsort(times[recent], kind="stable")]]
    return eligible[-params.n_samples :]


def _samples(ratings: Ratings, windows: Integers, titles: Sequence[str], domain: str, params: Params) -> list[Labelled]:
    """A sample for each row of `windows`; they share their interactions, of which there are two an item."""
    events = ratings.item[windows] * 2 + ratings.liked[windows]
    occurring_events: list[int] = np.unique(events).tolist()
    users: list[int] = ratings.user[windows[:, -1]].tolist()
    interactions = {
        event: Interaction(_item_id(titles[event // 2], params), bool(event % 2)) for event in occurring_events
    }
    samples: list[Labelled] = []
    for number, (place, row) in enumerate(zip(users, events.tolist(), strict=True)):
        *history, target = (interactions[event] for event in row)
        sample = Sample(f"{domain}-{number}", ratings.users[place], tuple(history), target.item_id)
        samples.append(Labelled(sample, target.liked))
    return samples


def _items(ratings: Ratings, windows: Integers, titles: Mapping[str, str], params: Params) -> dict[str, Item]:
    """Those that occur in `windows`, sorted by id."""
    names, places = list(titles), cast(list[int], np.unique(ratings.item[windows]).tolist())
    shown = {item: plain(titles[item]) for item in sorted(names[place] for place in places)}
    return {
        _item_id(item, params): Item(_item_id(item, params), params.noun, title, mention=f'"{title}"')
        for item, title in shown.items()
    }
