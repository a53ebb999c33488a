"""How uncertain a mean over seeds is: which users were asked and which draws and initial weights were used.

The model is one of crossed random effects: the variance of a mean over S seeds on n users is s_u^2/n + s_s^2/S +
s_us^2/(nS). The influences of users hold the first and the last part, the values of seeds the second and the last; the
last is small and counted twice, which is on the safe side. docs/decisions/015 has what was measured of it.
"""

import math
from collections.abc import Iterable, Sequence
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
    """Degrees of freedom of the variance, at least 1."""

    @property
    def standard_error(self) -> float:
        """Square root of the variance."""
        return math.sqrt(self.variance)


NOISELESS = Spread(0.0, 1.0)


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


def over_seeds(values: Sequence[float], pooled: Spread | None) -> tuple[Spread, bool]:
    """The spread of the mean of at least two seeds: the larger of its own variance and that of its pool.

    Two seeds that happen to agree say nothing; what other methods of the family do at the same K does.

    Returns:
        The spread, and whether it is that of the pool. Two methods of one pool then have the same variance, which is
        known no better for being used twice.
    """
    own = Spread(float(np.var(values, ddof=1)), len(values) - 1)
    is_pooled = pooled is not None and pooled.variance > own.variance
    larger = pooled if pooled is not None and is_pooled else own
    return Spread(larger.variance / len(values), larger.dof), is_pooled


def joined(spreads: Sequence[Spread]) -> Spread:
    """The spread of a sum of independent parts, at least one.

    Source:
        Satterthwaite 1946, Welch 1947 for the degrees of freedom.
    """
    variance = sum(spread.variance for spread in spreads)
    if variance == 0:
        return Spread(0.0, min(spread.dof for spread in spreads))
    # Shares of the variance, since the square of a tiny variance is 0 in floating point.
    return Spread(variance, 1 / sum((spread.variance / variance) ** 2 / spread.dof for spread in spreads))


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
