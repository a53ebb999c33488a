"""Published numbers beside ours: each verdict, and what it rests on."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from scipy import stats

from benchmark.config.params import Params
from benchmark.schema import group_of
from benchmark.statistics.estimates import Estimates
from benchmark.statistics.results import MetricRow, Summary, summarise
from benchmark.verdicts.paper import PaperNumber, load_paper
from benchmark.verdicts.published import judge, reservations, why_not_comparable

NUMBER = PaperNumber("main", "tallrec-movie", "movie", "movie", 16, 0.6724, 0.05, "paper", "published")
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


@pytest.mark.parametrize(
    ("aucs", "error", "verdict", "reason"),
    [
        ((0.66, 0.66), 0.01, "match", "-1.24 points, within our interval"),
        # Means of seeds: their standard error is half their distance, 12.7 of it the margin of two.
        ((0.60, 0.70), 0.0005, "match", "-2.24 points, within our interval"),
        ((0.64, 0.65), 0.0005, "match", "-2.74 points, within our interval"),
        ((0.66, 0.67), 0.01, "match", "-0.74 points, within our interval"),
        ((0.668, 0.676), 0.0001, "match", "-0.04 points, within our interval"),
        ((0.644, 0.646), 0.0005, "close", "-2.74 points, a deviation"),
        ((0.554, 0.556), 0.0005, "off", "-11.74 points, a deviation"),
        # One seed has no interval, so nothing lies in it.
        ((0.672,), 0.01, "close", "-0.04 points, one seed"),
        ((0.55,), 0.01, "off", "-12.24 points, one seed"),
        ((0.66, None), 0.01, "missing", "1 of 2 seeds were run"),
        ((None, None), 0.01, "missing", "not run"),
    ],
)
def test_each_verdict_and_what_explains_it(
    aucs: tuple[float | None, ...], error: float, verdict: str, reason: str, summaries: Callable[..., dict]
) -> None:
    found = judge(NUMBER, summaries(*aucs, error=error), None)
    assert (found.verdict, found.reason) == (verdict, reason)
    assert found.label == found.counted_as == verdict


def test_seed_noise_is_judged_by_the_mean_not_by_the_extremes(summaries: Callable[..., dict]) -> None:
    # Between the lowest and the highest seed, but further from the mean of five than t SD / sqrt(5) = 0.050.
    found = judge(NUMBER, summaries(0.60, 0.60, 0.60, 0.60, 0.69), None)
    assert (found.verdict, found.reason) == ("off", "-5.44 points, a deviation")


def test_a_reservation_never_reads_as_a_plain_match(summaries: Callable[..., dict]) -> None:
    found = judge(NUMBER, summaries(0.671, 0.673), None, ("stand-in training rows",))
    assert (found.verdict, found.label, found.counted_as) == ("match", "match with reservation", "with reservation")
    assert found.reason.endswith("; stand-in training rows")
    without = judge(NUMBER, {}, None, ("stand-in training rows",))
    assert (without.label, without.counted_as) == ("missing", "missing")


def test_stand_in_training_rows_and_another_text_encoder_are_reservations(params: Params) -> None:
    paper = load_paper()
    found = {
        number.group: reservations(number, params, paper, {"book": {"train.json": "train.sample.json"}})
        for number in paper.numbers
    }
    assert {cell.train_domain for cell, why in found.items() if "stand-in training rows" in why} == {"book"}
    assert {cell.method for cell, why in found.items() if "another text encoder" in why} == {"gru_bert", "dros_bert"}
    assert found[NUMBER.group] == ()
    encoder = params.baselines.text_encoder.model_copy(update={"model": "google-bert/BERT-large-uncased"})
    baselines = params.baselines.model_copy(update={"text_encoder": encoder})
    as_published = params.model_copy(update={"baselines": baselines})
    assert {reservations(number, as_published, paper, {}) for number in paper.numbers} == {()}


def test_a_number_outside_the_grid_is_missing_and_an_obstacle_is_told(summaries: Callable[..., dict]) -> None:
    assert judge(NUMBER, {}, None).verdict == "missing"
    found = judge(NUMBER, summaries(0.67), "the movie data are generated")
    assert (found.verdict, found.reason) == ("not comparable", "the movie data are generated")


def test_what_is_not_comparable_says_why(params: Params) -> None:
    paper = load_paper()
    generated = {name: d.model_copy(update={"source": "embedded"}) for name, d in params.domains.items()}
    real = {name: d.model_copy(update={"source": "official"}) for name, d in params.domains.items()}
    llama = params.llm.model_copy(update={"model": "huggyllama/LLaMA-7b"})
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
