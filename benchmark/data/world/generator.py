"""The embedded world: users, items and ratings with a known truth, written in the raw formats of the real data.

Users differ in leniency, items in quality, and a little in taste for a genre. A rating is their sum and noise. Items
come in series that share the first word of their title and most of their quality: who reads titles can tell a series,
who sees ids cannot. Quality is what `benchmark.data.world.texts` writes about; nothing about users or ratings goes
into a text. Every part has a seed of its own name, so the texts are the same whatever users and ratings are drawn.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

from benchmark.config.params import WorldParams
from benchmark.data.world.words import AUTHORS, OTHER_SERIES, SECOND, SERIES
from benchmark.errors import ConfigError
from benchmark.schema import Labelled
from benchmark.seeding import derive_seed

N_GENRES = 4
SERIES_SHARE = 0.9
"""Share of the variance of quality that is the series'."""
SCALES = {"ml-100k": (1, 5, 3), "bookcrossing": (1, 10, 5)}
"""Format -> lowest rating, highest rating, highest rating that is no like."""


@dataclass(frozen=True)
class WorldItem:
    """An item and the truth about it."""

    title: str
    author: str
    quality: float
    """Standard normal."""
    fame: float
    """Of the series; uncorrelated with the quality of the series, by construction."""
    genre: int


def world_items(world: WorldParams, noun: str) -> list[WorldItem]:
    """The `world.n_items` items called `noun` that users rate; they depend on noun, seed and number alone.

    Raises:
        ConfigError: the world has no such kind of item, or not as many titles.
    """
    return _items(world, noun, SERIES, world.n_items, "items")


def other_items(world: WorldParams, noun: str) -> list[WorldItem]:
    """Items called `noun` that no user rates, of series of their own; as many as `world.n_other_items`."""
    return _items(world, noun, OTHER_SERIES, world.n_other_items, "other items")


def _items(
    world: WorldParams, noun: str, all_series: Mapping[str, Sequence[str]], n_items: int, name: str
) -> list[WorldItem]:
    if noun not in all_series:
        raise ConfigError(f"the embedded world has items called {', '.join(all_series)}, none called {noun!r}")
    series = all_series[noun]
    rng = np.random.default_rng(derive_seed("world", name, noun, world.seed))
    pairs = rng.permutation(len(series) * len(SECOND))[:n_items].tolist()
    if len(pairs) < n_items:
        raise ConfigError(f"params.yaml: world: {n_items} {name} are more than the {len(pairs)} titles there are")
    shared, own = rng.standard_normal(len(series)), rng.standard_normal(len(pairs))
    fame = _uncorrelated(rng.standard_normal(len(series)), shared)
    return [
        WorldItem(
            title=f"{series[pair // len(SECOND)]} {SECOND[pair % len(SECOND)]}",
            author=AUTHORS[int(rng.integers(len(AUTHORS)))],
            quality=float(
                math.sqrt(SERIES_SHARE) * shared[pair // len(SECOND)] + math.sqrt(1 - SERIES_SHARE) * own[number]
            ),
            fame=float(fame[pair // len(SECOND)]),
            genre=int(rng.integers(N_GENRES)),
        )
        for number, pair in enumerate(pairs)
    ]


def _uncorrelated(values: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """`values` without what `others` explain of them, standardised."""
    values, others = values - values.mean(), others - others.mean()
    rest = values - (values @ others) / (others @ others) * others
    return rest / rest.std()


def liking(world: WorldParams, noun: str, n_users: int) -> NDArray[np.float64]:
    """Truth without noise: how much user u likes item i, in units of the rating noise. Shape (n_users, n_items)."""
    items = world_items(world, noun)
    rng = np.random.default_rng(derive_seed("world", "users", noun, world.seed))
    leniency = rng.standard_normal((n_users, 1)) * world.leniency_sd
    taste = rng.standard_normal((n_users, N_GENRES)) * world.taste_sd
    quality = np.array([item.quality for item in items]) * world.quality_sd
    return leniency + taste[:, [item.genre for item in items]] + quality


def write_raw(world: WorldParams, data_format: str, noun: str, folder: Path) -> None:
    """Write the ratings and items that are called `noun` as raw files of `data_format` into `folder`.

    Raises:
        ConfigError: the world cannot be written in that format.
    """
    if data_format not in SCALES:
        raise ConfigError(f"the embedded world is written as {' or '.join(SCALES)}, not as {data_format}")
    items, ratings = world_items(world, noun), list(_ratings(world, data_format, noun))
    if data_format == "ml-100k":
        genres = "|".join(["0"] * 19)
        _write(folder / "u.data", [f"{user}\t{item + 1}\t{value}\t{time}" for user, item, value, time in ratings])
        _write(folder / "u.item", [f"{n}|{item.title}|01-Jan-1990|||{genres}" for n, item in enumerate(items, 1)])
    else:
        head = '"User-ID";"ISBN";"Book-Rating"'
        _write(
            folder / "BX-Book-Ratings.csv",
            [head] + [f'"{u}";"{_isbn(i)}";"{value}"' for u, i, value, _ in ratings],
        )
        fields = ["ISBN", "Book-Title", "Book-Author", "Year-Of-Publication", "Publisher"]
        fields += ["Image-URL-S", "Image-URL-M", "Image-URL-L"]
        rows = [[_isbn(n), item.title, item.author, "1990", "Embedded", "", "", ""] for n, item in enumerate(items)]
        _write(folder / "BX-Books.csv", [";".join(f'"{field}"' for field in row) for row in [fields, *rows]])


def bayes_auc(world: WorldParams, noun: str, data_format: str, test: Sequence[Labelled]) -> float:
    """AUC of the true liking on `test`: no method that knows less than the generator is expected above it."""
    truth = liking(world, noun, world.populations[data_format].n_users)
    scores = [truth[_user(row.sample.user_id), _item(row.sample.target_item_id, data_format)] for row in test]
    auc = roc_auc_score([row.liked for row in test], scores)  # pyright: ignore[reportUnknownVariableType]
    return float(auc)  # pyright: ignore[reportUnknownArgumentType]


def _ratings(world: WorldParams, data_format: str, noun: str) -> Iterator[tuple[int, int, int, int]]:
    """(user from 1, item from 0, rating, time) in random order of rows, as in the original files."""
    lowest, highest, highest_dislike = SCALES[data_format]
    population = world.populations[data_format]
    truth = liking(world, noun, population.n_users)
    rng = np.random.default_rng(derive_seed("world", "ratings", noun, world.seed))
    step = (highest - lowest) / 4
    rows: list[tuple[int, int, int, int]] = []
    fewest, most = population.ratings_per_user
    for user in range(population.n_users):
        size = min(world.n_items, int(rng.integers(fewest, most + 1)))
        start = 880_000_000 + int(rng.integers(10_000_000))
        for item in rng.permutation(world.n_items)[:size].tolist():
            utility = truth[user, item] + rng.standard_normal() * world.noise_sd
            rating = min(highest, max(lowest, highest_dislike + math.ceil(utility * step)))
            start += int(rng.integers(1, 300))
            rows.append((user + 1, item, rating, start))
    return (rows[int(row)] for row in rng.permutation(len(rows)))


def _isbn(item: int) -> str:
    return f"{item:09d}X"


def _user(user_id: str) -> int:
    return int(user_id.rsplit("-", 1)[-1]) - 1


def _item(item_id: str, data_format: str) -> int:
    number = item_id.rsplit("-", 1)[-1]
    return int(number) - 1 if data_format == "ml-100k" else int(number.removesuffix("X"))


def _write(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="latin-1")
