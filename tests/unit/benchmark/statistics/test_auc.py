"""AUC, UAUC and the interval, against hand calculation and their own definitions."""

from collections.abc import Sequence

import numpy as np
import pytest

from benchmark.errors import MetricError
from benchmark.statistics import resampling
from benchmark.statistics.auc import roc_auc, user_auc
from benchmark.statistics.resampling import percentile_interval, resampled_auc, resampled_user_auc


def interval_of(
    labels: np.ndarray, scores: np.ndarray, users: Sequence[str], *, n_resamples: int = 400, seed: int = 7
) -> tuple[float, float]:
    """The interval of an AUC, as `evaluate` makes it."""
    (aucs,) = resampled_auc(labels, [scores], users, n_resamples=n_resamples, seed=seed)
    return percentile_interval(aucs, 0.95)


def test_auc_counts_pairs_and_half_of_ties() -> None:
    # Pairs of (liked, disliked) scores: 0.9 > 0.1, 0.9 > 0.4, 0.4 > 0.1 and 0.4 = 0.4.
    assert roc_auc([True, True, False, False], [0.9, 0.4, 0.1, 0.4]) == 3.5 / 4


def test_a_constant_scorer_gets_one_half() -> None:
    assert roc_auc([True, False, False], [2.0, 2.0, 2.0]) == 0.5


def test_uauc_is_the_plain_mean_over_users_with_both_labels() -> None:
    users = ["a"] * 4 + ["b"] * 2 + ["c"] * 2
    labels = [True, False, False, False, True, False, True, True]
    scores = [0.9, 0.1, 0.2, 0.3, 0.1, 0.2, 0.5, 0.6]
    assert user_auc(labels, scores, users) == (1.0 + 0.0) / 2  # c has one label and no AUC


def test_uauc_does_not_reward_knowing_how_lenient_a_user_is() -> None:
    users = ["lenient"] * 4 + ["strict"] * 4
    labels = [True, True, True, False, True, False, False, False]
    scores = [0.75] * 4 + [0.25] * 4
    assert roc_auc(labels, scores) == 0.75
    assert user_auc(labels, scores, users) == 0.5


def test_uauc_of_one_row_a_user_is_not_defined() -> None:
    assert user_auc([True, False], [0.2, 0.1], ["a", "b"]) is None


def test_interval_holds_the_auc_and_is_the_same_for_the_same_seed() -> None:
    labels, scores, users = _world(n_users=60, n_rows_each=5)
    low, high = interval_of(labels, scores, users)
    assert low < roc_auc(labels, scores) < high
    assert (low, high) == interval_of(labels, scores, users)
    assert (low, high) != interval_of(labels, scores, users, seed=8)


def test_repeating_the_rows_of_a_user_does_not_narrow_the_interval() -> None:
    labels, scores, users = _world(n_users=40, n_rows_each=3)
    once = interval_of(labels, scores, users)
    copied = interval_of(np.tile(labels, 5), np.tile(scores, 5), users * 5)
    assert copied == pytest.approx(once, abs=1e-12)


def test_weighted_auc_equals_the_auc_of_repeated_rows() -> None:
    labels, scores, users = _world(n_users=12, n_rows_each=4)
    interval = interval_of(labels, scores, users)
    generator = np.random.default_rng(3)
    rows_of = {user: np.flatnonzero(np.array(users) == user) for user in set(users)}
    aucs = []
    for _ in range(2000):
        drawn = generator.choice(sorted(rows_of), size=len(rows_of))
        rows = np.concatenate([rows_of[user] for user in drawn])
        aucs.append(roc_auc(labels[rows], scores[rows]))
    low, high = np.quantile(aucs, [0.025, 0.975])
    assert interval == pytest.approx((low, high), abs=0.02)


def test_resampled_uauc_is_the_mean_over_the_users_drawn() -> None:
    users = ["a"] * 2 + ["b"] * 2 + ["c"] * 2
    labels, scores = [True, False, True, False, True, True], [1.0, 0.0, 0.0, 1.0, 0.5, 0.5]
    found = resampled_user_auc(labels, [scores], users, n_resamples=2000, seed=3)
    assert found is not None
    # a has 1, b has 0, c has one label: of the 27 draws of three users, 1 holds neither a nor b.
    assert np.isnan(found).mean() == pytest.approx(1 / 27, abs=0.015)
    assert set(np.round(found[np.isfinite(found)], 9)) == {0.0, 1.0, 0.5, round(1 / 3, 9), round(2 / 3, 9)}
    assert float(np.nanmean(found)) == pytest.approx(0.5, abs=0.03)
    assert resampled_user_auc([True, False], [[0.1, 0.2]], ["a", "b"], n_resamples=5, seed=0) is None


def test_interval_does_not_depend_on_how_many_weights_are_held_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    labels, scores, users = _world(n_users=30, n_rows_each=2)
    whole = interval_of(labels, scores, users)
    monkeypatch.setattr(resampling, "WEIGHTS_AT_ONCE", 601)
    assert interval_of(labels, scores, users) == whole


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([True, False], [0.1], "one score a label"),
        ([True, False], [0.1, float("nan")], "1 of 2 scores are not finite"),
        ([True, True], [0.1, 0.2], "2 liked of 2"),
        ([], [], "0 liked of 0"),
        ([2, 0], [0.1, 0.2], "neither True nor False"),
    ],
)
def test_undefined_metrics_are_errors(labels: list[bool], scores: list[float], message: str) -> None:
    with pytest.raises(MetricError, match=message):
        roc_auc(labels, scores)


def test_an_interval_needs_two_users_and_resamples_with_both_classes() -> None:
    with pytest.raises(MetricError, match="at least 2 users, got 1"):
        interval_of(np.array([True, False]), np.array([0.1, 0.2]), ["a", "a"])
    with pytest.raises(MetricError, match="one user a sample"):
        interval_of(np.array([True, False]), np.array([0.1, 0.2]), ["a"])


def _world(n_users: int, n_rows_each: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    generator = np.random.default_rng(0)
    users = [f"u{user:03d}" for user in range(n_users) for _ in range(n_rows_each)]
    labels = generator.random(len(users)) < 0.5
    return labels, np.round(generator.normal(size=len(users)) + labels, 1), users
