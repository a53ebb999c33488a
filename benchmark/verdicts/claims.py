"""The claims ledger: each claim of `claims.yaml` decided from the results.

A claim is supported if every comparison supports it: more comparisons make that harder, so it needs no correction.
It is contradicted if one of them contradicts it; so that many comparisons don't find one by chance, such a
comparison must hold after a correction over all comparisons of its claim (max-T).
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from benchmark.schema import EXTENDED, Cell
from benchmark.verdicts.claim_params import read_claims
from benchmark.verdicts.evidence import Evidence, Groups, Results, corrected, decide, evidence

CLAIMS_YAML = Path(__file__).with_name("claims.yaml")
CHANCE = 0.5
FIRST_LOOK = "a first look at a part of the test rows decides nothing"


@dataclass(frozen=True, slots=True)
class ClaimVerdict:
    """A claim and what the results say of it."""

    id: str
    sentence: str
    where: str
    verdict: str
    """`supported`, `contradicted`, `inconclusive` or `not run`."""
    reason: str
    evidence: tuple[Evidence, ...]


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
        ):
            yield cell


def greater_than(claim: Mapping[str, Any], results: Results) -> Iterator[Evidence]:
    """Left minus right, for each pair on one test domain at one K."""
    for left, right in _pairs(claim, results.groups):
        what = f"{_name(left)} vs {_name(right)} on {left.test_domain}"
        yield evidence(what, {left: 1.0, right: -1.0}, claim, results)


def within(claim: Mapping[str, Any], results: Results) -> Iterator[Evidence]:
    """Left may be worse than right by less than `allowance`."""
    for left, right in _pairs(claim, results.groups):
        what = f"{_name(left)} vs {_name(right)} on {left.test_domain}"
        allowance: float = claim["allowance"]
        yield evidence(what, {left: 1.0, right: -1.0}, claim, results, lambda v, a=allowance: a + v)


def near_chance(claim: Mapping[str, Any], results: Results) -> Iterator[Evidence]:
    """Each group is closer to 0.5 than `band`."""
    band: float = claim["band"]
    for cell in select(results.groups, claim["groups"]):
        what = f"{_name(cell)} on {cell.test_domain}"
        yield evidence(what, {cell: 1.0}, claim, results, lambda v: band - abs(v - CHANCE))


def above_chance(claim: Mapping[str, Any], results: Results) -> Iterator[Evidence]:
    """Each group lies above 0.5."""
    for cell in select(results.groups, claim["groups"]):
        what = f"{_name(cell)} on {cell.test_domain}"
        yield evidence(what, {cell: 1.0}, claim, results, lambda v: v - CHANCE)


def rises_with_k(claim: Mapping[str, Any], results: Results) -> Iterator[Evidence]:
    """Largest K minus smallest K, for each method and test domain with more than one K."""
    for last, first in _curve_ends(claim, results.groups):
        what = f"{last.method} on {last.test_domain}: K {last.n_shots} vs {first.n_shots}"
        yield evidence(what, {last: 1.0, first: -1.0}, claim, results)


def published_above(claim: Mapping[str, Any], results: Results) -> Iterator[Evidence]:
    """A published value minus ours, on the paper's test rows: for methods that few can run. It has no margin itself."""
    for published in select(results.published, claim["published"]):
        value = results.published[published]
        for cell in select(results.groups, claim["right"]):
            if cell.test_domain == published.test_domain and cell.n_shots in (0, published.n_shots):
                what = f"published {_name(published)} vs {_name(cell)} on {cell.test_domain}"
                found = evidence(what, {cell: 1.0}, claim, results, lambda v, p=value: p - v)
                yield found if found.margin is None else replace(found, interval="published value")


def fits_in_memory(claim: Mapping[str, Any], results: Results) -> Iterator[Evidence]:
    """A configuration of the paper's model stays under `limit_gb` (of 2^30 bytes). A peak has no margin."""
    on_gpu = [row for row in results.efficiency if "cpu" not in str(row.get("device", "")).lower()]
    rows = [row for row in on_gpu if row["status"] == "ok" and row.get("peak_memory_bytes")]
    if results.model_is_papers and rows:
        best = min(rows, key=lambda row: row["peak_memory_bytes"])
        free = claim["limit_gb"] - best["peak_memory_bytes"] / 2**30
        yield Evidence(f"{best['name']}: GB to spare", free, 0.0, decide(free, 0.0), "exact", 0.0)


