"""The claims ledger: every kind of test, and every verdict it can reach."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from scipy import stats

from benchmark.errors import ConfigError
from benchmark.schema import Cell
from benchmark.statistics.estimates import Estimates
from benchmark.statistics.results import MetricRow, summarise
from benchmark.verdicts import follow_ups
from benchmark.verdicts.claim_kinds import TESTS
from benchmark.verdicts.claims import CLAIMS_YAML, ClaimVerdict, _reason, judge_claims
from benchmark.verdicts.evidence import Evidence, Results, decide

HALF_WIDTH = 0.02
ERROR = HALF_WIDTH / stats.norm.ppf(0.975)
"""Standard error over users."""
MARGIN = ERROR * stats.t.ppf(0.975, 15)
"""Of one method on 16 effective users whose seeds agree."""


@pytest.fixture
def results_of(estimates_of: Callable[..., Estimates]) -> Callable[..., Results]:
    """Makes results from the AUC of each group, or of each of its seeds; None is a missing group.

    One value stands for two seeds that agree. Keys: family, method, train, test, K.
    """

    def make(
        aucs: dict[tuple, Any], error: Any = ERROR, alike: tuple = (), metrics: Any = ("auc", "uauc"), **changes: Any
    ) -> Results:
        n_effective = changes.pop("n_effective", 16.0)
        of_seeds = {key: aucs[key] if isinstance(aucs[key], tuple) else (aucs[key], aucs[key]) for key in aucs}
        rows = []
        for key, seeds in of_seeds.items():
            for seed, auc in enumerate(seeds):
                cell = Cell(*key, seed)
                numbers = () if auc is None else (auc, None, None, dict.fromkeys(metrics[1:], auc), 16, 1000)
                rows.append(MetricRow(cell, "missing" if auc is None else "ok", *numbers))
        known = {Cell(*key, 0): seeds for key, seeds in of_seeds.items() if None not in seeds}
        estimates = estimates_of(known, error, n_effective, metrics, tuple(Cell(*key, 0) for key in alike))
        settings: dict = {"confidence": 0.95, "efficiency": [], "model_is_papers": True, "estimates": estimates}
        return Results(summarise(rows, estimates), **(settings | changes))

    return make


def _tuned(train: str, test: str, n_shots: int, recipe: str = "tallrec") -> tuple:
    return "tuned", f"{recipe}-{train}", train, test, n_shots


ALL = Path("without needs.yaml")


@pytest.fixture(autouse=True)
def without_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The claims as they are, but for what their sentences name: small runs are judged as if they were whole."""
    monkeypatch.chdir(tmp_path)
    content = YAML(typ="safe").load(CLAIMS_YAML.read_text())
    for claim in content["claims"]:
        claim.pop("needs", None)
    with ALL.open("w") as stream:
        YAML().dump(content, stream)


def _claim(claim_id: str, results: Results, path: Path = ALL) -> ClaimVerdict:
    return next(claim for claim in judge_claims(results, path) if claim.id == claim_id)


def _verdict(claim_id: str, results: Results) -> str:
    return _claim(claim_id, results).verdict


def _evidence_of(claim_id: str, results: Results) -> Evidence:
    """The only comparison of a claim."""
    (found,) = _claim(claim_id, results).evidence
    return found


BASELINE = ("baseline", "gru4rec", "movie", "movie", 16)
CONTROL = ("control", "liked_share", "movie", "movie", 0)
TRAINED_CONTROL = ("control", "item_mean", "movie", "movie", 16)
ICL = ("icl", "icl-base-released", "movie", "movie", 0)
AT_ALONE = ("icl", "icl-alpaca-released", "movie", "movie", 0)
AT_ON_BOOK = ("icl", "icl-alpaca-released", "book", "book", 0)
TALLREC = _tuned("movie", "movie", 16)


def test_the_reason_names_a_comparison_of_the_verdict() -> None:
    """Not the one with the largest distance, whose margin may hold zero."""
    far = Evidence("far", -0.2, 0.3, "inconclusive", "users and seeds", 0.2, said="far is far")
    near = Evidence("near", -0.1, 0.02, "contradicted", "users and seeds", 0.001, said="near is near")
    assert _reason("contradicted", [far, near]) == "1 of 2 comparisons contradicted; weakest: near is near"
    assert _reason("inconclusive", [far]) == "far is far"


