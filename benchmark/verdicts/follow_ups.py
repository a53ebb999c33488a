"""What papers after TALLRec publish on the same rows, and the kinds of claims about it.

A published value is one run. How much another run would differ is known of TALLRec alone, which several sources ran:
the standard deviation of their values stands for the noise of each value here. It holds other backbones and hands too.
"""

import functools
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from benchmark.config.params import Params
from benchmark.config.reading import read_yaml, validated
from benchmark.config.values import Fraction, Name, PositiveInt, Section
from benchmark.errors import ConfigError
from benchmark.schema import Cell
from benchmark.statistics.uncertainty import Spread, joined, p_value
from benchmark.statistics.uncertainty import margin as half_width
from benchmark.verdicts.evidence import Evidence, Groups, Results, decide

FOLLOW_UPS_YAML = Path(__file__).with_name("follow_ups.yaml")
CLAIMS_YAML = Path(__file__).with_name("follow_up_claims.yaml")
BIASES = "user_item_bias"


class Number(Section):
    """One published result, AUC and UAUC in [0, 1]."""

    method: str
    role: Literal["tallrec", "follow-up", "baseline"]
    auc: Fraction
    uauc: Fraction
    backbone: str | None
    """The language model; None where the source does not say, or there is none."""
    over: Name | None
    """The source of the TALLRec that stands in the same table."""
    source: Name

    def value(self, metric: str) -> float:
        """`auc` or `uauc`."""
        return {"auc": self.auc, "uauc": self.uauc}[metric]


class FollowUps(Section):
    """All of `follow_ups.yaml`."""

    format: str
    """Of the domains that hold these rows."""
    test_rows: PositiveInt
    sources: dict[Name, str]
    numbers: tuple[Number, ...]

    def domains(self, params: Params, test_rows: Mapping[str, int]) -> list[str]:
        """The domains of the grid that hold these rows; `test_rows` is the size of the test set of each."""
        return [
            domain
            for domain in params.grid.domains
            if (params.domains[domain].format, test_rows[domain]) == (self.format, self.test_rows)
        ]

    def of_role(self, role: str) -> list[Number]:
        """The numbers with a role, in their order."""
        return [number for number in self.numbers if number.role == role]

    def reruns(self, metric: str) -> list[float]:
        """A metric of each run of TALLRec."""
        return [number.value(metric) for number in self.of_role("tallrec")]

    def range(self, metric: str) -> float:
        """The highest value of a run of TALLRec minus the lowest."""
        return max(self.reruns(metric)) - min(self.reruns(metric))

    def gain(self, number: Number, metric: str) -> float | None:
        """A value minus that of the TALLRec in the same table; None where none is known of it."""
        beside = [one.value(metric) for one in self.of_role("tallrec") if one.source == number.over]
        return number.value(metric) - beside[0] if beside else None


@functools.cache
def load_follow_ups(path: Path = FOLLOW_UPS_YAML) -> FollowUps:
    """The published numbers.

    Raises:
        ConfigError: a key is missing, unknown or of the wrong type, or names a source that is not there.
    """
    known = validated(FollowUps, read_yaml(path), path)
    tables = {number.source for number in known.of_role("tallrec")}
    for position, number in enumerate(known.numbers):
        if number.source not in known.sources:
            raise ConfigError(f"{path}: numbers.{position}.source: {number.source!r} is not in sources")
        if number.over not in (None, *tables):
            raise ConfigError(f"{path}: numbers.{position}.over: {number.over!r} is no source of a run of TALLRec")
    if len(known.of_role("tallrec")) < 2:
        raise ConfigError(f"{path}: numbers: expected two runs of TALLRec or more, which differ")
    return known


def parts(results: Results, domains: Sequence[str]) -> tuple[Results, Results]:
    """The results on the paper's own domains, and those on domains of the papers after it."""
    here = {group: summary for group, summary in results.groups.items() if group.test_domain in domains}
    rest = {group: summary for group, summary in results.groups.items() if group not in here}
    return replace(results, groups=rest), replace(results, groups=here)


