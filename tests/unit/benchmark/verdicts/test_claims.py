"""The claims ledger: every kind of test, and every verdict it can reach."""

from pathlib import Path

import pytest
from scipy import stats

from benchmark.errors import ConfigError
from benchmark.schema import Cell
from benchmark.statistics.comparisons import Difference, Spread
from benchmark.statistics.results import MetricRow, summarise
from benchmark.verdicts.claims import TESTS, Results, _reason, claim_pairs, decide, judge_claims
from benchmark.verdicts.evidence import Evidence

HALF_WIDTH = 0.02


def _results(aucs: dict[tuple, float | None], **changes: object) -> Results:
    """Two seeds a group with the same AUC; None is a missing group. Keys: family, method, train, test, K."""
    rows = []
    for (family, method, train, test, n_shots), auc in aucs.items():
        for seed in (0, 1):
            cell = Cell(family, method, train, test, n_shots, seed)
            numbers = () if auc is None else (auc, auc - HALF_WIDTH, auc + HALF_WIDTH, {"uauc": auc}, 16, 1000)
            rows.append(MetricRow(cell, "missing" if auc is None else "ok", *numbers))
    settings: dict = {"confidence": 0.95, "efficiency": [], "model_is_papers": True}
    return Results(summarise(rows), **(settings | changes))


def _tuned(train: str, test: str, n_shots: int, recipe: str = "tallrec") -> tuple:
    return "tuned", f"{recipe}-{train}", train, test, n_shots


def _verdict(claim_id: str, results: Results) -> str:
    return next(claim.verdict for claim in judge_claims(results) if claim.id == claim_id)


def _evidence_of(claim_id: str, results: Results) -> Evidence:
    """The only comparison of a claim."""
    (found,) = next(claim.evidence for claim in judge_claims(results) if claim.id == claim_id)
    return found


BASELINE = ("baseline", "gru4rec", "movie", "movie", 16)
CONTROL = ("control", "liked_share", "movie", "movie", 0)
TRAINED_CONTROL = ("control", "item_mean", "movie", "movie", 16)
ICL = ("icl", "icl-base-released", "movie", "movie", 0)
TALLREC = _tuned("movie", "movie", 16)


def test_the_reason_names_a_comparison_of_the_verdict() -> None:
    """Not the one with the largest distance, whose margin may hold zero."""
    far = Evidence("far", -0.2, 0.3, "inconclusive", "paired", 0.2)
    near = Evidence("near", -0.1, 0.02, "contradicted", "paired", 0.001)
    said = "1 of 2 comparisons contradicted; weakest: near, -10.0 ± 2.0 (paired)"
    assert _reason("contradicted", [far, near]) == said
    same = Evidence("same", 0.0, 0.0, "inconclusive", "paired", 1.0)
    assert _reason("inconclusive", [same]) == "1 of 1 comparisons inconclusive; weakest: same, +0.0 ± 0.0 (paired)"


def test_the_margin_separates_the_verdicts() -> None:
    assert [decide(d, 0.1) for d in (0.2, 0.1, 0.0, -0.1, -0.2)] == [
        "supported",
        "inconclusive",
        "inconclusive",
        "inconclusive",
        "contradicted",
    ]


@pytest.mark.parametrize(
    ("claim_id", "aucs", "verdict"),
    [
        ("beats_baselines", {TALLREC: 0.7, BASELINE: 0.5}, "supported"),
        ("beats_baselines", {TALLREC: 0.52, BASELINE: 0.5}, "inconclusive"),
        ("beats_baselines", {TALLREC: 0.4, BASELINE: 0.5}, "contradicted"),
        ("beats_baselines", {TALLREC: 0.7, BASELINE: None}, "not run"),
        ("beats_baselines", {TALLREC: 0.7}, "not run"),
        ("beats_baselines", {_tuned("both", "movie", 16): 0.7, BASELINE: 0.5}, "not run"),
        ("baselines_near_chance", {BASELINE: 0.51}, "supported"),
        ("baselines_near_chance", {BASELINE: 0.54}, "inconclusive"),
        ("baselines_near_chance", {BASELINE: 0.4}, "contradicted"),
        ("icl_near_chance", {ICL: 0.5}, "supported"),
        ("icl_near_chance", {ICL: 0.7}, "contradicted"),
        ("rises_with_k", {TALLREC: 0.6, _tuned("movie", "movie", 64): 0.7}, "supported"),
        ("rises_with_k", {TALLREC: 0.7, _tuned("movie", "movie", 64): 0.6}, "contradicted"),
        ("rises_with_k", {TALLREC: 0.7}, "not run"),
        ("instruction_tuning_helps", {TALLREC: 0.7, _tuned("movie", "movie", 16, "rt"): 0.5}, "supported"),
        ("instruction_tuning_helps", {TALLREC: 0.5, _tuned("movie", "movie", 16, "rt"): 0.7}, "contradicted"),
        ("transfers", {_tuned("movie", "book", 16): 0.6}, "supported"),
        ("transfers", {_tuned("movie", "book", 16): 0.51}, "inconclusive"),
        ("transfer_is_close", {_tuned("book", "movie", 16): 0.7, TALLREC: 0.7}, "supported"),
        ("transfer_is_close", {_tuned("book", "movie", 16): 0.55, TALLREC: 0.7}, "contradicted"),
        ("both_is_best", {_tuned("both", "movie", 64): 0.9, _tuned("movie", "movie", 64): 0.5}, "not run"),
        (
            "both_is_best",
            {_tuned("both", "movie", 256): 0.9, _tuned("movie", "movie", 256): 0.5},
            "supported",
        ),
        ("beats_controls", {TALLREC: 0.6, CONTROL: 0.7, TRAINED_CONTROL: 0.2}, "contradicted"),
        ("beats_controls", {TALLREC: 0.6, TRAINED_CONTROL: 0.2}, "not run"),
        # Without the resamples of users behind a paired difference nothing is known about UAUC.
        ("beats_controls_within_users", {TALLREC: 0.6, CONTROL: 0.5}, "inconclusive"),
    ],
)
def test_each_claim_can_come_out_either_way(claim_id: str, aucs: dict, verdict: str) -> None:
    assert _verdict(claim_id, _results(aucs)) == verdict


