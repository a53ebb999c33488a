"""What is known of each method, and of any sum or difference of methods: value, interval, p-value.

`results/influence.parquet` holds the influence of each user on each metric of each method (the mean over its seeds),
`results/metrics.csv` the value of each seed. Together they give every difference, paired by the users, now or against
another run on the same rows.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.schema import Cell, group_of
from benchmark.seeding import derive_seed
from benchmark.statistics.auc import Floats
from benchmark.statistics.influence import Measured, mean_over_seeds
from benchmark.statistics.simultaneous import adjusted
from benchmark.statistics.uncertainty import (
    NOISELESS,
    Spread,
    joined,
    margin,
    over_seeds,
    over_users,
    p_value,
    pooled_variance,
)

INFLUENCE = Path("results/influence.parquet")


@dataclass(frozen=True, slots=True)
class Known:
    """One metric of one method (a group of cells that differ by the seed alone)."""

    measured: Measured
    """The mean over the seeds that were run."""
    seeds: Mapping[int, float]
    """The value of each of them, by its number."""
    is_seeded: bool
    """Whether another seed would give another value."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value, or a sum or difference of values, and how uncertain it is."""

    value: float
    spread: Spread | None
    """None where nothing tells: one seed of a method that depends on it, or too few users."""
    why_unknown: str = ""
    """`one seed` or `too few users`, where `spread` is None."""
    parts: tuple[Spread, Spread] | None = None
    """Of the spread: over users and over seeds."""

    def margin(self, confidence: float) -> float | None:
        """Half-width of the interval over users and seeds."""
        return None if self.spread is None else margin(self.spread, confidence)

    def interval(self, confidence: float) -> tuple[float, float] | None:
        """The interval over users and seeds."""
        half = self.margin(confidence)
        return None if half is None else (self.value - half, self.value + half)

    def interval_of_metric(self, confidence: float) -> tuple[float, float] | None:
        """The same of one method, cut to [0, 1], where every metric lies; few seeds that disagree reach beyond."""
        ends = self.interval(confidence)
        return ends and (max(0.0, ends[0]), min(1.0, ends[1]))

    @property
    def p_value(self) -> float | None:
        """Two-sided, against a truth of 0; None where the spread is."""
        return None if self.spread is None else p_value(self.value, self.spread)


Terms = Mapping[Cell, float]
"""What is added up: groups with their factors, e.g. `{left: 1, right: -1}`."""
ROUNDING = 1e-12
"""A sum of AUCs that is nearer to 0 than this is 0: the mean of equal numbers is not always that number."""