@pytest.mark.parametrize(
    ("claim_id", "aucs", "reason"),
    [
        (
            "icl_near_chance",
            {ICL: 0.613},
            "icl-base-released on movie is 11.3 above chance; allowed 5; margin 2.2",
        ),
        (
            "transfers",
            {_tuned("movie", "book", 16): 0.4},
            "tallrec-movie at K = 16 on book is 10.0 below chance; margin 2.2",
        ),
        (
            "beats_baselines",
            {TALLREC: 0.7, BASELINE: 0.5},
            "tallrec-movie at K = 16 on movie is 20.0 above gru4rec; margin 3.1",
        ),
        (
            "rises_with_k",
            {TALLREC: 0.6, _tuned("movie", "movie", 64): 0.7},
            "tallrec-movie at K = 64 on movie is 10.0 above itself at K = 16; margin 3.1",
        ),
        (
            "transfer_is_close",
            {_tuned("book", "movie", 16): 0.5, TALLREC: 0.7},
            "tallrec-book at K = 16 on movie is 20.0 below tallrec-movie; allowed 5; margin 3.1",
        ),
        (
            "instruction_tuning_helps",
            {_tuned(d, d, 16, name): auc for d in ("movie", "book") for name, auc in (("tallrec", 0.7), ("rt", 0.5))},
            "tallrec-movie at K = 16 on movie and 1 more, on average, is 20.0 above rt-movie and its like; margin 2.1",
        ),
    ],
)  # fmt: skip
def test_a_reason_is_a_sentence_with_its_numbers(claim_id: str, aucs: dict, reason: str, results_of: Any) -> None:
    assert _claim(claim_id, results_of(aucs)).reason == reason


def test_what_is_not_decided_says_what_it_would_take(results_of: Any) -> None:
    """Of seeds that scatter, more seeds; of users alone, more users; of neither alone, both."""
    scattered = results_of({TALLREC: (0.48, 0.58), BASELINE: (0.5, 0.5)}, error=0.0005)
    (found,) = _claim("beats_baselines", scattered).evidence
    assert re.fullmatch(r"\d+ seeds in place of 2", found.takes)
    calm = _claim("beats_baselines", results_of({TALLREC: 0.52, BASELINE: 0.5}))
    assert re.fullmatch(r"\d+ users of movie", calm.evidence[0].takes)
    smallest, takes = 100 * calm.evidence[0].smallest, calm.evidence[0].takes
    assert calm.reason.endswith(f"a true {smallest:.1f} is seen in 80% of runs, a true 2.0 takes {takes}")
    both = _evidence_of("beats_baselines", results_of({TALLREC: (0.48, 0.58), BASELINE: (0.5, 0.5)}, error=0.05))
    assert re.fullmatch(r"\d+ seeds in place of 2 and [\d,]+ users of movie", both.takes)
    decided = _evidence_of("beats_baselines", results_of({TALLREC: 0.7, BASELINE: 0.5}))
    assert (decided.verdict, decided.takes) == ("supported", "")


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
        ("beats_controls_within_users", {TALLREC: 0.6, CONTROL: 0.5}, "supported"),
        ("beats_controls_within_users", {TALLREC: 0.52, CONTROL: 0.5}, "inconclusive"),
        ("beats_controls_within_users", {TALLREC: 0.4, CONTROL: 0.5}, "contradicted"),
    ],
)
def test_each_claim_can_come_out_either_way(claim_id: str, aucs: dict, verdict: str, results_of: Any) -> None:
    assert _verdict(claim_id, results_of(aucs)) == verdict


@pytest.mark.parametrize(
    ("published", "verdict"),
    [(0.73, "supported"), (0.71, "inconclusive"), (0.69, "inconclusive"), (0.67, "contradicted")],
)
def test_a_published_value_is_compared_with_the_interval_of_ours(
    published: float, verdict: str, results_of: Any
) -> None:
    tuned_badly = {TALLREC: 0.4, CONTROL: 0.7, TRAINED_CONTROL: 0.9}
    results = results_of(tuned_badly, published={Cell(*TALLREC, 0): published})
    found = _evidence_of("published_beats_controls", results)
    assert (found.verdict, found.interval) == (verdict, "published value")
    assert (found.distance, found.margin) == pytest.approx((published - 0.7, MARGIN))
    assert _verdict("published_beats_controls", results) == verdict
    assert _verdict("published_beats_controls", results_of(tuned_badly)) == "not run"  # on other test rows