@pytest.mark.parametrize(
    ("published", "verdict"),
    [(0.73, "supported"), (0.71, "inconclusive"), (0.69, "inconclusive"), (0.67, "contradicted")],
)
def test_a_published_value_is_compared_with_the_interval_of_ours(published: float, verdict: str) -> None:
    tuned_badly = {TALLREC: 0.4, CONTROL: 0.7, TRAINED_CONTROL: 0.9}
    results = _results(tuned_badly, published={Cell(*TALLREC, 0): published})
    found = _evidence_of("published_beats_controls", results)
    margin_of_16_users = HALF_WIDTH * stats.t.ppf(0.975, 15) / stats.norm.ppf(0.975)
    assert (found.verdict, found.interval) == (verdict, "published value")
    assert (found.distance, found.margin) == pytest.approx((published - 0.7, margin_of_16_users))
    assert _verdict("published_beats_controls", results) == verdict
    assert _verdict("published_beats_controls", _results(tuned_badly)) == "not run"  # on other test rows


def test_two_seeds_that_disagree_decide_nothing_of_one_method() -> None:
    """z instead of t would give a margin of 10 points and support the claim."""
    cells = [Cell(*_tuned("movie", "book", 16)[:-1], 16, seed) for seed in (0, 1)]
    rows = [MetricRow(c, "ok", x, x - 0.01, x + 0.01, {}, 2427, 2427) for c, x in zip(cells, (0.6, 0.7), strict=True)]
    found = _evidence_of("transfers", Results(summarise(rows), 0.95, [], model_is_papers=True))
    assert (found.verdict, found.interval) == ("inconclusive", "independent")
    assert found.margin == pytest.approx(
        stats.t.ppf(0.975, 1) * 0.05, rel=0.05
    )  # the users add a degree of freedom or so


def test_one_seed_decides_nothing_where_seeds_matter() -> None:
    one = [MetricRow(Cell(*TALLREC, 0), "ok", 0.9, 0.89, 0.91, {}, 1000, 1000)]
    one += [MetricRow(Cell(*BASELINE, 0), "ok", 0.5, 0.49, 0.51, {}, 1000, 1000)]
    found = _evidence_of("beats_baselines", Results(summarise(one), 0.95, [], model_is_papers=True))
    assert (found.verdict, found.interval) == ("inconclusive", "users alone")
    rules = [MetricRow(Cell(*ICL, 0), "ok", 0.5, 0.49, 0.51, {}, 1000, 1000)]  # zero-shot: no draw
    assert _verdict("icl_near_chance", Results(summarise(rules), 0.95, [], model_is_papers=True)) == "supported"


def test_a_published_value_is_compared_at_its_own_k() -> None:
    heads = {("baseline", "gru4rec-shared", "movie", "movie", n_shots): 0.6 for n_shots in (16, 64)}
    found = _evidence_of("published_beats_shared_head", _results(heads, published={Cell(*TALLREC, 0): 0.7}))
    assert found.what == "published tallrec-movie k16 vs gru4rec-shared k16 on movie"


def test_one_contradicted_comparison_contradicts_and_one_open_one_keeps_it_open() -> None:
    other = ("baseline", "sasrec", "movie", "movie", 16)
    assert _verdict("beats_baselines", _results({TALLREC: 0.7, BASELINE: 0.5, other: 0.9})) == "contradicted"
    assert _verdict("beats_baselines", _results({TALLREC: 0.7, BASELINE: 0.5, other: 0.69})) == "inconclusive"


