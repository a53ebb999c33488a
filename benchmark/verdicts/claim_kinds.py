"""The kinds of claims: how each finds its comparisons among the groups of a run, and what speaks for the claim."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from benchmark.schema import DOES_NOT_FIT, EXTENDED, Cell
from benchmark.statistics.estimates import Terms
from benchmark.statistics.results import CHANCE
from benchmark.verdicts import follow_ups
from benchmark.verdicts.evidence import (
    Comparison,
    Evidence,
    Groups,
    Results,
    against_published,
    decide,
    evidence,
)

CONTEXT_GB = 0.6
"""Of the card: what CUDA holds before the first weight is loaded."""


def select(groups: Iterable[Cell], selector: Mapping[str, Any]) -> Iterator[Cell]:
    """Groups that a selector of `claims.yaml` picks; none on a further test set."""
    trains = selector.get("train", ("same", "other", "both"))
    shots = selector.get("n_shots", {})
    for cell in groups:
        if cell.test_domain.endswith(EXTENDED):
            continue
        train = "both" if cell.train_domain == "both" else "same" if cell.train_domain == cell.test_domain else "other"
        if (
            cell.family == selector["family"]
            and fnmatchcase(cell.method, selector.get("method", "*"))
            and not fnmatchcase(cell.method, selector.get("except", ""))
            and train in ([trains] if isinstance(trains, str) else trains)
            and shots.get("at_least", 0) <= cell.n_shots <= shots.get("at_most", math.inf)
            and cell.n_shots not in selector.get("except_k", {}).get(cell.test_domain, ())
        ):
            yield cell


def greater_than(claim: Mapping[str, Any], results: Results) -> Iterator[Evidence]:
    """Left minus right, for each pair on one test domain at one K."""
    yield from _judged_together(claim, results, [_minus(*pair) for pair in _pairs(claim, results.groups)])


def within(claim: Mapping[str, Any], results: Results) -> Iterator[Evidence]:
    """Left may be worse than right by less than `allowance`."""
    pairs = [replace(_minus(*pair), allowed=claim["allowance"]) for pair in _pairs(claim, results.groups)]
    yield from _judged_together(claim, results, pairs)


def near_chance(claim: Mapping[str, Any], results: Results) -> Iterator[Evidence]:
    """Each group is closer to 0.5 than `band`; pooled: each method, as the mean of its groups."""
    groups = list(select(results.groups, claim["groups"]))
    if not claim.get("pooled"):
        parts = [_above_chance(_name(cell), {cell: 1.0}) for cell in groups]
    else:
        terms = {m: _mean([{c: 1.0} for c in groups if c.method == m]) for m in dict.fromkeys(c.method for c in groups)}
        parts = [_above_chance(f"{method}, mean of all K and domains,", one) for method, one in terms.items()]
    for one in parts:
        yield evidence(replace(one, allowed=claim["band"], is_two_sided=True), claim, results)


def above_chance(claim: Mapping[str, Any], results: Results) -> Iterator[Evidence]:
    """Each group lies above 0.5."""
    cells = select(results.groups, claim["groups"])
    yield from _judged_together(claim, results, [_above_chance(_name(cell), {cell: 1.0}) for cell in cells])


def rises_with_k(claim: Mapping[str, Any], results: Results) -> Iterator[Evidence]:
    """Largest K minus smallest K, for each method and test domain with more than one K."""
    curves = [
        Comparison(_name(last), f"itself at K = {first.n_shots}", {last: 1.0, first: -1.0})
        for last, first in _curve_ends(claim["groups"], results.groups)
    ]
    yield from _judged_together(claim, results, curves)


def gap_closes(claim: Mapping[str, Any], results: Results) -> Iterator[Evidence]:
    """Left minus right at the smallest K, minus the same at the largest: the mean over test domains."""
    rights = {(right.test_domain, right.n_shots): right for right in select(results.groups, claim["right"])}
    gaps: list[Terms] = []
    for last, first in _curve_ends(claim["left"], results.groups):
        beside = [rights.get((cell.test_domain, cell.n_shots)) for cell in (first, last)]
        if beside[0] and beside[1]:
            gaps.append({first: 1.0, beside[0]: -1.0, last: -1.0, beside[1]: 1.0})
    if gaps:
        subject = "the gap at the smallest K, mean of all domains,"
        yield evidence(Comparison(subject, "that at the largest K", _mean(gaps)), claim, results)


def published_above(claim: Mapping[str, Any], results: Results) -> Iterator[Evidence]:
    """A published value minus ours, on the paper's test rows: for methods that few can run.

    Its seeds are as uncertain as the public re-runs of the released code scatter, where `paper.yaml` says how much.
    """
    for published in select(results.published, claim["published"]):
        value, error = results.published[published], results.published_errors.get(published, 0.0)
        for cell in select(results.groups, claim["right"]):
            if cell.test_domain == published.test_domain and cell.n_shots in (0, published.n_shots):
                one = Comparison(f"published {_name(published)}", cell.method, {cell: 1.0})
                yield against_published(one, value, error, results)


def fits_in_memory(claim: Mapping[str, Any], results: Results) -> Iterator[Evidence]:
    """A configuration of the paper's model stays under `limit_gb` (of 2^30 bytes), with what CUDA itself holds.

    A peak has no margin. Where no configuration fits, the claim is contradicted.
    """
    on_gpu = [row for row in results.efficiency if "cpu" not in str(row.get("device", "")).lower()]
    if not (results.model_is_papers and on_gpu):
        return
    peaks = {str(row["name"]): row["peak_memory_bytes"] for row in on_gpu if row["status"] == "ok"}
    peaks = {name: peak for name, peak in peaks.items() if peak}
    if peaks:
        name = min(peaks, key=lambda one: peaks[one])
        free = claim["limit_gb"] - peaks[name] / 2**30 - CONTEXT_GB
        said = f"{name} leaves {free:.1f} of {claim['limit_gb']:g} GB free"
        yield Evidence(name, free, 0.0, decide(free, 0.0), "exact", 0.0, said=said)
    elif all(row["status"] == DOES_NOT_FIT for row in on_gpu):
        said = "no configuration fits"
        yield Evidence(said, -1.0, 0.0, "contradicted", "exact", 0.0, said=said)


TESTS: dict[str, Callable[[Mapping[str, Any], Results], Iterator[Evidence]]] = {
    "greater_than": greater_than,
    "within": within,
    "near_chance": near_chance,
    "above_chance": above_chance,
    "rises_with_k": rises_with_k,
    "gap_closes": gap_closes,
    "published_above": published_above,
    "fits_in_memory": fits_in_memory,
    **follow_ups.TESTS,
}


def _judged_together(
    claim: Mapping[str, Any], results: Results, comparisons: Sequence[Comparison]
) -> Iterator[Evidence]:
    """Each comparison, or their mean where the claim is about a tendency."""
    tendencies: dict[object, list[Comparison]] = {}
    for number, one in enumerate(comparisons):
        over = {True: None, False: number, "over_k": _without_k(one.terms)}[claim.get("pooled", False)]
        tendencies.setdefault(over, []).append(one)
    for parts in tendencies.values():
        run = [one for one in parts if all(_was_run(cell, results) for cell in one.terms)]
        if 0 < len(run) < len(parts):
            yield Evidence(f"{len(parts) - len(run)} of {len(parts)}", None, None, "not run")
        yield evidence(_on_average(run or parts), claim, results)


def _without_k(terms: Terms) -> frozenset[tuple[Cell, float]]:
    return frozenset((replace(cell, n_shots=0), factor) for cell, factor in terms.items())


def _on_average(parts: Sequence[Comparison]) -> Comparison:
    """The mean of comparisons, named after the first."""
    first = parts[0]
    if len(parts) == 1:
        return first
    other = first.other if len({one.other for one in parts}) == 1 else f"{first.other} and its like"
    subject = f"{first.subject} and {len(parts) - 1} more, on average,"
    return replace(first, subject=subject, other=other, terms=_mean([one.terms for one in parts]))


def _was_run(cell: Cell, results: Results) -> bool:
    summary = results.groups.get(cell)
    return summary is not None and summary.is_complete


def _mean(parts: Sequence[Terms]) -> Terms:
    terms: dict[Cell, float] = {}
    for part in parts:
        for cell, factor in part.items():
            terms[cell] = terms.get(cell, 0.0) + factor / len(parts)
    return {cell: factor for cell, factor in terms.items() if factor}


def _minus(left: Cell, right: Cell) -> Comparison:
    return Comparison(_name(left), right.method, {left: 1.0, right: -1.0})


def _above_chance(subject: str, terms: Terms) -> Comparison:
    return Comparison(subject, "chance", terms, CHANCE)


def _pairs(claim: Mapping[str, Any], groups: Groups) -> Iterator[tuple[Cell, Cell]]:
    rights = list(select(groups, claim["right"]))
    for left in select(groups, claim["left"]):
        for right in rights:
            is_comparable = right != left and right.test_domain == left.test_domain
            is_asked = not claim.get("same_model") or right.method == left.method.split("-")[0]
            if is_comparable and is_asked and right.n_shots in (0, left.n_shots):
                yield left, right


def _curve_ends(selector: Mapping[str, Any], groups: Groups) -> Iterator[tuple[Cell, Cell]]:
    """Largest and smallest K of each method on each test domain, where they differ."""
    curves: dict[tuple[str, str], list[Cell]] = {}
    for cell in select(groups, selector):
        curves.setdefault((cell.method, cell.test_domain), []).append(cell)
    for cells in curves.values():
        first, last = min(cells, key=lambda c: c.n_shots), max(cells, key=lambda c: c.n_shots)
        if first != last:
            yield last, first


def _name(cell: Cell) -> str:
    shots = f" at K = {cell.n_shots}" if cell.n_shots else ""
    return f"{cell.method}{shots} on {cell.test_domain}"