def test_two_seeds_that_disagree_decide_nothing_of_one_method(results_of: Any) -> None:
    """z instead of t would give a margin of 10 points and support the claim."""
    results = results_of({_tuned("movie", "book", 16): (0.6, 0.7)}, error=0.005, n_effective=2427.0)
    found = _evidence_of("transfers", results)
    assert (found.verdict, found.interval) == ("inconclusive", "users and seeds")
    # The users add a degree of freedom or so.
    assert found.margin == pytest.approx(stats.t.ppf(0.975, 1) * 0.05, rel=0.05)


def test_one_seed_decides_nothing_where_seeds_matter(results_of: Any) -> None:
    for aucs in ({TALLREC: (0.9,), BASELINE: (0.5,)}, {TALLREC: (0.9,), BASELINE: (0.5, 0.5)}):
        found = _evidence_of("beats_baselines", results_of(aucs))
        assert (found.verdict, found.interval, found.margin) == ("inconclusive", "one seed", None)
        assert found.distance == pytest.approx(0.4)
        assert _claim("beats_baselines", results_of(aucs)).reason.endswith(
            "tallrec-movie at K = 16 on movie is 40.0 above gru4rec; one seed, so no margin"
        )
    published = {Cell(*TALLREC, 0): 0.7}
    heads = {("baseline", "gru4rec-shared", "movie", "movie", 16): (0.5,)}
    found = _evidence_of("published_beats_shared_head", results_of(heads, published=published))
    assert (found.verdict, found.interval, found.margin) == ("inconclusive", "one seed", None)
    rules = {ICL: (0.5,)}  # zero-shot: no draw
    assert _verdict("icl_near_chance", results_of(rules)) == "supported"


def test_a_method_that_has_several_seeds_elsewhere_gives_no_margin_to_one_that_has_one(results_of: Any) -> None:
    """The pool of its family is of two seeds each; it says how seeds scatter, but no claim rests on one draw."""
    other = ("baseline", "sasrec", "movie", "movie", 16)
    found = results_of({BASELINE: (0.5,), other: (0.5, 0.6)}).estimates.estimate(Cell(*BASELINE, 0))
    assert (found.spread, found.why_unknown) == (None, "one seed")


def test_a_published_value_is_compared_at_its_own_k(results_of: Any) -> None:
    heads = {("baseline", "gru4rec-shared", "movie", "movie", n_shots): 0.6 for n_shots in (16, 64)}
    found = _evidence_of("published_beats_shared_head", results_of(heads, published={Cell(*TALLREC, 0): 0.7}))
    assert found.said.startswith("published tallrec-movie at K = 16 on movie is 10.0 above gru4rec-shared; margin")


def test_one_contradicted_comparison_contradicts_and_one_open_one_keeps_it_open(results_of: Any) -> None:
    other = ("baseline", "sasrec", "movie", "movie", 16)
    assert _verdict("beats_baselines", results_of({TALLREC: 0.7, BASELINE: 0.5, other: 0.9})) == "contradicted"
    assert _verdict("beats_baselines", results_of({TALLREC: 0.7, BASELINE: 0.5, other: 0.69})) == "inconclusive"


def test_seeds_that_disagree_widen_the_margin(results_of: Any) -> None:
    aucs = {TALLREC: (0.5, 0.8), BASELINE: (0.5, 0.5)}
    assert _verdict("beats_baselines", results_of(aucs, error=0.0005)) == "inconclusive"
    assert _verdict("beats_baselines", results_of(aucs | {TALLREC: (0.65, 0.65)}, error=0.0005)) == "supported"
    assert _verdict("beats_controls_within_users", results_of(aucs)) == "not run"