@dataclass(frozen=True)
class Estimates:
    """Every metric of every method of one run."""

    known: Mapping[tuple[Cell, str], Known]
    """By group (a cell with seed 0) and metric."""
    pools: Mapping[Any, Spread] = field(init=False)

    def __post_init__(self) -> None:
        """Pool the variance of seeds of all methods of a family on one test set at one K."""
        members: dict[Any, list[Sequence[float]]] = defaultdict(list)
        for (group, metric), one in self.known.items():
            if one.is_seeded:
                members[_pool(group, metric)].append([*one.seeds.values()])
        pooled = {pool: pooled_variance(seeds) for pool, seeds in members.items()}
        object.__setattr__(self, "pools", {pool: spread for pool, spread in pooled.items() if spread})

    def estimate(self, group: Cell, metric: str = "auc") -> Estimate | None:
        """One metric of one method; None where it was not run or is not defined."""
        return self.combined({group: 1.0}, metric)

    def difference(self, left: Cell, right: Cell, metric: str = "auc") -> Estimate | None:
        """Left minus right; None where one of them was not run or is not defined."""
        return self.combined({left: 1.0, right: -1.0}, metric)

    def combined(self, terms: Terms, metric: str = "auc") -> Estimate | None:
        """A sum of methods with factors: on the same users where they share the test set.

        Returns:
            None where a method was not run, or the metric is not defined for it.
        """
        if any((group, metric) not in self.known for group in terms):
            return None
        value = sum(factor * self.known[group, metric].measured.value for group, factor in terms.items())
        value = value if abs(value) > ROUNDING else 0.0
        spreads: list[Spread | None] = [
            over_users(influence, n_effective) for influence, n_effective in self._influences(terms, metric).values()
        ]
        if None in spreads:
            return Estimate(value, None, "too few users")
        of_seeds = self._seed_parts(terms, metric)
        if of_seeds is None:
            return Estimate(value, None, "one seed")
        users = joined([one for one in spreads if one])
        seeds = joined(of_seeds) if of_seeds else NOISELESS
        return Estimate(value, joined([one for one in [*spreads, *of_seeds] if one]), parts=(users, seeds))

    def of_seeds(self, group: Cell, metric: str = "auc") -> Spread | None:
        """The noise of seeds alone of a mean: what differs between two runs on the same rows. None where not known."""
        found = self._over_seeds(group, metric) if (group, metric) in self.known else None
        return found[0] if found else None

    def adjusted(
        self, comparisons: Sequence[tuple[Terms, str]], p_values: Sequence[float], beside: Sequence[float] = ()
    ) -> list[float]:
        """The p-value of each comparison, corrected for all of them.

        Args:
            comparisons: sums of methods that have a spread, and their metric.
            p_values: of each by itself.
            beside: variance that each has beside that of its methods and shares with no other one; empty: none has.
        """
        covariance = self._covariance(comparisons) + np.diag(beside or np.zeros(len(comparisons)))
        return adjusted(p_values, covariance, derive_seed("max-T", len(comparisons)))

    def _influences(self, terms: Terms, metric: str) -> dict[str, tuple[Floats, float]]:
        """The influence of each user on the sum, and the effective users, by test set."""
        found: dict[str, tuple[Floats, float]] = {}
        for group, factor in terms.items():
            one = self.known[group, metric].measured
            sum_so_far, n_effective = found.get(group.test_domain, (0.0, one.n_effective))
            found[group.test_domain] = sum_so_far + factor * one.influence, min(n_effective, one.n_effective)
        return found

    def _seed_parts(self, terms: Terms, metric: str) -> list[Spread] | None:
        """The noise of seeds of a sum: of each method, pool or side; None where one of them is not known."""
        found = self._noise_of_seeds(terms, metric)
        if found is None:
            return None
        parts: dict[Any, Spread] = {}
        for source, factor, spread, is_pooled in found:
            key = _pool(source[0], metric) if is_pooled else source
            before = parts[key].variance if key in parts else 0.0
            parts[key] = Spread(before + spread.variance * factor**2, spread.dof)
        return [spread for spread in parts.values() if spread.variance]

    def _noise_of_seeds(self, terms: Terms, metric: str) -> list[tuple[tuple[Cell, ...], float, Spread, bool]] | None:
        """What of a sum varies with the seed: methods, factor, noise, and whether it is that of a pool.

        A side is what is added up, or taken away, of methods that learn from the same draws. They are nested over K, so
        that it may vary more than if the seeds of its methods had nothing in common; it counts as one then.
        """
        parts: list[tuple[tuple[Cell, ...], float, Spread, bool]] = []
        for side in self._sides(terms, metric):
            alone: list[tuple[tuple[Cell, ...], float, Spread, bool]] = []
            for group, factor in side.items():
                found = self._over_seeds(group, metric)
                if found is None:
                    return None
                alone.append(((group,), factor, *found))
            whole = self._scatter(side, metric)
            if whole and whole.variance > sum(spread.variance * factor**2 for _, factor, spread, _ in alone):
                sign = 1.0 if alone[0][1] > 0 else -1.0
                parts.append((tuple(side), sign, whole, False))
            else:
                parts += alone
        return parts

    def _sides(self, terms: Terms, metric: str) -> Iterable[Terms]:
        """The terms by their sign, what they learn from, and their seeds."""
        sides: dict[Any, dict[Cell, float]] = defaultdict(dict)
        for group, factor in terms.items():
            one = self.known[group, metric]
            sides[factor > 0, group.train_domain, frozenset(one.seeds if one.is_seeded else ())][group] = factor
        return sides.values()

    def _scatter(self, side: Terms, metric: str) -> Spread | None:
        """The noise of a side, by its sum at each seed; None of one method, which has its own, or without seeds."""
        known = [self.known[group, metric] for group in side]
        if len(known) < 2 or not known[0].is_seeded:
            return None
        sums = np.array(list(side.values())) @ np.array([[one.seeds[seed] for seed in known[0].seeds] for one in known])
        return over_seeds(sums.tolist(), None)[0]

    def _over_seeds(self, group: Cell, metric: str) -> tuple[Spread, bool] | None:
        """The noise of seeds of a method, and whether it is its pool's; 0 for one without any, None if not known."""
        one = self.known[group, metric]
        if not one.is_seeded:
            return NOISELESS, False
        return over_seeds([*one.seeds.values()], self.pools.get(_pool(group, metric))) if len(one.seeds) > 1 else None

    def _covariance(self, comparisons: Sequence[tuple[Terms, str]]) -> Floats:
        """Of the comparisons, shape (n, n): they share users and seeds."""
        rows: list[dict[Any, Floats]] = []
        for terms, metric in comparisons:
            row: dict[Any, Floats] = {}
            for test_domain, (influence, _) in self._influences(terms, metric).items():
                known = np.isfinite(influence)
                n = int(known.sum())
                row[test_domain] = np.where(known, influence - influence[known].mean(), 0.0) / np.sqrt(n * (n - 1))
            for source, factor, spread, _ in self._noise_of_seeds(terms, metric) or ():
                row[source, metric] = np.array([factor * spread.standard_error])
            rows.append(row)
        covariance = np.zeros((len(rows), len(rows)))
        for i, one in enumerate(rows):
            for j, other in enumerate(rows[: i + 1]):
                covariance[i, j] = covariance[j, i] = sum(float(one[k] @ other[k]) for k in one.keys() & other.keys())
        return covariance


def _pool(group: Cell, metric: str) -> tuple[str, str, int, str]:
    return group.family, group.test_domain, group.n_shots, metric


def known_of(measured: Mapping[Cell, Mapping[str, Measured | None]], seeded: Iterable[Cell]) -> dict[Any, Known]:
    """The groups of measured cells, by group and metric; a metric that one seed lacks is left out.

    Args:
        measured: every metric of every cell that was run.
        seeded: cells of which another seed would be another value.
    """
    of_group: dict[Cell, dict[int, Mapping[str, Measured | None]]] = defaultdict(dict)
    for cell, metrics in measured.items():
        of_group[group_of(cell)][cell.seed] = metrics
    seeded_groups = {group_of(cell) for cell in seeded}
    found: dict[Any, Known] = {}
    for group, seeds in of_group.items():
        for metric in next(iter(seeds.values())):
            known = {seed: one for seed, metrics in seeds.items() if (one := metrics[metric]) is not None}
            if len(known) == len(seeds):
                values = {seed: one.value for seed, one in known.items()}
                found[group, metric] = Known(mean_over_seeds([*known.values()]), values, group in seeded_groups)
    return found