TESTS: dict[str, Callable[[Mapping[str, Any], Results], Iterator[Evidence]]] = {
    "greater_than": greater_than,
    "within": within,
    "near_chance": near_chance,
    "above_chance": above_chance,
    "rises_with_k": rises_with_k,
    "published_above": published_above,
    "fits_in_memory": fits_in_memory,
}


def judge_claims(results: Results, path: Path = CLAIMS_YAML) -> list[ClaimVerdict]:
    """Every claim of `claims.yaml`, in its order.

    Contradicted if one comparison contradicts, after the correction; else not run if one could not be made, or
    there is none; else supported if all support; else inconclusive. What is not defined is left out and counted.

    Raises:
        ConfigError: the file is not of the form of `benchmark.verdicts.claim_params`.
    """
    return [_judged(claim, results) for claim in read_claims(path)]


def _judged(claim: Mapping[str, Any], results: Results) -> ClaimVerdict:
    if results.is_first_look:
        return ClaimVerdict(claim["id"], claim["sentence"], claim["where"], "not run", FIRST_LOOK, ())
    found = corrected(tuple(TESTS[claim["kind"]](claim, results)), results)
    verdicts = [item.verdict for item in found if item.verdict != "not defined"]
    if "contradicted" in verdicts:
        verdict = "contradicted"
    elif not verdicts or "not run" in verdicts:
        verdict = "not run"
    else:
        verdict = "supported" if set(verdicts) == {"supported"} else "inconclusive"
    return ClaimVerdict(claim["id"], claim["sentence"], claim["where"], verdict, _reason(verdict, found), found)


def _reason(verdict: str, evidence: Sequence[Evidence]) -> str:
    """How many comparisons agree, and which of these speaks least for the claim."""
    if not evidence:
        return "nothing in the grid decides it"
    defined = [item for item in evidence if item.verdict != "not defined"]
    undefined = f"; {len(evidence) - len(defined)} more not defined" if len(defined) < len(evidence) else ""
    if not defined:
        return "not defined on any test set of the grid"
    agreeing = [item for item in defined if item.verdict == verdict]
    count = f"{len(agreeing)} of {len(defined)} comparisons {verdict}{undefined}"
    if verdict == "not run":
        return f"{count}, e.g. {agreeing[0].what}"
    weakest = min((item for item in agreeing if item.distance is not None), key=lambda item: item.distance or 0.0)
    if weakest.interval == "exact":
        return f"{weakest.what}: {weakest.distance:.1f}"
    margin = f"({weakest.interval})" if weakest.margin is None else f"± {100 * weakest.margin:.1f} ({weakest.interval})"
    return f"{count}; weakest: {weakest.what}, {100 * (weakest.distance or 0.0):+.1f} {margin}"


def _pairs(claim: Mapping[str, Any], groups: Groups) -> Iterator[tuple[Cell, Cell]]:
    rights = list(select(groups, claim["right"]))
    for left in select(groups, claim["left"]):
        for right in rights:
            if right != left and right.test_domain == left.test_domain and right.n_shots in (0, left.n_shots):
                yield left, right


def _curve_ends(claim: Mapping[str, Any], groups: Groups) -> Iterator[tuple[Cell, Cell]]:
    """Largest and smallest K of each method on each test domain, where they differ."""
    curves: dict[tuple[str, str], list[Cell]] = {}
    for cell in select(groups, claim["groups"]):
        curves.setdefault((cell.method, cell.test_domain), []).append(cell)
    for cells in curves.values():
        first, last = min(cells, key=lambda c: c.n_shots), max(cells, key=lambda c: c.n_shots)
        if first != last:
            yield last, first


def _name(cell: Cell) -> str:
    return f"{cell.method} k{cell.n_shots}" if cell.n_shots else cell.method