def test_noise_of_users_that_two_methods_share_cancels(results_of: Any) -> None:
    aucs = {TALLREC: 0.52, BASELINE: 0.5}
    apart = _evidence_of("beats_baselines", results_of(aucs))
    assert apart.verdict == "inconclusive"
    assert apart.margin == pytest.approx(2**0.5 * MARGIN)
    assert apart.p_value > 0.05
    errors = {Cell(*TALLREC, 0): ERROR, Cell(*BASELINE, 0): 1.1 * ERROR}
    together = _evidence_of("beats_baselines", results_of(aucs, errors, alike=(TALLREC, BASELINE)))
    assert (together.verdict, together.interval) == ("supported", "users and seeds")
    assert together.margin == pytest.approx(0.1 * MARGIN)
    assert together.p_value < 0.05


def _against_many(results_of: Any, alike: int) -> str:
    """The verdict of a difference with p = 0.02 among thirty; `alike` of the others share its noise."""
    error = 0.02 / stats.norm.ppf(0.99)  # two-sided p = 0.02 where nothing else is uncertain
    others = [("baseline", f"other{number}", "movie", "movie", 16) for number in range(29)]
    aucs = {TALLREC: 0.6, BASELINE: 0.62} | dict.fromkeys(others, 0.6)
    errors = {Cell(*key, 0): error for key in aucs} | {Cell(*TALLREC, 0): 0.0}
    shared = (BASELINE, *others[:alike])
    return _verdict("beats_baselines", results_of(aucs, errors, alike=shared, n_effective=1e9))


def test_one_contradiction_in_many_comparisons_must_be_more_than_chance(results_of: Any) -> None:
    """p = 0.02 contradicts where it stands alone, or where the others ask the same; not as one of thirty."""
    alone = {Cell(*TALLREC, 0): 0.0, Cell(*BASELINE, 0): 0.02 / stats.norm.ppf(0.99)}
    assert _verdict("beats_baselines", results_of({TALLREC: 0.6, BASELINE: 0.62}, alone, n_effective=1e9)) == (
        "contradicted"
    )
    assert _against_many(results_of, alike=0) == "inconclusive"
    # Holm would know no difference between thirty comparisons and thirty times one.
    assert _against_many(results_of, alike=29) == "contradicted"


def test_pairs_that_claims_need_are_at_one_k_but_for_the_curve(results_of: Any) -> None:
    aucs = {TALLREC: 0.6, _tuned("movie", "movie", 64): 0.6, BASELINE: 0.5, CONTROL: 0.5}
    small, large = Cell(*TALLREC, 0), Cell(*_tuned("movie", "movie", 64), 0)
    pairs = {
        (*(cell for cell, _ in item.terms), item.metric)
        for claim in judge_claims(results_of(aucs), ALL)
        for item in claim.evidence
        if len(item.terms) == 2
    }
    assert pairs == {
        (small, Cell(*BASELINE, 0), "auc"),
        (large, small, "auc"),
        *((left, Cell(*CONTROL, 0), metric) for left in (small, large) for metric in ("auc", "uauc")),
    }


def test_uauc_that_no_user_defines_is_left_out_and_counted(results_of: Any) -> None:
    claim = _claim("beats_controls_within_users", results_of({TALLREC: 0.6, CONTROL: 0.6}, metrics=("auc",)))
    assert (claim.verdict, claim.reason) == ("not run", "not defined on any test set of the grid")
    assert [item.verdict for item in claim.evidence] == ["not defined"]


@pytest.mark.parametrize(
    ("peak", "model_is_papers", "verdict"),
    [(20 * 2**30, True, "supported"), (30 * 2**30, True, "contradicted"), (20 * 2**30, False, "not run")],
)
def test_memory_is_decided_by_the_papers_model_alone(
    peak: int, model_is_papers: bool, verdict: str, results_of: Any
) -> None:
    rows = [{"name": "8bit", "status": "ok", "peak_memory_bytes": peak}]
    rows.append({"name": "on a CPU", "status": "ok", "peak_memory_bytes": 2**30, "device": "CPU"})
    rows.append({"name": "none", "status": "does not fit", "peak_memory_bytes": None})
    assert _verdict("fits_in_24_gb", results_of({}, efficiency=rows, model_is_papers=model_is_papers)) == verdict
    assert _verdict("fits_in_24_gb", results_of({}, model_is_papers=model_is_papers)) == "not run"


