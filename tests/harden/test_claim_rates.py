"""How often verdicts are right where the truth is known: random scores, a worse run, the paper's table as the truth.

Bounds are those promised, with the tolerance of a binomial count: the default run tries a few runs, `make harden`
hundreds. docs/decisions/017-what-the-claims-can-tell.md has what was measured.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom
from simulated_paper import FURTHER, N_SEEDS, PAPER, USERS, auc_of, run, seed_sd, truths, world

from benchmark.schema import Cell
from benchmark.statistics.estimates import Estimates, Known
from benchmark.statistics.influence import Measured
from benchmark.statistics.results import CHANCE, MetricRow, summarise
from benchmark.verdicts.claims import judge_claims
from benchmark.verdicts.published import NEAR_CHANCE, PAPER_SEEDS, judge

ALPHA, POWER = 0.05, 0.8
MAIN = [number for number in PAPER.numbers if number.table == "main"]
TRUE = {
    **dict.fromkeys(("beats_baselines", "baselines_near_chance", "icl_near_chance", "rises_with_k"), "supported"),
    **dict.fromkeys(("instruction_tuning_helps", "transfers", "transfer_is_close", "both_is_best"), "supported"),
    **dict.fromkeys(("at_alone_is_below_rt", "gap_closes_with_k", "adds_to_liked_share"), "supported"),
    "beats_baselines_where_marked": "supported",
    "beats_controls": "contradicted",
}
"""What each claim is in the truth of `simulated_paper`; the share of likes ranks better than the published TALLRec."""


def rarely(wrong: int, n_runs: int) -> bool:
    """Whether a rate of 5 % is not contradicted."""
    return wrong <= float(binom.ppf(0.999, n_runs, ALPHA))


def often(right: int, n_runs: int) -> bool:
    """Whether a rate of 80 % is not contradicted."""
    return right >= float(binom.ppf(0.001, n_runs, POWER))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("movie", "decided"),
    [
        (USERS["movie"], ("beats_baselines", "transfers", "beats_controls")),
        (FURTHER, ("beats_baselines", "transfers", "beats_controls", "icl_near_chance")),
    ],
    ids=["users of the paper", "further users"],
)
def test_claims_are_decided_as_the_papers_table_has_it_and_hardly_ever_wrongly(
    inputs: Callable[..., int], movie: tuple[int, ...], decided: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With five seeds of tuned models."""
    monkeypatch.setitem(USERS, "movie", movie)
    n_runs, truth = inputs(100, few=3), truths()
    verdicts: dict[str, Counter[str]] = defaultdict(Counter)
    for number in range(n_runs):
        for claim in judge_claims(run(truth, number, PAPER_SEEDS)):
            verdicts[claim.id][claim.verdict] += 1
            if claim.verdict == "inconclusive":
                assert "is seen in 80% of runs" in claim.reason
    opposite = {"supported": "contradicted", "contradicted": "supported"}
    wrong = {name: verdicts[name][opposite[true]] for name, true in TRUE.items()}
    for name, true in TRUE.items():
        right = verdicts[name][true]
        print(f"{len(movie)} users of movie, {name}: {true} in {right} of {n_runs}, wrong in {wrong[name]}")
    assert all(rarely(n_wrong, n_runs) for n_wrong in wrong.values()), wrong
    assert all(often(verdicts[name][TRUE[name]], n_runs) for name in decided), verdicts


def test_random_scores_in_the_place_of_all_baselines_are_at_chance_and_nothing_more(
    inputs: Callable[..., int],
) -> None:
    baselines = [number for number in MAIN if number.group.family == "baseline"]
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for run_number in range(inputs(1000) // 10):
        rng = np.random.default_rng([run_number, 23])
        liked = {domain: world(n_rows, rng) for domain, n_rows in USERS.items()}
        aucs = {
            number.group: [
                auc_of(liked[number.test_domain], rng.random(len(liked[number.test_domain].liked)))
                for _ in range(N_SEEDS["baseline"])
            ]
            for number in baselines
        }
        for number, verdict in _judged(aucs).items():
            off = abs(number.auc - CHANCE)
            found["at" if off <= 0.01 else "near" if off <= NEAR_CHANCE else "above"][verdict] += 1
    print("published at chance, within 3 points of it, above it:", {name: dict(one) for name, one in found.items()})
    assert all(one["equivalent"] == 0 for one in found.values())
    assert found["above"]["at chance"] == 0
    assert often(found["at"]["at chance"], found["at"].total())
    assert rarely(found["at"]["different"], found["at"].total())


@pytest.mark.parametrize(("shift", "error"), [(-0.08, "equivalent"), (0.0, "different")])
def test_a_worse_column_is_rarely_equivalent_and_a_faithful_one_rarely_different(
    inputs: Callable[..., int], shift: float, error: str
) -> None:
    """Seeds alone, since both are of the same rows; what is published is the mean of five around a truth of its own."""
    ours = [group for group in truths() if group.family == "tuned"]
    column = {number.group: number for number in MAIN if number.group.family == "tuned"}
    wrong: Counter[Cell] = Counter()
    n_runs = 5 * inputs(400)
    for run_number in range(n_runs):
        rng = np.random.default_rng([run_number, 29])
        aucs: dict[Cell, list[float]] = {}
        for group in ours:
            centre = column[group].auc if group in column else 0.65
            truth = centre + shift + seed_sd(group) * rng.normal() / PAPER_SEEDS**0.5
            aucs[group] = (truth + seed_sd(group) * rng.normal(size=PAPER_SEEDS)).tolist()
        wrong.update(number.group for number, verdict in _judged(aucs).items() if verdict == error)
    print(f"shift {shift}: {error} in {[f'{wrong[group] / n_runs:.3f}' for group in column]} of {n_runs} runs each")
    assert all(rarely(wrong[group], n_runs) for group in column), wrong


def _judged(aucs: dict[Cell, list[float]]) -> dict:
    """The verdict on each published number of the main table whose group has seeds."""
    known = {
        (group, "auc"): Known(Measured(float(np.mean(seeds)), np.zeros(16), 9.4), dict(enumerate(seeds)), True)
        for group, seeds in aucs.items()
    }
    rows = [
        MetricRow(replace(group, seed=seed), "ok", auc, None, None, {}, 16, 1000)
        for group, seeds in aucs.items()
        for seed, auc in enumerate(seeds)
    ]
    summaries, estimates = summarise(rows), Estimates(known)
    return {number: judge(number, summaries, estimates, None).verdict for number in MAIN if number.group in aucs}
