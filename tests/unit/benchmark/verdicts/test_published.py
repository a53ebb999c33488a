"""Published numbers beside ours: each verdict, and what it rests on."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from benchmark.config.params import Params
from benchmark.schema import group_of
from benchmark.statistics.estimates import Estimates
from benchmark.statistics.results import MetricRow, Summary, summarise
from benchmark.verdicts.paper import PaperNumber, load_paper
from benchmark.verdicts.published import Verdict, judge, reservations, why_not_comparable

NUMBER = PaperNumber("main", "tallrec-movie", "movie", "movie", 16, 0.6724, 0.03, "paper", "published")
ROWS = {"movie": 1000, "book": 2427}


@pytest.fixture
def summaries(estimates_of: Callable[..., Estimates]) -> Callable[..., dict]:
    """Makes the results of one method from the AUC of its seeds; `error`: the standard error over 16 users."""

    def make(*aucs: float | None, error: float = 0.0005) -> dict:
        rows = []
        for seed, auc in enumerate(aucs):
            cell = replace(NUMBER.group, seed=seed)
            numbers = () if auc is None else (auc, None, None, {"uauc": 0.5}, 16, 1000)
            rows.append(MetricRow(cell, "missing" if auc is None else "ok", *numbers))
        run = [auc for auc in aucs if auc is not None]
        return summarise(rows, estimates_of({NUMBER.group: run} if run else {}, error), 0.95)

    return make


@pytest.fixture
def judged(summaries: Callable[..., dict], estimates_of: Callable[..., Estimates]) -> Callable[..., Verdict]:
    """The verdict on seeds, beside others of its pool."""

    def make(*aucs: float | None, number: PaperNumber = NUMBER, pool: Sequence[float] = (), **given: Any) -> Verdict:
        run = [auc for auc in aucs if auc is not None]
        other = replace(NUMBER.group, method="rt-movie")
        known = ({NUMBER.group: run} if run else {}) | ({other: list(pool)} if pool else {})
        return judge(
            number, summaries(*aucs), estimates_of(known, 0.01), given.get("obstacle"), given.get("reserved", ())
        )

    return make


@pytest.mark.parametrize(
    ("aucs", "verdict", "reason"),
    [
        ((0.672, 0.673, 0.671, 0.674, 0.672), "equivalent", "+0.00 ± 0.20 points, tolerance 3"),
        # Significant, and within the tolerance all the same: equivalence is asked for.
        ((0.662, 0.663, 0.661, 0.664, 0.662), "equivalent", "-1.00 ± 0.20 points, tolerance 3"),
        ((0.592, 0.593, 0.591, 0.594, 0.592), "different", "-8.00 ± 0.20 points, tolerance 3"),
        # Two seeds that far apart tell nothing, and two that agree hardly more.
        ((0.60, 0.70), "cannot tell", "-2.24 ± 75.17 points, tolerance 3"),
        ((0.672,), "cannot tell", "-0.04 points, one seed"),
        ((0.66, None), "missing", "1 of 2 seeds were run"),
        ((None, None), "missing", "not run"),
    ],
)
def test_each_verdict_and_what_explains_it(
    aucs: tuple[float | None, ...], verdict: str, reason: str, judged: Callable[..., Verdict]
) -> None:
    found = judged(*aucs)
    assert (found.verdict, found.reason) == (verdict, reason)
    assert found.label == verdict


def test_the_interval_is_of_our_seeds_and_the_papers_five(judged: Callable[..., Verdict]) -> None:
    aucs = (0.70, 0.66, 0.68)
    error = (statistics.variance(aucs) * (1 / 3 + 1 / 5)) ** 0.5
    half = 100 * stats.t.ppf(0.975, 2) * error
    assert judged(*aucs).reason == f"+0.76 ± {half:.2f} points, tolerance 3"


def test_seeds_that_agree_by_chance_take_the_noise_of_their_pool(judged: Callable[..., Verdict]) -> None:
    alike = (0.672, 0.6721, 0.6719, 0.672)
    assert judged(*alike).verdict == "equivalent"
    assert judged(*alike, pool=(0.55, 0.75, 0.60, 0.70)).verdict == "cannot tell"


def test_a_published_number_at_chance_says_no_more_than_that(judged: Callable[..., Verdict]) -> None:
    at_chance = replace(NUMBER, auc=0.5076)
    assert judged(0.50, 0.501, 0.499, 0.502, number=at_chance).verdict == "at chance"
    assert judged(0.60, 0.601, 0.599, 0.602, number=at_chance).verdict == "different"


@pytest.mark.parametrize(("shift", "verdict"), [(0.0, "different"), (-0.08, "equivalent")])
def test_of_faithful_runs_few_are_different_and_of_worse_ones_few_equivalent(
    shift: float, verdict: str, judged: Callable[..., Verdict]
) -> None:
    """Five seeds beside the mean of five, with the seed noise of public runs on movie at K = 64."""
    generator = np.random.default_rng(7)
    n_runs, wrong = 200, 0
    for _ in range(n_runs):
        truth = 0.6748 + 0.06 * generator.standard_normal() / 5**0.5
        aucs = 0.6748 + shift + 0.06 * generator.standard_normal(5)
        wrong += judged(*aucs.tolist(), number=replace(NUMBER, auc=float(truth))).verdict == verdict
    assert wrong <= stats.binom.ppf(0.999, n_runs, 0.05)


def test_a_reservation_never_reads_as_a_plain_verdict(judged: Callable[..., Verdict]) -> None:
    reserved = ("stand-in training rows",)
    found = judged(0.671, 0.673, 0.672, 0.672, reserved=reserved)
    assert (found.verdict, found.label) == ("equivalent", "equivalent with reservation")
    assert found.reservations == reserved
    assert judged(0.59, 0.592, 0.591, reserved=reserved).label == "different with reservation"
    assert judged(None, reserved=reserved).label == "missing"


def test_stand_in_training_rows_are_a_reservation(params: Params) -> None:
    stand_ins = {"book": {"train.json": "train.sample.json"}}
    found = {number.group: reservations(number, params, stand_ins) for number in load_paper().numbers}
    assert {cell.train_domain for cell, why in found.items() if "stand-in training rows" in why} == {"book"}


def test_a_number_outside_the_grid_is_missing_and_an_obstacle_is_told(judged: Callable[..., Verdict]) -> None:
    assert judged(None).verdict == "missing"
    found = judged(0.67, obstacle="the movie data are generated")
    assert (found.verdict, found.reason) == ("not comparable", "the movie data are generated")


def test_what_is_not_comparable_says_why(params: Params) -> None:
    paper = load_paper()
    generated = {name: d.model_copy(update={"source": "embedded"}) for name, d in params.domains.items()}
    real = {name: d.model_copy(update={"source": "official"}) for name, d in params.domains.items()}
    llama = params.llm.model_copy(update={"model": "huggyllama/llama-7b"})
    tiny = params.llm.model_copy(update={"model": "tiny"})

    def why(domains: dict, llm: object, rows: dict[str, int], number: PaperNumber = NUMBER) -> str | None:
        return why_not_comparable(number, params.model_copy(update={"domains": domains, "llm": llm}), paper, rows)

    assert why(generated, llama, ROWS) == "the movie data are generated"
    assert why(real, llama, ROWS | {"movie": 400}) == "another test set: 400 rows, the paper's has 1000"
    larger = {name: d.model_copy(update={"format": "ratings-table"}) for name, d in real.items()}
    assert why(larger, llama, ROWS) == "other data: ratings-table"
    recent = {"selection": "described"}, {"liked_above": 4.0}, {"history_length": 5}
    for change in recent:  # other rows or labels, and as many
        (key, value) = next(iter(change.items()))
        rows = real | {"movie": real["movie"].model_copy(update=change)}
        assert why(rows, llama, ROWS).startswith(f"other rows: {key} is {value}, the paper's ")
    assert why(real, tiny, ROWS) == "another language model: tiny"
    assert why(real, llama, ROWS) is None
    assert why(real, llama.model_copy(update={"weights": "random"}), ROWS) == "random weights"
    for name in ("codellama/CodeLlama-7b-hf", "x/LLaMA-7b-GPTQ", "/models/llama-7b"):  # a name that holds it is not it
        other = llama.model_copy(update={"model": name})
        assert why(real, other, ROWS) == f"another language model: {name}"
    baseline = next(number for number in paper.numbers if number.method == "gru4rec")
    assert why(real, tiny, ROWS, baseline) is None


def test_a_summary_joins_seeds_and_leaves_out_none(summaries: Callable[..., dict]) -> None:
    summary = summaries(0.6, 0.7, None, error=0.01)[group_of(NUMBER.group)]
    assert isinstance(summary, Summary)
    assert (summary.n_seeds, summary.n_expected, summary.is_complete) == (2, 3, False)
    # Users and two seeds: the variances add up, with a little more than the one degree of freedom of the seeds.
    variances = 0.01**2, 0.05**2
    dof = sum(variances) ** 2 / (variances[0] ** 2 / 15 + variances[1] ** 2)
    margin = stats.t.ppf(0.975, dof) * sum(variances) ** 0.5
    assert summary.auc == pytest.approx(0.65)
    assert summary.interval == pytest.approx((0.65 - margin, 1.0))  # no AUC is above 1
    assert summary.seed_sd == pytest.approx(0.1 / 2**0.5)
