"""How uncertain a mean over seeds is: which users were asked and which draws and initial weights were used.

The model is one of crossed random effects: the variance of a mean over S seeds on n users is s_u^2/n + s_s^2/S +
s_us^2/(nS). The influences of users hold the first and the last part, the values of seeds the second and the last; the
last is small and counted twice, which is on the safe side.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.special  # pyright: ignore[reportMissingTypeStubs]

from benchmark.statistics.auc import Floats

# scipy has no types. Whatever passes through this name is `Any`.
_special: Any = scipy.special


@dataclass(frozen=True, slots=True)
class Spread:
    """How uncertain a value is."""

    variance: float
    dof: float
    """Degrees of freedom of the variance; infinite where it is taken as known."""

    @property
    def standard_error(self) -> float:
        """Square root of the variance."""
        return math.sqrt(self.variance)


def over_users(influence: Floats, n_effective: float) -> Spread | None:
    """The spread of a metric over users; None where too few users tell.

    Args:
        influence: shape (n_users,), NaN for users whom the metric is not about.
        n_effective: users that would be as uncertain if all had equally many rows; its degrees of freedom are one less.
    """
    known = influence[np.isfinite(influence)]
    if len(known) < 2:
        return None
    return Spread(float(known.var(ddof=1)) / len(known), max(1.0, n_effective - 1))


def pooled_variance(groups: Iterable[Sequence[float]]) -> Spread | None:
    """The variance of one seed, pooled over methods that have several; None where none has."""
    known = [(float(np.var(values, ddof=1)), len(values) - 1) for values in groups if len(values) > 1]
    dof = sum(n for _, n in known)
    return Spread(sum(variance * n for variance, n in known) / dof, dof) if dof else None


def over_seeds(values: Sequence[float], pooled: Spread | None) -> Spread:
    """The spread of the mean of at least two seeds: the larger of its own variance and that of its pool.

    Two seeds that happen to agree say nothing; what other methods of the family do at the same K does.
    """
    own = Spread(float(np.var(values, ddof=1)), len(values) - 1)
    larger = pooled if pooled and pooled.variance > own.variance else own
    return Spread(larger.variance / len(values), larger.dof)


def joined(spreads: Sequence[Spread]) -> Spread:
    """The spread of a sum of independent parts.

    Source:
        Satterthwaite 1946, Welch 1947 for the degrees of freedom.
    """
    variance = sum(spread.variance for spread in spreads)
    if variance == 0:
        return Spread(0.0, min(spread.dof for spread in spreads))
    return Spread(variance, variance**2 / sum(spread.variance**2 / spread.dof for spread in spreads))


def margin(spread: Spread, confidence: float) -> float:
    """Half-width of the interval of a value."""
    return float(_special.stdtrit(spread.dof, (1 + confidence) / 2)) * spread.standard_error


def p_below(value: float, spread: Spread) -> float:
    """One-sided: how likely a value of `value` or less is where the truth is 0."""
    if spread.variance == 0:
        return 0.0 if value < 0 else 1.0
    return float(_special.stdtr(spread.dof, value / spread.standard_error))


def p_value(value: float, spread: Spread) -> float:
    """Two-sided: how likely a value as far from 0 is where the truth is 0."""
    return min(1.0, 2 * p_below(-abs(value), spread))


def pools(values: Mapping[Any, tuple[Any, Sequence[float]]]) -> dict[Any, Spread]:
    """The pooled variance of each pool.

    Args:
        values: by method, its pool and the value of each of its seeds.
    """
    members: dict[Any, list[Sequence[float]]] = defaultdict(list)
    for pool, seeds in values.values():
        members[pool].append(seeds)
    found = {pool: pooled_variance(groups) for pool, groups in members.items()}
    return {pool: spread for pool, spread in found.items() if spread}
