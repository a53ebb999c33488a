"""What noise explains of a change: other users, and other draws and initial weights (both called seeds here).

Users: each user's influence on the change, where both runs are of the same users; else the noise of both runs adds up.

Seeds: where the runs share seeds, the scatter of the changes of each seed; else the scatter of the seeds of each run.
Two seeds may agree by chance, and methods differ in how much they scatter, so a method has the largest scatter in its
pool: the methods of its family that changed, on the same test set and at the same K. Methods of a pool are trained on
the same draws. So they move together, and a pool of ten methods may know no more of the noise than one: its degrees of
freedom are those of as many independent methods.
"""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.schema import Cell
from benchmark.statistics.auc import Floats
from benchmark.statistics.uncertainty import NOISELESS, Spread, joined, over_users, pooled_variance
from benchmark.verdicts.compared_run import Run


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """One metric of one method in both runs, where it is not the same. A key: it equals itself alone."""

    group: Cell
    metric: str
    before: float
    """Mean over the seeds that are compared."""
    after: float
    parts: tuple[Mapping[int, float], ...]
    """By seed: the changes, where the runs share seeds; else the values of the reference, and those of this run."""
    is_seeded: bool
    """Whether another seed would give another value."""

    @property
    def value(self) -> float:
        """After minus before."""
        return self.after - self.before

    @property
    def has_same_seeds(self) -> bool:
        """Whether the runs are compared seed by seed."""
        return len(self.parts) == 1

    @property
    def per_seed(self) -> float:
        """Variance of the change for a variance of 1 of one seed."""
        return sum(1 / len(part) for part in self.parts)

    @property
    def pool(self) -> tuple[object, ...]:
        """What it shares with the methods whose seeds scatter alike."""
        group = self.group
        return group.family, group.test_domain, group.n_shots, self.metric, self.has_same_seeds


def over_users_of(changes: Sequence[Change], before: Run, after: Run) -> tuple[Spread | None, str]:
    """The noise of users in the mean of changes of one metric on one test set, and `paired` or `independent`.

    A run without influences is taken to be as uncertain as the other. None where too few users tell. Influences are of
    the mean over all seeds of a run: with more seeds in one run, what the further ones add is noise here.
    """
    old, new = _influence(changes, before), _influence(changes, after)
    test_domain = changes[0].group.test_domain
    if old and new and before.test_rows.get(test_domain) == after.test_rows.get(test_domain):
        return over_users(new[0] - old[0], min(old[1], new[1])), "paired"
    spreads = [over_users(*side) for side in (old or new, new or old) if side] or [None]
    return (None if None in spreads else joined([spread for spread in spreads if spread])), "independent"


def _influence(changes: Sequence[Change], run: Run) -> tuple[Floats, float] | None:
    """The influence of each user on the mean over the methods that changed, and the effective users."""
    known = [run.estimates.known.get((change.group, change.metric)) for change in changes]
    measured = [one.measured for one in known if one]
    if len(measured) < len(changes):
        return None
    return np.mean([one.influence for one in measured], axis=0), min(one.n_effective for one in measured)


def pools(changes: Iterable[Change]) -> dict[tuple[object, ...], Spread]:
    """The variance of one seed in each pool: that of the method that scatters most."""
    members: dict[tuple[object, ...], list[Change]] = defaultdict(list)
    for change in changes:
        if change.is_seeded:
            members[change.pool].append(change)
    found = {pool: _of_pool(together) for pool, together in members.items()}
    return {pool: spread for pool, spread in found.items() if spread}


def _of_pool(changes: Sequence[Change]) -> Spread | None:
    scatters = [spread for change in changes if (spread := _scatter(change.parts))]
    if not scatters:
        return None
    largest, n = max(spread.variance for spread in scatters), len(changes)
    mean = mean_parts(changes)
    of_mean = _scatter(mean) if mean else None
    if of_mean is None or largest == 0:  # their seeds differ: as many degrees of freedom as one method has
        return Spread(largest, max(spread.dof for spread in scatters))
    # With a correlation r, the mean of n methods has the share (1 + (n - 1) r) / n of their mean variance, which has
    # n / (1 + (n - 1) r^2) times the degrees of freedom of one.
    excess = n * of_mean.variance / statistics.fmean(spread.variance for spread in scatters) - 1
    correlation = min(1.0, max(0.0, excess / (n - 1))) if n > 1 else 0.0
    return Spread(largest, n * of_mean.dof / (1 + (n - 1) * correlation**2))


def _scatter(parts: Sequence[Mapping[int, float]]) -> Spread | None:
    """The variance of one seed; None where there is one alone."""
    return pooled_variance([list(part.values()) for part in parts])


def mean_parts(changes: Sequence[Change]) -> tuple[Mapping[int, float], ...] | None:
    """The parts of the mean of changes, seed by seed; None where their seeds differ."""
    first = changes[0].parts
    if any([part.keys() for part in change.parts] != [part.keys() for part in first] for change in changes):
        return None
    return tuple(
        {seed: float(np.mean([change.parts[place][seed] for change in changes])) for seed in part}
        for place, part in enumerate(first)
    )


def over_seeds_of(change: Change, pooled: Mapping[tuple[object, ...], Spread]) -> Spread | None:
    """The noise of seeds in one change; None where it is of other seeds, and nothing tells how much they scatter.

    One seed that both runs have is compared without: the same seed is the same draw and the same initial weights.
    """
    pool = pooled.get(change.pool) if change.is_seeded else NOISELESS
    if pool is None:
        return NOISELESS if change.has_same_seeds else None
    return Spread(pool.variance * change.per_seed, pool.dof)


def over_seeds_of_mean(changes: Sequence[Change], spreads: Sequence[Spread]) -> Spread:
    """The noise of seeds in the mean of changes: the larger of what its own scatter and that of the methods tells.

    The draws are shared by the methods at one seed and nested over K, so the noise of the mean may be as large as that
    of one method. Where their seeds differ, that is assumed. The scatter of the mean has as many degrees of freedom as
    there are seeds, however many methods there are.

    Args:
        changes: of one family, metric and test set.
        spreads: of each, as `over_seeds_of`.
    """
    n = len(changes)
    noisy = [(change, spread) for change, spread in zip(changes, spreads, strict=True) if spread.variance]
    if not noisy:
        return NOISELESS
    mean = mean_parts([change for change, _ in noisy])
    own = _scatter(mean) if mean else None
    if own is None:
        error = sum(spread.standard_error for _, spread in noisy) / n
        return Spread(error**2, min(spread.dof for _, spread in noisy))
    scatters = [spread.variance for change, _ in noisy if (spread := _scatter(change.parts))]
    if_independent = statistics.fmean(scatters) / len(noisy)
    share = len(noisy) / n  # the others have no noise of seeds
    return Spread(max(own.variance, if_independent) * noisy[0][0].per_seed * share**2, own.dof)
