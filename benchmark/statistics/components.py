"""What the scatter of one result is made of: the users, the draw, the initial weights, and the last two together.

Every draw is trained under every seed of initial weights (a crossed layout), and all are tested on the same rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
import scipy.special  # pyright: ignore[reportMissingTypeStubs]

from benchmark.statistics.influence import Measured
from benchmark.statistics.uncertainty import over_users

# scipy has no types. Whatever passes through this name is `Any`.
_special: Any = scipy.special


@dataclass(frozen=True, slots=True)
class Component:
    """One part of the scatter of a single run."""

    name: str
    variance: float
    """At least 0."""
    low: float
    """Lower end of the interval of its standard deviation, at least 0."""
    high: float


def components(runs: Sequence[Sequence[Measured]], confidence: float) -> list[Component]:
    """The parts of the variance of a single run, which add up to it.

    Args:
        runs: one metric of every run, a row a draw and a column a seed of initial weights; at least two of each.
        confidence: of the intervals, in (0, 1).

    Returns:
        `users` (left out where too few tell), `draw`, `weights`, and `draw x weights`: what a draw does under some
        weights and not under others.

    Source:
        Searle, Casella and McCulloch 1992, ch. 4: the analysis of variance of a two-way crossed layout with one
        observation a cell. Intervals as Tukey 1951 and Williams 1962, the mean square of the remainder being known.
    """
    values = np.array([[one.value for one in of_draw] for of_draw in runs])
    n_draws, n_weights = values.shape
    by_draw, by_weights, mean = values.mean(axis=1), values.mean(axis=0), values.mean()
    rest = values - by_draw[:, None] - by_weights[None, :] + mean
    dof = (n_draws - 1) * (n_weights - 1)
    remainder = float((rest**2).sum()) / dof

    def part(name: str, mean_square: float, n: float, less: float = 0.0, times: int = 1) -> Component:
        tails = ((1 + confidence) / 2, (1 - confidence) / 2)
        low, high = (n * mean_square / (2 * float(_special.gammaincinv(n / 2, tail))) for tail in tails)
        variance, *ends = (max(0.0, (value - less) / times) for value in (mean_square, low, high))
        return Component(name, variance, *map(sqrt, ends))

    spreads = [over_users(one.influence, one.n_effective) for of_draw in runs for one in of_draw]
    known = [spread for spread in spreads if spread]
    users = [part("users", sum(one.variance for one in known) / len(known), known[0].dof)] if known else []
    return [
        *users,
        part("draw", n_weights * float(by_draw.var(ddof=1)), n_draws - 1, remainder, n_weights),
        part("weights", n_draws * float(by_weights.var(ddof=1)), n_weights - 1, remainder, n_draws),
        part("draw x weights", remainder, dof),
    ]