def best_rule(groups: Groups, metric: str) -> Cell | None:
    """The control with the highest mean of a metric, of those that were run."""
    run = {group: s.mean(metric) for group, s in groups.items() if group.family == "control" and s and s.is_complete}
    known = {group: mean for group, mean in run.items() if mean is not None}
    return max(known, key=lambda group: known[group], default=None)


def biases(groups: Iterable[Cell], domain: str | None = None) -> Cell | None:
    """The biases of user and item on the most training rows, of any domain or of one."""
    found = [group for group in groups if group.method == BIASES and domain in (None, group.test_domain)]
    return max(found, key=lambda group: group.n_shots, default=None)


def reruns_above_rule(claim: Mapping[str, Any], results: Results) -> Iterator[Evidence]:
    """The mean of all runs of TALLRec minus the best rule."""
    rule = best_rule(results.groups, claim.get("metric", "auc"))
    if rule:
        values = load_follow_ups().reruns(claim.get("metric", "auc"))
        spread = Spread(statistics.variance(values) / len(values), len(values) - 1.0)
        yield _above(
            f"{len(values)} runs of TALLRec, on average,", statistics.fmean(values), spread, rule, claim, results
        )


def gain_above_spread(claim: Mapping[str, Any], results: Results) -> Iterator[Evidence]:
    """What each follow-up gains over the TALLRec of its own table, minus the range of all runs of TALLRec."""
    known, metric = load_follow_ups(), claim.get("metric", "auc")
    for number in known.of_role("follow-up") if results.groups else ():
        gain, spread = known.gain(number, metric), known.range(metric)
        if gain is not None:
            what = f"{named(number)}: {100 * gain:+.1f} over TALLRec, whose runs differ by {100 * spread:.1f}"
            yield Evidence(what, gain - spread, 0.0, decide(gain - spread, 0.0), "published values", said=what)


def follow_ups_above_biases(claim: Mapping[str, Any], results: Results) -> Iterator[Evidence]:
    """Each follow-up minus the biases of user and item."""
    known, metric = load_follow_ups(), claim.get("metric", "auc")
    noise = Spread(statistics.variance(known.reruns(metric)), len(known.reruns(metric)) - 1.0)
    rule = biases(results.groups)
    if rule:
        for number in known.of_role("follow-up"):
            yield _above(named(number), number.value(metric), noise, rule, claim, results)


TESTS = {
    "reruns_above_rule": reruns_above_rule,
    "gain_above_spread": gain_above_spread,
    "follow_ups_above_biases": follow_ups_above_biases,
}


def named(number: Number) -> str:
    """A method with its source, since several sources ran some."""
    return f"{number.method} ({number.source})"


def _above(who: str, value: float, noise: Spread, rule: Cell, claim: Mapping[str, Any], results: Results) -> Evidence:
    """A published value minus a rule of ours; the margin has the users of the rule and the noise of the value."""
    metric: str = claim.get("metric", "auc")
    ours, summary = results.estimates.estimate(rule, metric), results.groups[rule]
    if ours is None or not (summary and summary.is_complete):
        return Evidence(f"{who} against {rule.method}", None, None, "not run")
    distance = value - ours.value
    what = f"{who} {100 * value:.1f} against {rule.method} {100 * ours.value:.1f}"
    if ours.spread is None:
        said = f"{what}; {ours.why_unknown}, so no margin"
        return Evidence(what, distance, None, "inconclusive", ours.why_unknown, said=said)
    spread = joined([ours.spread, noise])
    margin = half_width(spread, results.confidence)
    said, verdict = f"{what}: {100 * distance:+.1f} ± {100 * margin:.1f}", decide(distance, margin)
    p, terms, of_noise = p_value(distance, spread), ((rule, -1.0),), noise.variance
    return Evidence(
        what, distance, margin, verdict, "published value", p, terms, metric, said, published_variance=of_noise
    )
