"""What a claim is decided by: a distance, its margin, and whether one exceeds the other.

One rule decides every comparison. A test yields a distance d (positive speaks for the claim) and a margin m, the
half-width of its interval: d > m is supported, d < -m is contradicted, anything else is inconclusive. Where m
comes from:

- `paired`: a difference of two methods on the same resamples of the same users (`results/differences.csv`), with the
  noise of seeds; `comparisons` says how.
- `independent`: for one method, or two without such a difference, m joins the noise over users and over seeds of all
  operands, as if they were independent. Methods that are scored on the same users vary together, so for two of them
  this m is on the safe side. UAUC has no such interval over users, and is inconclusive then.
- `users alone`: a method that depends on its seed was run with one; nothing is decided.
- `published value`: the same for one method, against a number of the paper, which is taken as it stands.
- `exact`: a number without noise.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from benchmark.schema import Cell
from benchmark.statistics.comparisons import Difference, Pair, Spread, holm, joined, of_interval, over_seeds, p_value
from benchmark.statistics.comparisons import margin as half_width
from benchmark.statistics.results import Summary

Groups = Mapping[Cell, Summary | None]


@dataclass(frozen=True, slots=True)
class Evidence:
    """One comparison behind a claim."""

    what: str
    distance: float | None
    """In AUC or UAUC; None if something was not run."""
    margin: float | None
    verdict: str
    """`supported`, `contradicted`, `inconclusive`, `not run` or `not defined` (no user to judge)."""
    interval: str = ""
    """`paired`, `independent`, `users alone`, `published value` or `exact`; empty without a margin."""
    p_value: float | None = None
    """Two-sided, of a distance as far from 0; without correction."""


@dataclass(frozen=True, slots=True)
class Results:
    """All that a claim may be decided from."""

    groups: Groups
    confidence: float
    efficiency: Sequence[Mapping[str, Any]]
    """What stage `efficiency` measured, one a configuration."""
    model_is_papers: bool
    """Whether the language model is the paper's."""
    differences: Mapping[Pair, Difference] = field(default_factory=dict[Pair, Difference])
    """Paired differences, from `results/differences.csv`."""
    is_first_look: bool = False
    """Whether the test sets were cut (`evaluate.max_test_samples`), so that nothing is decided."""
    published: Mapping[Cell, float] = field(default_factory=dict[Cell, float])
    """AUC of the paper's main table, where our test rows are the paper's."""


def decide(distance: float, margin: float) -> str:
    """`supported`, `contradicted` or `inconclusive`."""
    return "supported" if distance > margin else "contradicted" if distance < -margin else "inconclusive"


def evidence(
    what: str,
    cells: Sequence[Cell],
    claim: Mapping[str, Any],
    results: Results,
    distance_of: Callable[[Sequence[float]], float],
) -> Evidence:
    """The comparison of one or two groups.

    Args:
        what: its name.
        cells: the groups.
        claim: an entry of `claims.yaml`; its `metric` is `auc` unless it says another.
        results: all results.
        distance_of: the distance from the metric of each group.
    """
    metric: str = claim.get("metric", "auc")
    summaries = [results.groups[cell] for cell in cells]
    complete = [summary for summary in summaries if summary and summary.is_complete]
    values = [value for summary in complete if (value := summary.mean(metric)) is not None]
    if len(complete) < len(cells):
        return Evidence(what, None, None, "not run")
    if len(values) < len(cells):
        return Evidence(what, None, None, "not defined")
    distance = distance_of(values)
    paired = results.differences.get((cells[0], cells[1], metric)) if len(cells) == 2 else None
    if not paired and metric == "uauc":
        return Evidence(what, distance, None, "inconclusive")
    parts = [part for summary in complete for part in _spreads(summary, results.confidence)]
    spread, interval = (paired.spread, "paired") if paired else (joined(parts), "independent")
    margin = half_width(spread, results.confidence)
    if any(summary.n_seeds == 1 and _depends_on_its_seed(cell) for cell, summary in zip(cells, complete, strict=True)):
        return Evidence(what, distance, margin, "inconclusive", "users alone")
    return Evidence(what, distance, margin, decide(distance, margin), interval, p_value(distance, spread))


def corrected(found: tuple[Evidence, ...], confidence: float) -> tuple[Evidence, ...]:
    """The comparisons of a claim; one that contradicts by chance, given how many there are, is inconclusive."""
    tested = [place for place, item in enumerate(found) if item.p_value is not None]
    p_values = dict(zip(tested, holm([found[place].p_value or 0.0 for place in tested]), strict=True))
    return tuple(
        replace(item, verdict="inconclusive")
        if item.verdict == "contradicted" and p_values.get(place, 0.0) >= 1 - confidence
        else item
        for place, item in enumerate(found)
    )


def _spreads(summary: Summary, confidence: float) -> list[Spread]:
    """The noise of the AUC of a group, over users and over seeds."""
    users = of_interval(summary.auc_low, summary.auc_high, summary.n_users, confidence)
    return [users, over_seeds(np.array(summary.aucs))] if summary.n_seeds > 1 else [users]


def _depends_on_its_seed(cell: Cell) -> bool:
    """Whether another seed would give another draw: not without a draw, nor for a rule on the full training set."""
    return cell.n_shots > 0 and cell.family != "control"
