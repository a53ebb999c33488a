"""Counts, differences from a control, and their intervals."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from benchmark.diagnostics.memorised import completions_judged, ratings_judged, share_interval


@pytest.mark.parametrize(("n_hits", "n"), [(0, 200), (3, 200), (200, 200), (1, 2)])
def test_the_interval_of_a_share_is_clopper_and_pearsons(n_hits: int, n: int) -> None:
    expected = stats.binomtest(n_hits, n).proportion_ci(0.95, "exact")
    assert share_interval(n_hits, n, 0.95) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_completions_are_compared_answer_by_answer() -> None:
    rng = np.random.default_rng(0)
    other = rng.normal(-4, 2, 100)
    own = other + rng.normal(0.5, 0.1, 100)
    exact = np.arange(100) < 7
    found = completions_judged(exact, np.zeros(100, bool), own, other, 0.95)
    assert (found["n"], found["exact"], found["control_exact"]) == (100, 7, 0)
    assert found["difference"] == pytest.approx(found["value"] - found["control"])
    gain = own - other
    expected = stats.t.interval(0.95, 99, gain.mean(), stats.sem(gain))
    assert found["difference_interval"] == pytest.approx(expected)  # narrow, although likelihoods differ widely


def test_ratings_are_judged_by_the_expected_rating() -> None:
    rng = np.random.default_rng(1)
    stars = rng.integers(1, 6, 60)
    known = np.eye(5)[stars - 1] * 0.5 + 0.1
    blind = rng.dirichlet(np.ones(5), 60)
    shown = rng.integers(1, 6, (60, 10)).tolist()
    found = ratings_judged(known, blind, stars.tolist(), shown, 3.0, 0.95)
    assert (found["n"], found["exact"], found["value"]) == (60, 60, 1.0)
    assert found["control_exact"] == int((blind.argmax(axis=1) + 1 == stars).sum())
    liked = stars > 3
    assert found["n_liked"] == int(liked.sum())
    assert found["control"] == pytest.approx(roc_auc_score(liked, blind @ np.arange(1, 6)))
    assert found["rule"] == pytest.approx(roc_auc_score(liked, np.mean(shown, axis=1)))
    assert found["rule_exact"] == sum(
        min(set(row), key=lambda one: (-row.count(one), one)) == star
        for row, star in zip(shown, stars.tolist(), strict=True)
    )
    assert found["difference"] == pytest.approx(1 - found["control"])
    low, high = found["difference_interval"]
    assert 0 < low < found["difference"] < high
    assert found["difference_to_rule"] == pytest.approx(1 - found["rule"])


def test_ratings_of_one_kind_have_no_auc() -> None:
    found = ratings_judged(np.full((4, 5), 0.2), np.full((4, 5), 0.2), [4, 5, 4, 4], [[4] * 10] * 4, 3.0, 0.95)
    assert found["rule_exact"] == 3
    assert found["value"] is found["difference"] is found["value_interval"] is None
