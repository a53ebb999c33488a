"""What a claim is decided by: a distance, its margin, and whether one exceeds the other.

One rule decides every comparison. A test yields a distance d (positive speaks for the claim) and a margin m, the
half-width of its interval over users and seeds: d > m is supported, d < -m is contradicted, all else is
inconclusive. Where the interval is from:

- `users and seeds`: of a sum or difference of methods, on the same users (`estimates`);
- `one seed`: a method that depends on its seed was run with one; nothing is decided;
- `too few users`: nobody can tell; nothing is decided;
- `published value`: of ours alone, against a number of the paper, which is taken as it stands;
- `published values`: of several published ones, with the noise of such runs;
- `exact`: a number without noise.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from benchmark.schema import Cell
from benchmark.statistics.estimates import Estimate, Estimates, Terms
from benchmark.statistics.power import smallest_seen, times_needed
from benchmark.statistics.results import Summary
from benchmark.statistics.uncertainty import NOISELESS, Spread, joined, p_value
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
    """One of those above; empty where nothing was run."""
    p_value: float | None = None
    """Two-sided, of a distance as far from 0; without correction."""
    terms: tuple[tuple[Cell, float], ...] = ()
    """The methods behind the distance, with their factors."""
    metric: str = "auc"
    said: str = ""
    """The distance and its margin in words; empty where nothing was run."""
    smallest: float | None = None
    """The smallest true distance that is seen in most runs of this noise (`benchmark.statistics.power`)."""
    takes: str = ""
    """What it takes to see a true distance of this size; empty where it is decided, or nothing tells."""
    published_variance: float = 0.0
    """Of the published value behind the distance, which is not in `terms`; 0 where there is none, or nothing known."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A sum of groups beside a level, and how far from it speaks for a claim."""

    subject: str
    """What is compared, e.g. `gru4rec at K = 64 on movie`."""
    other: str
    """With what, e.g. `chance`."""
    terms: Terms
    """The groups with their factors."""
    level: float = 0.0
    """The sum of a group that is as good as `other`."""
    allowed: float = 0.0
    """How far below `other` the subject may be."""
    is_two_sided: bool = False
    """Whether it may be as far above."""

    @property
    def what(self) -> str:
        """Its name."""
        return f"{self.subject} against {self.other}"

    def distance_of(self, value: float) -> float:
        """How far a sum is on the side of the claim; its margin is that of the sum."""
        return self.allowed + (-abs(value - self.level) if self.is_two_sided else value - self.level)

    def said(self, value: float, margin: str) -> str:
        """A sum in words."""
        above = value - self.level
        allowed = f"; allowed {100 * self.allowed:g}" if self.allowed else ""
        side = "below" if above < 0 else "above"
        return f"{self.subject} is {100 * abs(above):.1f} {side} {self.other}{allowed}; {margin}"


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


def evidence(one: Comparison, claim: Mapping[str, Any], results: Results) -> Evidence:
    """The comparison of one or several groups.

    Args:
        one: the comparison.
        claim: an entry of `claims.yaml`; its `metric` is `auc` unless it says another.
        results: all results.
    """
    metric: str = claim.get("metric", "auc")
    summaries = [results.groups[cell] for cell in one.terms]
    if not all(summary and summary.is_complete for summary in summaries):
        return Evidence(one.what, None, None, "not run")
    found = results.estimates.combined(one.terms, metric)
    if found is None:
        return Evidence(one.what, None, None, "not defined")
    distance = one.distance_of(found.value)
    if found.spread is None:
        said = one.said(found.value, f"{found.why_unknown}, so no margin")
        return Evidence(one.what, distance, None, "inconclusive", found.why_unknown, said=said)
    margin = found.margin(results.confidence) or 0.0
    verdict = decide(distance, margin)
    return Evidence(
        one.what,
        distance,
        margin,
        verdict,
        "users and seeds",
        p_value(distance, found.spread),
        tuple(one.terms.items()),
        metric,
        one.said(found.value, f"margin {100 * margin:.1f}"),
        smallest_seen(found.spread, results.confidence),
        what_it_takes(distance, found, one.terms, results) if verdict == "inconclusive" else "",
    )


def what_it_takes(distance: float, found: Estimate, terms: Terms, results: Results) -> str:
    """The seeds, the users or, where neither is enough, both, with which a true distance of this size is seen."""
    if found.parts is None:
        return ""
    users, seeds = found.parts
    summaries = {cell: one for cell in terms if (one := results.groups[cell])}
    n_seeds = min((one.n_seeds for one in summaries.values() if one.n_seeds > 1), default=1)
    n_users = {cell.test_domain: one.n_users for cell, one in summaries.items()}

    def seeds_said(times: float) -> str:
        return f"{math.ceil(times * n_seeds):,} seeds in place of {n_seeds}"

    def users_said(times: float) -> str:
        return " and ".join(f"{math.ceil(times * n):,} users of {name}" for name, n in n_users.items())

    parts: list[str] = []
    if seeds.variance and (times := times_needed(distance, seeds, users, results.confidence)):
        parts.append(seeds_said(times))
    if times := times_needed(distance, users, seeds, results.confidence):
        parts.append(users_said(times))
    if not parts and (times := times_needed(distance, joined(found.parts), NOISELESS, results.confidence)):
        parts.append(f"{seeds_said(times)} and {users_said(times)}")
    return ", or ".join(parts)


def against_published(one: Comparison, published: float, error: float, results: Results) -> Evidence:
    """A published value minus ours.

    Args:
        one: the comparison, whose one group is ours.
        published: the value of the paper.
        error: its standard error over seeds, of five; 0 where nothing is known of it.
        results: all results.
    """
    (cell,) = one.terms
    summary = results.groups[cell]
    ours = results.estimates.estimate(cell)
    if not (summary and summary.is_complete) or ours is None:
        return Evidence(one.what, None, None, "not run")
    distance = published - ours.value
    if ours.spread is None:
        said = one.said(distance, f"{ours.why_unknown}, so no margin")
        return Evidence(one.what, distance, None, "inconclusive", ours.why_unknown, said=said)
    spread = joined([ours.spread, Spread(error**2, PUBLISHED_DOF)]) if error else ours.spread
    margin = half_width(spread, results.confidence)
    verdict = decide(distance, margin)
    p = p_value(distance, spread)
    said = one.said(distance, f"margin {100 * margin:.1f}")
    smallest = smallest_seen(spread, results.confidence)
    terms = ((cell, -1.0),)
    return Evidence(
        one.what,
        distance,
        margin,
        verdict,
        "published value",
        p,
        terms,
        said=said,
        smallest=smallest,
        published_variance=error**2,
    )


def corrected(found: tuple[Evidence, ...], results: Results) -> tuple[Evidence, ...]:
    """The comparisons of a claim; one that contradicts by chance, given how many there are, is inconclusive."""
    tested = [place for place, item in enumerate(found) if item.p_value is not None and item.terms]
    comparisons = [(dict(found[place].terms), found[place].metric) for place in tested]
    p_values = [found[place].p_value or 0.0 for place in tested]
    published = [found[place].published_variance for place in tested]
    p_adjusted = dict(zip(tested, results.estimates.adjusted(comparisons, p_values, published), strict=True))
    return tuple(
        replace(item, verdict="inconclusive")
        if item.verdict == "contradicted" and p_adjusted.get(place, 0.0) >= 1 - results.confidence
        else item
        for place, item in enumerate(found)
    )