def test_seeds_that_disagree_widen_the_margin() -> None:
    rows = [
        MetricRow(Cell(*TALLREC, seed), "ok", auc, auc - 0.001, auc + 0.001, {}, 16, 1000)
        for seed, auc in enumerate((0.5, 0.8))
    ]
    rows += [MetricRow(Cell(*BASELINE, 0), "ok", 0.5, 0.499, 0.501, {}, 16, 1000)]
    assert _verdict("beats_baselines", Results(summarise(rows), 0.95, [], model_is_papers=True)) == "inconclusive"
    found = judge_claims(Results(summarise(rows), 0.95, [], model_is_papers=True))
    within = next(claim for claim in found if claim.id == "beats_controls_within_users")
    assert within.verdict == "not run"


def test_a_paired_difference_decides_where_there_is_one() -> None:
    aucs = {TALLREC: 0.52, BASELINE: 0.5}
    pair = Cell(*TALLREC, 0), Cell(*BASELINE, 0), "auc"
    assert pair in claim_pairs(_results(aucs).groups)
    independent = _evidence_of("beats_baselines", _results(aucs))
    assert (independent.verdict, independent.interval) == ("inconclusive", "independent")
    for error, verdict in ((0.002, "supported"), (0.2, "inconclusive")):
        found = {pair: Difference(0.02, 0.01, 0.03, Spread(error**2, 15))}
        paired = _evidence_of("beats_baselines", _results(aucs, differences=found))
        assert (paired.verdict, paired.interval) == (verdict, "paired")
        assert (paired.p_value < 0.05) == (verdict == "supported")


def test_one_contradiction_in_many_comparisons_must_be_more_than_chance() -> None:
    """p = 0.02 contradicts where it stands alone, and not as one of thirty."""
    error = 0.02 / 2.3263  # two-sided p = 0.02 in the normal limit
    for n_others, verdict in ((0, "contradicted"), (29, "inconclusive")):
        others = [("baseline", f"other{number}", "movie", "movie", 16) for number in range(n_others)]
        aucs = {TALLREC: 0.6, BASELINE: 0.62} | dict.fromkeys(others, 0.6)
        left = Cell(*TALLREC, 0)
        found = {(left, Cell(*key, 0), "auc"): Difference(0.0, -0.1, 0.1, Spread(error**2, 1e9)) for key in others}
        found[left, Cell(*BASELINE, 0), "auc"] = Difference(-0.02, -0.1, 0.1, Spread(error**2, 1e9))
        assert _verdict("beats_baselines", _results(aucs, differences=found)) == verdict


def test_pairs_that_claims_need_are_at_one_k_but_for_the_curve() -> None:
    aucs = {TALLREC: 0.6, _tuned("movie", "movie", 64): 0.6, BASELINE: 0.5, CONTROL: 0.5}
    pairs = claim_pairs(_results(aucs).groups)
    small, large = Cell(*TALLREC, 0), Cell(*_tuned("movie", "movie", 64), 0)
    assert set(pairs) == {
        (small, Cell(*BASELINE, 0), "auc"),
        (large, small, "auc"),
        *((left, Cell(*CONTROL, 0), metric) for left in (small, large) for metric in ("auc", "uauc")),
    }


def test_uauc_that_no_user_defines_is_left_out_and_counted() -> None:
    rows = []
    for key in (TALLREC, CONTROL):
        rows += [MetricRow(Cell(*key, seed), "ok", 0.6, 0.5, 0.7, {}, 1000, 1000) for seed in (0, 1)]
    results = Results(summarise(rows), 0.95, [], model_is_papers=True)
    claim = next(claim for claim in judge_claims(results) if claim.id == "beats_controls_within_users")
    assert (claim.verdict, claim.reason) == ("not run", "not defined on any test set of the grid")
    assert [item.verdict for item in claim.evidence] == ["not defined"]


@pytest.mark.parametrize(
    ("peak", "model_is_papers", "verdict"),
    [(20 * 2**30, True, "supported"), (30 * 2**30, True, "contradicted"), (20 * 2**30, False, "not run")],
)
def test_memory_is_decided_by_the_papers_model_alone(peak: int, model_is_papers: bool, verdict: str) -> None:
    rows = [{"name": "8bit", "status": "ok", "peak_memory_bytes": peak}]
    rows.append({"name": "on a CPU", "status": "ok", "peak_memory_bytes": 2**30, "device": "CPU"})
    rows.append({"name": "none", "status": "out of memory", "peak_memory_bytes": None})
    assert _verdict("fits_in_24_gb", _results({}, efficiency=rows, model_is_papers=model_is_papers)) == verdict
    assert _verdict("fits_in_24_gb", _results({}, model_is_papers=model_is_papers)) == "not run"


def test_every_claim_without_results_is_not_run_and_every_kind_is_used() -> None:
    claims = judge_claims(_results({}))
    assert len(claims) >= 15
    assert {claim.verdict for claim in claims} == {"not run"}
    assert len({claim.id for claim in claims}) == len(claims)
    assert len(TESTS) == 7


def test_an_unknown_kind_is_named(tmp_path: Path) -> None:
    path = tmp_path / "claims.yaml"
    path.write_text("claims:\n- {id: odd, sentence: x, where: y, kind: is_nice}\n")
    with pytest.raises(ConfigError, match=r"odd\.kind: 'is_nice' is not one of greater_than"):
        judge_claims(_results({}), path)