def test_every_claim_without_results_is_not_run_and_every_kind_is_used(results_of: Any) -> None:
    claims = judge_claims(results_of({}))
    assert len(claims) >= 15
    assert {claim.verdict for claim in claims} == {"not run"}
    assert len({claim.id for claim in claims}) == len(claims)
    assert len(TESTS) == 8 + len(follow_ups.TESTS)


def test_an_unknown_kind_is_named(tmp_path: Path, results_of: Any) -> None:
    path = tmp_path / "claims.yaml"
    path.write_text("claims:\n- {id: odd, sentence: x, where: y, kind: is_nice}\n")
    with pytest.raises(ConfigError, match=r"odd\.kind: 'is_nice' is not one of greater_than"):
        judge_claims(results_of({}), path)


def test_a_run_that_lacks_what_the_sentence_names_is_so_far_and_never_supported(results_of: Any) -> None:
    one = results_of({TALLREC: 0.7, BASELINE: 0.5})
    claim = _claim("beats_baselines", one, CLAIMS_YAML)
    assert claim.verdict == "so far"
    assert claim.reason.startswith("1 of 1 comparisons supported so far; not in this run: caser, sasrec")
    assert claim.reason.endswith("book, K = 64, K = 256")
    # What contradicts a sentence about each of many does so whatever else was run; of a tendency it is a part.
    worse = results_of({TALLREC: 0.4, BASELINE: 0.5})
    assert _claim("beats_baselines_where_marked", worse, CLAIMS_YAML).verdict == "contradicted"
    assert _claim("beats_baselines", worse, CLAIMS_YAML).verdict == "so far"
    models = ("gru4rec", "caser", "sasrec", "dros", "gru_bert", "dros_bert")
    whole = {
        key: auc
        for domain in ("movie", "book")
        for n_shots in (16, 64, 256)
        for key, auc in (
            (_tuned(domain, domain, n_shots), 0.7),
            *((("baseline", model, domain, domain, n_shots), 0.5) for model in models),
        )
    }
    assert _claim("beats_baselines", results_of(whole), CLAIMS_YAML).verdict == "supported"


def test_a_domain_or_k_of_one_side_alone_is_not_in_the_run(results_of: Any) -> None:
    """Recommenders on both domains at every K, and TALLRec on one domain at one K: that is no result on the rest."""
    models = ("gru4rec", "caser", "sasrec", "dros", "gru_bert", "dros_bert")
    baselines = {("baseline", m, d, d, k): 0.5 for m in models for d in ("movie", "book") for k in (16, 64, 256)}
    claim = _claim("beats_baselines", results_of({TALLREC: 0.7} | baselines), CLAIMS_YAML)
    assert claim.verdict == "so far"
    assert claim.reason.endswith("not in this run: book, K = 64, K = 256")
    both = {_tuned(domain, domain, 16): 0.7 for domain in ("movie", "book")}
    alone = results_of(both | {_tuned("movie", "movie", 16, "rt"): 0.6})
    assert _claim("instruction_tuning_helps", alone, CLAIMS_YAML).reason.endswith("not in this run: book")
    asked = results_of({_tuned(d, d, 16, "rt"): 0.7 for d in ("movie", "book")} | {AT_ALONE: 0.5, AT_ON_BOOK: 0.5})
    assert _claim("at_alone_is_below_rt", asked, CLAIMS_YAML).verdict == "supported"


def test_a_tendency_is_judged_by_the_mean_of_its_comparisons(results_of: Any) -> None:
    """Each rise is within its margin; their mean is not, and one fall does not contradict it."""
    curves = {
        (domain, n_shots): auc + 0.025 * (n_shots == 64)
        for domain, auc in (("movie", 0.6), ("book", 0.6), ("games", 0.6), ("music", 0.6))
        for n_shots in (16, 64)
    }
    aucs = {_tuned(domain, domain, n_shots): auc for (domain, n_shots), auc in curves.items()}
    found = _evidence_of("rises_with_k", results_of(aucs))
    assert found.verdict == "supported"
    assert found.distance == pytest.approx(0.025)
    assert found.margin < 0.025 < 2**0.5 * MARGIN  # that of one curve
    falling = aucs | {_tuned("music", "music", 64): 0.59}
    assert _evidence_of("rises_with_k", results_of(falling)).distance == pytest.approx((3 * 0.025 - 0.01) / 4)
    assert _verdict("rises_with_k", results_of(falling)) != "contradicted"


