"""The regression gate: is any method worse than at another revision, by more than noise explains?

A cell of the reference is compared with the same cell of this run. Where the seeds differ, or on request, the mean over
seeds stands for the cells. A drop is a regression if it exceeds its tolerance, a one-sided bound at
alpha / (number of comparisons) (Bonferroni): where nothing but noise changed, at most a share alpha of all checks turns
red. The tolerance has two parts:

- users, always: with the predictions of both runs, the bootstrap of the difference on the same resampled users
  (`paired`); else the intervals of both, as if they were independent, which is wider;
- seeds, for means: the largest variance over seeds that a method of the same family has on the test domain, in the
  reference. Methods differ in how much their seeds scatter, and two seeds of one method may agree by chance; a mean
  over methods would turn red too often. It is taken from the reference alone, so that a draw that went wrong
  does not excuse itself. With a single seed nothing is known of it: other seeds are `not comparable` then.

The same cell on the same machine gives the same scores, so its comparison has no seed noise. What is trained on another
machine may differ as another seed does: compare means then.
"""

import statistics
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.artifacts.files import read_scores
from benchmark.artifacts.paths import METRICS_CSV, labels_file
from benchmark.config.params import Params
from benchmark.errors import ConfigError, MissingArtifactError
from benchmark.schema import Cell, group_of
from benchmark.statistics.auc import Floats
from benchmark.statistics.comparisons import (
    Spread,
    by_group,
    cell_metrics,
    joined,
    margin,
    mean_over_seeds,
    of_interval,
    over_users,
)
from benchmark.statistics.labels import TestRows, in_order, read_test_rows
from benchmark.statistics.results import MetricRow, Summary, read_rows, summarise
from benchmark.verdicts.compared_run import fetch_predictions, reference_rows

FAILURES = ("regression", "missing")
"""Verdicts that turn the check red."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One comparison."""

    cell: Cell
    """What is compared; of a mean over seeds, the first."""
    n_seeds: int
    """Seeds of the reference that `before` is the mean of."""
    verdict: str
    """`same`, `better`, `regression`, `missing` (in the reference, not in this run), `new` or `not comparable`."""
    before: float | None = None
    """AUC of the reference."""
    after: float | None = None
    tolerance: float | None = None
    """The largest drop that noise explains."""
    interval: str = ""
    """`paired` or `independent`."""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PairedSpreads:
    """The spread over users of `after - before`, where the predictions of both runs are there."""

    cells: Mapping[Cell, Spread] = field(default_factory=dict[Cell, Spread])
    means: Mapping[Cell, Spread] = field(default_factory=dict[Cell, Spread])
    """Of the means over seeds, by group."""


def check(
    against: str, predictions: Path | None, params: Params, *, alpha: float, by_mean: bool = False
) -> list[Finding]:
    """Compare `results/metrics.csv` of the working directory with the metrics of `against`.

    Args:
        against: as `reference_rows`.
        predictions: folder with the predictions of the reference (`control/`, `baseline/`, ...); None: those that DVC
            keeps of the revision `against`, if its cache is here.
        params: the configuration of this run.
        alpha: as `compare`, in (0, 0.5).
        by_mean: as `compare`.

    Raises:
        ConfigError: `alpha` is out of its range.
        MissingArtifactError: the metrics of one side are not there; or `predictions` is not, or holds no cell of the
            reference.
        SchemaError: metrics are malformed.
    """
    if not 0 < alpha < 0.5:
        raise ConfigError(f"--alpha: expected a rate above 0 and below 0.5, got {alpha:g}")
    old, new = reference_rows(against), read_rows(METRICS_CSV)
    if predictions and not predictions.is_dir():
        raise MissingArtifactError(f"--predictions {predictions}: no such folder")
    with tempfile.TemporaryDirectory() as temporary:
        kept = Path(temporary) / "predictions"
        folder = predictions or (kept if fetch_predictions(against, kept) else None)
        paired = _paired(folder, old, new, params) if folder else PairedSpreads()
    if predictions and not paired.means:
        raise MissingArtifactError(f"--predictions {predictions}: no cell of both runs with scores of our test samples")
    confidence = params.evaluate.confidence
    return compare(old, new, alpha=alpha, confidence=confidence, paired=paired, by_mean=by_mean)


def _paired(folder: Path, old: Sequence[MetricRow], new: Sequence[MetricRow], params: Params) -> PairedSpreads:
    domains = {row.cell.test_domain for row in new}
    truth = {domain: read_test_rows(domain) for domain in sorted(domains) if labels_file(domain).exists()}
    before, after = (
        {row.cell: read_scores(root, row.cell) for row in rows if row.status == "ok"}
        for root, rows in ((str(folder), old), ("predictions", new))
    )
    return paired_spreads(before, after, truth, params.evaluate.n_bootstrap)


def paired_spreads(
    before: Mapping[Cell, Mapping[str, float] | None],
    after: Mapping[Cell, Mapping[str, float] | None],
    truth: Mapping[str, TestRows],
    n_resamples: int,
) -> PairedSpreads:
    """The spread over users of `after - before` for all that both runs have, on our test samples.

    Args:
        before: scores by sample id of every cell of the reference; None where they are not there.
        after: the same of this run.
        truth: by test domain.
        n_resamples: resamples of users.
    """
    sides: list[dict[Cell, Floats]] = [{}, {}]
    lost: set[Cell] = set()
    for side, read in zip(sides, (before, after), strict=True):
        for cell, scores in read.items():
            known = truth.get(cell.test_domain)
            values = in_order(scores, known) if scores and known else None
            if values is None:
                lost.add(group_of(cell))  # a part of a group would be another mean
            else:
                side[cell] = values
    cells: dict[Cell, Spread] = {}
    means: dict[Cell, Spread] = {}
    for domain, known in truth.items():
        n_users = len(set(known.users))
        scores_of = [{cell: found for cell, found in side.items() if cell.test_domain == domain} for side in sides]
        old, new = (cell_metrics("auc", scores, known, n_resamples) for scores in scores_of)
        for cell in old.keys() & new.keys():
            cells[cell] = over_users(new[cell].resampled - old[cell].resampled, n_users)
        old_groups, new_groups = by_group(old), by_group(new)
        for group in old_groups.keys() & new_groups.keys() - lost:
            change = mean_over_seeds(new_groups[group]) - mean_over_seeds(old_groups[group])
            means[group] = over_users(change, n_users)
    return PairedSpreads(cells, means)


