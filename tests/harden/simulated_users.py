"""Worlds of users as on the real movie test set, and four unlike kinds of scorers: for how often intervals are right.

Users, and what they like, are drawn anew in each world; rows a user and the items are always the same. Of a score, the
truth is its mean AUC over worlds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from benchmark.statistics.influence import Measured, auc_of_pairs

ROWS = (10, 16, 22, 10, 53, 174, 51, 29, 132, 30, 98, 39, 97, 12, 69, 158)
"""Rows of each user of the movie test set of MovieLens-100K: three users hold 46 % of them."""
LIKES = (9, 4, 5, 2, 20, 45, 30, 25, 86, 20, 39, 32, 56, 9, 59, 87)
"""How many of them are likes."""
MANY = tuple(max(2, ROWS[user % len(ROWS)] // 4) for user in range(200))
"""200 users as unequal as those, with a quarter of the rows."""
KINDS = ("constant by user", "mixture", "by item", "random")
TRUTH = {ROWS: (0.7177, 0.7226, 0.6167, 0.5), MANY: (0.7353, 0.7335, 0.6145, 0.5)}
"""Mean AUC of each kind over worlds, known to a fiftieth of the noise over users."""
NOISE = {ROWS: (0.061, 0.0505, 0.021, 0.0189), MANY: (0.0189, 0.0165, 0.0106, 0.0107)}
"""Its standard deviation over worlds."""
N_ITEMS = 400

_rates = np.array(LIKES) / np.array(ROWS)
_size = _rates.mean() * (1 - _rates.mean()) / _rates.var(ddof=1) - 1
BETA = (float(_rates.mean() * _size), float((1 - _rates.mean()) * _size))
"""Of the rates of likes: mean and variance as those of the real users."""


@dataclass(frozen=True, slots=True)
class World:
    """One draw of users."""

    users: NDArray[np.int64]
    liked: NDArray[np.bool_]
    scores: NDArray[np.float64]
    """Shape (4, n_rows): one vector a kind."""


def world(rows: Sequence[int], rng: np.random.Generator) -> World:
    """Users who differ in how much they like, on items that differ in quality.

    The scorers know the leniency of a user, that and the item (of some users more than of others), the item, nothing.
    """
    quality = np.random.default_rng(1).normal(0, 0.8, N_ITEMS)
    opinion = quality + np.random.default_rng(2).normal(0, 0.5, N_ITEMS)  # what a scorer takes it for
    popularity = 1 / np.arange(4, N_ITEMS + 4)
    users = np.repeat(np.arange(len(rows)), rows)
    rate = np.clip(rng.beta(*BETA, len(rows)), 0.02, 0.98)
    leniency = np.log(rate / (1 - rate))
    items = rng.choice(N_ITEMS, len(users), p=popularity / popularity.sum())
    liked = rng.random(len(users)) < 1 / (1 + np.exp(-(leniency[users] + quality[items])))
    believed = leniency + rng.normal(0, 0.7, len(rows))
    skill = rng.normal(1, 0.7, len(rows))
    scores = np.stack(
        [
            believed[users],
            believed[users] + skill[users] * opinion[items] + rng.normal(0, 0.7, len(users)),
            opinion[items],
            rng.random(len(users)),
        ]
    )
    return World(users, liked, scores)


@cache
def kinds_of(rows: tuple[int, ...], number: int) -> tuple[Measured, ...]:
    """The AUC of each kind in one world, and the influences of its users."""
    drawn = world(rows, np.random.default_rng([number, len(rows)]))
    alike = np.zeros_like(drawn.users)
    found = [auc_of_pairs(drawn.liked, scores, drawn.users, alike) for scores in drawn.scores]
    return tuple(one for one in found if one is not None)