def test_a_tendency_over_k_is_of_each_pair_of_methods(results_of: Any) -> None:
    """Better than one recommender on average, though not at K = 16; the other one is better."""
    at = {n_shots: _tuned("movie", "movie", n_shots) for n_shots in (16, 64)}
    aucs = {at[16]: 0.51, at[64]: 0.7}
    aucs |= {("baseline", "gru4rec", "movie", "movie", n_shots): 0.5 for n_shots in at}
    found = _evidence_of("beats_baselines", results_of(aucs))
    assert (found.verdict, found.distance) == ("supported", pytest.approx(0.105))
    assert _verdict("beats_baselines_where_marked", results_of(aucs)) == "inconclusive"
    aucs |= {("baseline", "sasrec", "movie", "movie", n_shots): 0.8 for n_shots in at}
    claim = _claim("beats_baselines", results_of(aucs))
    assert [one.verdict for one in claim.evidence] == ["supported", "contradicted"]
    assert claim.verdict == "contradicted"


def test_a_k_without_a_mark_is_not_asked_for(results_of: Any) -> None:
    """K = 16 on book, where the paper has no mark of significance."""
    books = {_tuned("book", "book", n_shots): auc for n_shots, auc in ((16, 0.4), (64, 0.7))}
    books |= {("baseline", "gru4rec", "book", "book", n_shots): 0.5 for n_shots in (16, 64)}
    assert _verdict("beats_baselines_where_marked", results_of(books)) == "supported"


def test_a_tendency_of_a_part_is_so_far(results_of: Any) -> None:
    both = {_tuned(train, test, 16): 0.6 for train, test in (("movie", "book"), ("book", "movie"))}
    assert _verdict("transfers", results_of(both)) == "supported"
    claim = _claim("transfers", results_of(both | {_tuned("movie", "book", 64): None}))
    assert (claim.verdict, [item.verdict for item in claim.evidence]) == ("so far", ["not run", "supported"])


def test_a_head_is_compared_within_its_own_recommender(results_of: Any) -> None:
    aucs = {("baseline", name, "movie", "movie", 16): 0.5 for name in ("gru4rec", "sasrec")}
    aucs |= {("baseline", "gru4rec-shared", "movie", "movie", 16): 0.7}
    assert _evidence_of("head_decides", results_of(aucs)).what == "gru4rec-shared at K = 16 on movie against gru4rec"


def test_the_gap_closes_where_the_lead_of_instruction_tuning_shrinks(results_of: Any) -> None:
    def lead(small: float, large: float) -> dict:
        at = {16: small, 64: large}
        return {
            key: auc
            for n_shots, more in at.items()
            for key, auc in (
                (_tuned("movie", "movie", n_shots), 0.6 + more),
                (_tuned("movie", "movie", n_shots, "rt"), 0.6),
            )
        }

    shrinking = _evidence_of("gap_closes_with_k", results_of(lead(0.2, 0.02)))
    assert (shrinking.verdict, shrinking.distance) == ("supported", pytest.approx(0.18))
    assert shrinking.margin == pytest.approx(2 * MARGIN)  # four methods whose users' noise is their own
    assert _verdict("gap_closes_with_k", results_of(lead(0.02, 0.2))) == "contradicted"
    assert _verdict("gap_closes_with_k", results_of({TALLREC: 0.7})) == "not run"


def test_instruction_tuning_alone_is_compared_at_every_k(results_of: Any) -> None:
    tuned = {_tuned("movie", "movie", n_shots, "rt"): 0.7 for n_shots in (16, 64)}
    found = _evidence_of("at_alone_is_below_rt", results_of(tuned | {AT_ALONE: 0.5}))
    assert (found.verdict, found.distance) == ("supported", pytest.approx(0.2))
    assert sum(factor for _, factor in found.terms) == pytest.approx(0.0)


