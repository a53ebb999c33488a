"""AUC and UAUC against hand calculation."""

import pytest

from benchmark.errors import MetricError
from benchmark.statistics.auc import roc_auc, user_auc


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


def test_there_is_one_user_a_sample() -> None:
    with pytest.raises(MetricError, match="one user a sample"):
        user_auc([True, False], [0.1, 0.2], ["a"])
