"""The claims ledger: each claim of `claims.yaml` decided from the results.

A claim about each of many things is supported if every comparison supports it: more comparisons make that harder, so
it needs no correction. It is contradicted if one of them contradicts it; so that many comparisons don't find one by
chance, such a comparison must hold after a correction over all comparisons of its claim (max-T). A claim about a
tendency is judged by the mean of its comparisons, and a part of them cannot contradict it. A run that lacks what the
sentence names has a verdict `so far`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.schema import LANGUAGE_MODELS
from benchmark.statistics.power import POWER
from benchmark.verdicts.claim_kinds import TESTS, select
from benchmark.verdicts.claim_params import read_claims
from benchmark.verdicts.evidence import Evidence, Results, corrected
from benchmark.verdicts.follow_ups import CLAIMS_YAML as FOLLOW_UP_CLAIMS
from benchmark.verdicts.follow_ups import parts

CLAIMS_YAML = Path(__file__).with_name("claims.yaml")
VERDICTS = ("supported", "contradicted", "inconclusive", "so far", "not run")
FIRST_LOOK = "a first look at a part of the test rows decides nothing"


@dataclass(frozen=True, slots=True)
class ClaimVerdict:
    """A claim and what the results say of it."""

    id: str
    sentence: str
    where: str
    verdict: str
    """One of `VERDICTS`."""
    reason: str
    evidence: tuple[Evidence, ...]
    of: str = "paper"
    """Whose sentence it is: `paper`, `ours`, or `field`, which is about the papers after it."""
    model: str = ""
    """The language model that was asked, where it is not the paper's."""

    @property
    def label(self) -> str:
        """The verdict as it is shown: one on another model never reads as one on the paper's."""
        return f"{self.verdict} for another model" if self.model else self.verdict


def judge_claims(results: Results, path: Path = CLAIMS_YAML) -> list[ClaimVerdict]:
    """Every claim of `claims.yaml`, in its order.

    Contradicted if one comparison contradicts, after the correction; else not run if one could not be made, or
    there is none; else supported if all support; else inconclusive. What is not defined is left out and counted.

    Raises:
        ConfigError: the file is not of the form of `benchmark.verdicts.claim_params`.
    """
    return [_judged(claim, results) for claim in read_claims(path)]


def judge_with_follow_ups(results: Results, of_field: Sequence[str]) -> list[ClaimVerdict]:
    """The claims of the paper and ours, on its domains, and those about the papers after it, on theirs (`of_field`).

    Where a run has the one kind of domain alone, the claims about the other are left out.
    """
    of_paper, after = parts(results, of_field)
    claims = judge_claims(of_paper) if of_paper.groups or not of_field else []
    return claims + (judge_claims(after, FOLLOW_UP_CLAIMS) if of_field else [])


def _judged(claim: Mapping[str, Any], results: Results) -> ClaimVerdict:
    about = claim["id"], claim["sentence"], claim["where"]
    if results.is_first_look:
        return ClaimVerdict(*about, "not run", FIRST_LOOK, (), claim["of"])
    found = corrected(tuple(TESTS[claim["kind"]](claim, results)), results)
    verdicts = [item.verdict for item in found if item.verdict != "not defined"]
    missing = _missing(claim, results)
    is_partial = bool(missing) or "not run" in verdicts
    if "contradicted" in verdicts and not (is_partial and claim.get("pooled")):
        verdict = "contradicted"
    elif not verdicts or set(verdicts) == {"not run"}:
        verdict = "not run"
    elif is_partial:
        verdict = "so far"
    else:
        verdict = "supported" if set(verdicts) == {"supported"} else "inconclusive"
    reason = _reason(verdict, found)
    if missing and verdict != "not run":
        reason += f"; not in this run: {', '.join(missing)}"
    is_other = verdict != "not run" and not results.model_is_papers and _asks_a_model(claim)
    model = results.model if is_other else ""
    if model:
        reason += f"; the language model is {model}"
    return ClaimVerdict(*about, verdict, reason, found, claim["of"], model)


def _missing(claim: Mapping[str, Any], results: Results) -> list[str]:
    """What the sentence names and the complete groups of the claim lack: a method, or a domain or K of either side."""
    needs: Mapping[str, Any] = claim.get("needs", {})
    there = {cell for cell, summary in results.groups.items() if summary and summary.is_complete}
    sides = [list(select(there, claim[side])) for side in ("left", "right", "groups") if side in claim]

    def of_each(name: str) -> list[set[Any]]:
        return [{getattr(cell, name) for cell in side} for side in sides]

    methods, domains, shots = map(of_each, ("method", "test_domain", "n_shots"))
    return [
        *(method for method in needs.get("methods", ()) if method not in methods[-1]),
        *(domain for domain in needs.get("domains", ()) if not all(domain in side for side in domains)),
        *(f"K = {k}" for k in needs.get("n_shots", ()) if not all({0, k} & side for side in shots)),
    ]


def _asks_a_model(claim: Mapping[str, Any]) -> bool:
    return any(claim[side]["family"] in LANGUAGE_MODELS for side in ("left", "right", "groups") if side in claim)


def _reason(verdict: str, evidence: Sequence[Evidence]) -> str:
    """How many comparisons agree, and which of these speaks least for the claim."""
    if not evidence:
        return "nothing in the grid decides it"
    defined = [item for item in evidence if item.verdict != "not defined"]
    undefined = f"; {len(evidence) - len(defined)} more not defined" if len(defined) < len(evidence) else ""
    if not defined:
        return "not defined on any test set of the grid"
    if verdict == "so far":
        n_supported = sum(item.verdict == "supported" for item in defined)
        return f"{n_supported} of {len(defined)} comparisons supported so far{undefined}"
    agreeing = [item for item in defined if item.verdict == verdict]
    count = f"{len(agreeing)} of {len(defined)} comparisons {verdict}{undefined}"
    if verdict == "not run":
        return f"{count}, e.g. {agreeing[0].what}"
    said = _weakest([item for item in agreeing if item.distance is not None])
    return said if len(evidence) == 1 else f"{count}; weakest: {said}"


def _weakest(agreeing: Sequence[Evidence]) -> str:
    """Which comparison is nearest to saying otherwise: the smallest distance for its margin."""
    weakest = min(agreeing, key=lambda item: abs(item.distance or 0.0) / item.margin if item.margin else math.inf)
    if weakest.verdict != "inconclusive" or not weakest.smallest:
        return weakest.said
    said = f"{weakest.said}; a true {100 * weakest.smallest:.1f} is seen in {POWER:.0%} of runs"
    size = f"{100 * abs(weakest.distance or 0.0):.1f}"
    return f"{said}, a true {size} takes {weakest.takes}" if weakest.takes else said
