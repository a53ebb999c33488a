"""What a claim is decided by: a distance, its margin, and whether one exceeds the other.

One rule decides every comparison. A test yields a distance d (positive speaks for the claim) and a margin m, the
half-width of its interval over users and seeds: d > m is supported, d < -m is contradicted, all else is
inconclusive. Where the interval is from:

- `users and seeds`: of a sum or difference of methods, on the same users (`estimates`);
- `one seed`: a method that depends on its seed was run with one; nothing is decided;
- `too few users`: nobody can tell; nothing is decided;
- `published value`: of ours alone, against a number of the paper, which is taken as it stands;
- `exact`: a number without noise.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from benchmark.schema import Cell
from benchmark.statistics.estimates import Estimates, Terms
from benchmark.statistics.results import Summary
from benchmark.statistics.uncertainty import Spread, joined, p_value
from benchmark.statistics.uncertainty import margin as half_width

PUBLISHED_DOF = 4.0
"""Degrees of freedom of the noise of a published value, which is the mean of five seeds."""
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
    """`users and seeds`, `one seed`, `too few users`, `published value` or `exact`; empty where nothing was run."""
    p_value: float | None = None
    """Two-sided, of a distance as far from 0; without correction."""
    terms: tuple[tuple[Cell, float], ...] = ()
    """The methods behind the distance, with their factors."""
    metric: str = "auc"


@dataclass(frozen=True, slots=True)
class Results:
    """All that a claim may be decided from."""

    groups: Groups
    confidence: float
    efficiency: Sequence[Mapping[str, Any]]
    """What stage `efficiency` measured, one a configuration."""
    model_is_papers: bool
    """Whether the language model is the paper's."""
    model: str = ""
    """The language model of this run."""
    estimates: Estimates = field(default_factory=lambda: Estimates({}))
    """Of every method."""
    is_first_look: bool = False
    """Whether the test sets were cut (`evaluate.max_test_samples`), so that nothing is decided."""
    published: Mapping[Cell, float] = field(default_factory=dict[Cell, float])
    """AUC of the paper's main table, where our test rows are the paper's."""
    published_errors: Mapping[Cell, float] = field(default_factory=dict[Cell, float])
    """Standard error over seeds of published values, as the public re-runs of the released code scatter."""


def decide(distance: float, margin: float) -> str:
    """`supported`, `contradicted` or `inconclusive`."""
    return "supported" if distance > margin else "contradicted" if distance < -margin else "inconclusive"


def evidence(
    what: str,
    terms: Terms,
    claim: Mapping[str, Any],
    results: Results,
    distance_of: Callable[[float], float] = float,
) -> Evidence:
    """The comparison of one or several groups.

    Args:
        what: its name.
        terms: the groups with their factors.
        claim: an entry of `claims.yaml`; its `metric` is `auc` unless it says another.
        results: all results.
        distance_of: the distance from the sum of the groups; a shift or a sign, so that its margin is that of the sum.
    """
    metric: str = claim.get("metric", "auc")
    summaries = [results.groups[cell] for cell in terms]
    if not all(summary and summary.is_complete for summary in summaries):
        return Evidence(what, None, None, "not run")
    found = results.estimates.combined(terms, metric)
    if found is None:
        return Evidence(what, None, None, "not defined")
    distance = distance_of(found.value)
    if found.spread is None:
        return Evidence(what, distance, None, "inconclusive", found.why_unknown)
    margin = found.margin(results.confidence) or 0.0
    p = p_value(distance, found.spread)
    verdict = decide(distance, margin)
    return Evidence(what, distance, margin, verdict, "users and seeds", p, tuple(terms.items()), metric)


def against_published(what: str, published: float, error: float, cell: Cell, results: Results) -> Evidence:
    """A published value minus ours.

    Args:
        what: its name.
        published: the value of the paper.
        error: its standard error over seeds, of five; 0 where nothing is known of it.
        cell: our group.
        results: all results.
    """
    summary = results.groups[cell]
    ours = results.estimates.estimate(cell)
    if not (summary and summary.is_complete) or ours is None:
        return Evidence(what, None, None, "not run")
    distance = published - ours.value
    if ours.spread is None:
        return Evidence(what, distance, None, "inconclusive", ours.why_unknown)
    spread = joined([ours.spread, Spread(error**2, PUBLISHED_DOF)]) if error else ours.spread
    margin = half_width(spread, results.confidence)
    verdict = decide(distance, margin)
    p = p_value(distance, spread)
    return Evidence(what, distance, margin, verdict, "published value", p, ((cell, -1.0),))


def corrected(found: tuple[Evidence, ...], results: Results) -> tuple[Evidence, ...]:
    """The comparisons of a claim; one that contradicts by chance, given how many there are, is inconclusive."""
    tested = [place for place, item in enumerate(found) if item.p_value is not None and item.terms]
    comparisons = [(dict(found[place].terms), found[place].metric) for place in tested]
    p_values = [found[place].p_value or 0.0 for place in tested]
    p_adjusted = dict(zip(tested, results.estimates.adjusted(comparisons, p_values), strict=True))
    return tuple(
        replace(item, verdict="inconclusive")
        if item.verdict == "contradicted" and p_adjusted.get(place, 0.0) >= 1 - results.confidence
        else item
        for place, item in enumerate(found)
    )