@dataclass(frozen=True, slots=True)
class _Comparison:
    """Two results and the parts of their noise."""

    cell: Cell
    was: Summary
    now: Summary
    spreads: Sequence[Spread]
    interval: str


def compare(
    before: Iterable[MetricRow],
    after: Iterable[MetricRow],
    *,
    alpha: float,
    confidence: float,
    paired: PairedSpreads | None = None,
    by_mean: bool = False,
) -> list[Finding]:
    """A finding for each cell or mean of the reference, in its order, then for what is new.

    Args:
        before: the reference.
        after: this run.
        alpha: share of checks that may turn red by noise alone, in (0, 0.5).
        confidence: of the intervals in both, in (0, 1).
        paired: the spreads over users of the differences, where known.
        by_mean: compare means over seeds even where the seeds are the same.
    """
    old, new = _rows_of_groups(before), _rows_of_groups(after)
    known = paired or PairedSpreads()
    noise = _seed_noise(old)
    found: list[Finding | _Comparison] = []
    for group, rows in old.items():
        was, now = [row for row in rows if row.status == "ok"], new.get(group, [])
        if was and not by_mean and {row.cell for row in was} <= {row.cell for row in now}:
            results = {row.cell: row for row in now}
            for row in was:
                found.append(_compared([row], [results[row.cell]], known.cells.get(row.cell), None, confidence))
        elif was:
            seeds = noise.get((group.family, group.test_domain))
            found.append(_compared(was, now, known.means.get(group), seeds, confidence, is_mean=True))
    n_comparisons = sum(isinstance(item, _Comparison) for item in found)
    findings = [item if isinstance(item, Finding) else _decided(item, alpha / n_comparisons) for item in found]
    for group, rows in new.items():
        added = _summary(rows) if not any(row.status == "ok" for row in old.get(group, [])) else None
        if added:
            findings.append(Finding(added.cell, added.n_seeds, "new", after=added.auc))
    return findings


def _compared(
    before: Sequence[MetricRow],
    after: Sequence[MetricRow],
    over_same_users: Spread | None,
    seeds: Spread | None,
    confidence: float,
    *,
    is_mean: bool = False,
) -> Finding | _Comparison:
    """One comparison, or why there is none. `seeds`: the variance of one seed, for means."""
    was, now = _summary(before), _summary(after)
    assert was is not None, "the caller leaves out what the reference does not have"
    if now is None or not now.is_complete or now.n_seeds < was.n_seeds:
        reason = f"{now.n_seeds} of {was.n_seeds} seeds" if now else ""
        return Finding(was.cell, was.n_seeds, "missing", before=was.auc, reason=reason)
    spreads = (
        [over_same_users]
        if over_same_users
        else [of_interval(one.auc_low, one.auc_high, one.n_users, confidence) for one in (was, now)]
    )
    has_other_seeds = {row.cell for row in before} != {row.cell for row in after}
    if is_mean and seeds:
        spreads.append(Spread(seeds.variance * (1 / was.n_seeds + 1 / now.n_seeds), seeds.dof))
    elif is_mean and has_other_seeds and now.auc != was.auc:
        reason = "other seeds, and one alone in the reference"
        return Finding(was.cell, was.n_seeds, "not comparable", was.auc, now.auc, reason=reason)
    return _Comparison(was.cell, was, now, spreads, "paired" if over_same_users else "independent")


def _decided(found: _Comparison, level: float) -> Finding:
    # A one-sided bound at `level` is the end of a two-sided interval of confidence 1 - 2 level.
    tolerance = margin(joined(found.spreads), 1 - 2 * level)
    change = found.now.auc - found.was.auc
    verdict = "regression" if change < -tolerance else "better" if change > tolerance else "same"
    return Finding(found.cell, found.was.n_seeds, verdict, found.was.auc, found.now.auc, tolerance, found.interval)


def _rows_of_groups(rows: Iterable[MetricRow]) -> dict[Cell, list[MetricRow]]:
    found: dict[Cell, list[MetricRow]] = {}
    for row in rows:
        found.setdefault(group_of(row.cell), []).append(row)
    return found


def _summary(rows: Sequence[MetricRow]) -> Summary | None:
    """Rows of one group as one; None without a valid one."""
    return next(iter(summarise(rows).values()), None)


def _seed_noise(groups: Mapping[Cell, Sequence[MetricRow]]) -> dict[tuple[str, str], Spread]:
    """The largest variance of one seed in each family and test domain, and how many seeds speak of it."""
    variances: dict[tuple[str, str], list[tuple[float, int]]] = defaultdict(list)
    for group, rows in groups.items():
        aucs = [row.auc for row in rows if row.auc is not None]
        if len(aucs) > 1:
            variances[group.family, group.test_domain].append((statistics.variance(aucs), len(aucs) - 1))
    return {key: Spread(max(v for v, _ in found), sum(dof for _, dof in found)) for key, found in variances.items()}