def test_what_is_added_to_the_share_of_likes_is_the_auc_at_an_equal_share(results_of: Any) -> None:
    metrics = ("auc", "equal_share_auc")
    assert _verdict("adds_to_liked_share", results_of({TALLREC: 0.6}, metrics=metrics)) == "supported"
    assert _verdict("adds_to_liked_share", results_of({TALLREC: 0.4}, metrics=metrics)) == "contradicted"
    assert _evidence_of("adds_to_liked_share", results_of({TALLREC: 0.6}, metrics=metrics)).metric == "equal_share_auc"


def test_a_published_value_has_the_noise_of_its_seeds(results_of: Any) -> None:
    published = {Cell(*TALLREC, 0): 0.78}
    exact = results_of({CONTROL: 0.7}, published=published)
    noisy = results_of({CONTROL: 0.7}, published=published, published_errors={Cell(*TALLREC, 0): 0.036})
    assert _verdict("published_beats_controls", exact) == "supported"
    assert _verdict("published_beats_controls", noisy) == "inconclusive"
    variances, dofs = (ERROR**2, 0.036**2), (15, 4)
    dof = sum(variances) ** 2 / sum(v**2 / d for v, d in zip(variances, dofs, strict=True))
    margin = stats.t.ppf(0.975, dof) * sum(variances) ** 0.5
    assert _evidence_of("published_beats_controls", noisy).margin == pytest.approx(margin)


def test_published_values_that_lie_below_one_rule_are_as_many_comparisons(results_of: Any) -> None:
    """Each has noise of its own: p = 0.03 contradicts where it stands alone, and not as one of three."""
    error = 0.05 / stats.t.ppf(0.985, 4)
    published = {Cell(*_tuned("movie", "movie", n_shots), 0): 0.65 for n_shots in (16, 64, 256)}

    def verdict(shots: tuple[int, ...]) -> str:
        chosen = {cell: auc for cell, auc in published.items() if cell.n_shots in shots}
        errors = dict.fromkeys(chosen, error)
        found = results_of({CONTROL: 0.7}, error=1e-5, published=chosen, published_errors=errors)
        return _verdict("published_beats_controls", found)

    assert verdict((16,)) == "contradicted"
    assert verdict((16, 64, 256)) == "inconclusive"


def test_the_weakest_comparison_is_the_one_with_the_smallest_distance_for_its_margin() -> None:
    sure = Evidence("sure", 0.05, 0.01, "supported", "users and seeds", 0.001, said="sure")
    hardly = Evidence("hardly", 0.10, 0.09, "supported", "users and seeds", 0.03, said="hardly")
    assert "weakest: hardly" in _reason("supported", [sure, hardly])


def test_a_verdict_on_another_model_names_it(results_of: Any) -> None:
    other = results_of({TALLREC: 0.7, BASELINE: 0.5}, model_is_papers=False, model="tiny")
    claim = _claim("beats_baselines", other)
    assert (claim.verdict, claim.label) == ("supported", "supported for another model")
    assert claim.reason.endswith("; the language model is tiny")
    near = _claim("baselines_near_chance", other)
    assert near.label == near.verdict
    assert "tiny" not in _claim("baselines_near_chance", other).reason
    assert "tiny" not in _claim("beats_baselines", results_of({TALLREC: 0.7, BASELINE: 0.5}, model="tiny")).reason


def test_memory_is_contradicted_where_no_configuration_fits(results_of: Any) -> None:
    rows = [{"name": "8bit", "status": "does not fit", "peak_memory_bytes": None, "device": "NVIDIA RTX 3090"}]
    assert _verdict("fits_in_24_gb", results_of({}, efficiency=rows)) == "contradicted"
    full = [{"name": "8bit", "status": "ok", "peak_memory_bytes": int(23.5 * 2**30), "device": "NVIDIA RTX 3090"}]
    assert _verdict("fits_in_24_gb", results_of({}, efficiency=full)) == "contradicted"  # CUDA itself takes 0.6


def test_the_papers_claims_and_ours_are_lists_of_their_own(results_of: Any) -> None:
    claims = judge_claims(results_of({}))
    assert {claim.of for claim in claims} == {"paper", "ours"}
    assert {claim.id for claim in claims if claim.of == "ours"} >= {"adds_to_liked_share", "beats_controls"}
