"""Paired differences: the same users for both sides, the noise of seeds, p-values that keep their promise, Holm."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from benchmark.errors import SchemaError
from benchmark.schema import Cell
from benchmark.statistics.auc import roc_auc
from benchmark.statistics.comparisons import (
    Difference,
    Spread,
    by_group,
    cell_metrics,
    difference,
    differences_csv,
    holm,
    joined,
    margin,
    p_below,
    p_holm,
    p_value,
    read_differences,
    share_draws,
    table_pairs,
)
from benchmark.statistics.labels import TrueLabels, in_order

N_RESAMPLES = 300


def _truth(n_users: int, n_rows_each: int, rng: np.random.Generator) -> TrueLabels:
    """Users differ in how often they like something."""
    users = np.repeat([f"u{user:03d}" for user in range(n_users)], n_rows_each)
    liked = rng.random(len(users)) < np.repeat(rng.uniform(0.2, 0.8, n_users), n_rows_each)
    return TrueLabels(tuple(f"s{row:05d}" for row in range(len(users))), tuple(users.tolist()), tuple(liked.tolist()))


def _cell(method: str, seed: int = 0, family: str = "baseline") -> Cell:
    return Cell(family, method, "movie", "movie", 16, seed)


def _difference(truth: TrueLabels, left: list[np.ndarray], right: list[np.ndarray], metric: str = "auc") -> Difference:
    """Of two methods, one score vector a seed."""
    scores = {_cell("left", seed): values for seed, values in enumerate(left)}
    scores |= {_cell("right", seed): values for seed, values in enumerate(right)}
    groups = by_group(cell_metrics(metric, scores, truth, N_RESAMPLES))
    return difference(groups[_cell("left")], groups[_cell("right")], 0.95)


def test_a_method_differs_from_itself_by_nothing() -> None:
    rng = np.random.default_rng(0)
    truth = _truth(16, 20, rng)
    scores = rng.normal(size=320)
    found = _difference(truth, [scores], [scores])
    assert (found.value, found.low, found.high, found.spread.variance) == (0, 0, 0, 0)
    assert p_value(found.value, found.spread) == 1


def test_the_difference_is_that_of_the_means_over_seeds() -> None:
    rng = np.random.default_rng(1)
    truth = _truth(16, 20, rng)
    left, right = rng.normal(size=(2, 320)) + 0.5 * np.array(truth.liked), rng.normal(size=(1, 320))
    found = _difference(truth, list(left), list(right))
    aucs = [roc_auc(truth.liked, values) for values in (*left, *right)]
    assert found.value == pytest.approx((aucs[0] + aucs[1]) / 2 - aucs[2], abs=1e-12)
    assert found.low < found.value < found.high


def test_what_users_have_in_common_cancels() -> None:
    rng = np.random.default_rng(2)
    truth = _truth(16, 60, rng)
    leniency = {user: np.mean([x for x, u in zip(truth.liked, truth.users, strict=True) if u == user])
                for user in set(truth.users)}  # fmt: skip
    common = np.array([leniency[user] for user in truth.users])
    left, right = (common + 0.02 * rng.normal(size=len(common)) for _ in range(2))
    alone = cell_metrics("auc", {_cell("left"): left}, truth, N_RESAMPLES)[_cell("left")]
    paired = _difference(truth, [left], [right])
    assert paired.spread.standard_error < 0.5 * float(np.std(alone.resampled))


def test_seeds_that_disagree_widen_the_margin_and_not_the_interval_over_users() -> None:
    rng = np.random.default_rng(3)
    truth = _truth(30, 20, rng)
    signal, noise = np.array(truth.liked, dtype=float), rng.normal(size=600)
    steady, wild = [noise + signal, noise + signal], [noise + 1.8 * signal, noise + 0.3 * signal]
    other = [rng.normal(size=600)] * 2
    calm, rough = _difference(truth, steady, other), _difference(truth, wild, other)
    assert margin(rough.spread, 0.95) > 3 * margin(calm.spread, 0.95)
    assert rough.high - rough.low < 1.5 * (calm.high - calm.low)
    assert calm.spread.dof == 29  # users alone
    assert rough.spread.dof < 2  # two seeds decide


@pytest.mark.parametrize(
    ("left", "right", "draw", "expected"),
    [
        (("tuned", "tallrec-movie", "movie", 16), ("baseline", "gru4rec", "movie", 16), "shared", True),
        (("tuned", "tallrec-movie", "movie", 16), ("baseline", "gru4rec", "movie", 16), "released", False),
        (("tuned", "tallrec-movie", "movie", 16), ("tuned", "rt-movie", "movie", 16), "released", True),
        (("tuned", "tallrec-movie", "movie", 16), ("tuned", "tallrec-movie", "movie", 64), "shared", False),
        (("tuned", "tallrec-movie", "movie", 16), ("tuned", "tallrec-book", "book", 16), "shared", False),
        (("control", "random", "movie", 0), ("control", "random", "movie", 0), "shared", False),
    ],
)
def test_seeds_are_paired_where_they_are_the_same_draw(left: tuple, right: tuple, draw: str, expected: bool) -> None:
    one, other = (Cell(family, method, train, "movie", k, 0) for family, method, train, k in (left, right))
    assert share_draws(one, other, draw) is expected


def test_seeds_of_other_draws_count_as_independent() -> None:
    """Two seeds that scatter alike would have one degree of freedom as pairs."""
    rng = np.random.default_rng(8)
    truth = _truth(60, 20, rng)
    signal = np.array(truth.liked, dtype=float)
    cells = {
        _cell(side, seed): rng.normal(size=1200) + strength * signal
        for side in ("left", "right")
        for seed, strength in enumerate((0.2, 0.8))
    }
    groups = by_group(cell_metrics("auc", cells, truth, N_RESAMPLES))
    left, right = groups[_cell("left")], groups[_cell("right")]
    paired, independent = (difference(left, right, 0.95, is_paired=is_paired) for is_paired in (True, False))
    assert paired.value == independent.value
    assert independent.spread.variance > paired.spread.variance


@pytest.mark.parametrize("metric", ["auc", "uauc"])
@pytest.mark.parametrize("n_users", [16, 60])
def test_without_a_difference_one_in_twenty_is_found(metric: str, n_users: int) -> None:
    """500 worlds of two equally good methods: p < 0.05 in 5 %, within what 500 trials allow (3 sd: 2.1 to 7.9)."""
    found = 0
    for world in range(500):
        rng = np.random.default_rng([world, n_users])
        truth = _truth(n_users, 12, rng)
        common = 0.6 * np.array(truth.liked) + rng.normal(size=len(truth.liked))
        left, right = (common + rng.normal(size=len(common)) for _ in range(2))
        result = _difference(truth, [left], [right], metric)
        found += p_value(result.value, result.spread) < 0.05
    assert 0.021 <= found / 500 <= 0.079


def test_uauc_of_one_row_a_user_is_left_out() -> None:
    rng = np.random.default_rng(4)
    truth = _truth(40, 1, rng)
    assert cell_metrics("uauc", {_cell("left"): rng.normal(size=40)}, truth, N_RESAMPLES) == {}


def test_uauc_of_one_user_is_left_out() -> None:
    truth = TrueLabels(("a", "b", "c"), ("a", "a", "b"), (True, False, True))
    assert cell_metrics("uauc", {_cell("left"): np.array([1.0, 0.0, 2.0])}, truth, N_RESAMPLES) == {}


def test_joined_spreads_follow_welch() -> None:
    rng = np.random.default_rng(5)
    left, right = rng.normal(0, 1, 4), rng.normal(0.5, 3, 7)
    spread = joined([Spread(left.var(ddof=1) / 4, 3), Spread(right.var(ddof=1) / 7, 6)])
    expected = stats.ttest_ind(left, right, equal_var=False)
    value = float(left.mean() - right.mean())
    assert p_value(value, spread) == pytest.approx(expected.pvalue, rel=1e-9)
    assert p_below(value, spread) == pytest.approx(
        stats.ttest_ind(left, right, equal_var=False, alternative="less").pvalue, rel=1e-9
    )
    assert value + margin(spread, 0.9) == pytest.approx(expected.confidence_interval(0.9).high, rel=1e-9)


def test_without_noise_any_difference_is_certain() -> None:
    assert [p_below(value, Spread(0.0, 5)) for value in (-1e-9, 0.0, 1e-9)] == [0.0, 1.0, 1.0]


def test_holm_on_the_example_of_its_textbook() -> None:
    # Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1, never falling: 0.02, 0.03, 0.06, 0.06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_differences_are_read_as_they_were_written(tmp_path: Path) -> None:
    found = {
        (_cell("sasrec"), Cell("control", "liked_share", "movie", "movie", 0, 0), metric): Difference(
            -0.125, -0.25, 0.1, Spread(0.25, 7.5)
        )
        for metric in ("auc", "uauc")
    }
    path = tmp_path / "differences.csv"
    path.write_bytes(differences_csv(found))
    assert read_differences(path) == found
    path.write_text(path.read_text().replace("-0.125", "less"))
    with pytest.raises(SchemaError, match="line 2: could not convert"):
        read_differences(path)


def test_the_correction_is_within_a_metric_and_a_test_domain() -> None:
    strong = Difference(0.2, 0.1, 0.3, Spread(0.0049, 30))
    other = Cell("control", "liked_share", "movie", "movie", 0, 0)
    pairs = [(_cell(name), other, "auc") for name in ("gru4rec", "sasrec")] + [(_cell("sasrec"), other, "uauc")]
    corrected = p_holm(dict.fromkeys(pairs, strong))
    alone = p_value(0.2, strong.spread)
    assert [corrected[pair] / alone for pair in pairs] == pytest.approx([2, 2, 1])


def test_the_table_compares_with_tallrec_and_with_the_rule_at_the_same_k() -> None:
    tallrec = [Cell("tuned", "tallrec-movie", "movie", "movie", k, 0) for k in (16, 64)]
    other = Cell("tuned", "tallrec-book", "book", "movie", 16, 0)
    sasrec = Cell("baseline", "sasrec", "movie", "movie", 16, 0)
    rule = Cell("control", "liked_share", "movie", "movie", 0, 0)
    elsewhere = Cell("control", "liked_share", "book", "book", 0, 0)
    pairs = {(a, b) for a, b, _ in table_pairs([*tallrec, other, sasrec, rule, elsewhere])}
    assert pairs == {(tallrec[0], sasrec), (tallrec[0], rule), (tallrec[1], rule), (sasrec, rule)}


def test_scores_are_brought_into_the_order_of_the_answers_or_refused() -> None:
    truth = TrueLabels(("a", "b"), ("u", "v"), (True, False))
    found = in_order({"b": 1.0, "a": 2.0}, truth)
    assert found is not None
    assert found.tolist() == [2.0, 1.0]
    assert in_order({"a": 1.0}, truth) is None
    assert in_order({"a": 1.0, "b": float("nan")}, truth) is None
