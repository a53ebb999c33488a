"""AUC against hand calculation."""

import pytest

from benchmark.errors import MetricError
from benchmark.statistics.auc import roc_auc


def test_auc_counts_pairs_and_half_of_ties() -> None:
    # Pairs of (liked, disliked) scores: 0.9 > 0.1, 0.9 > 0.4, 0.4 > 0.1 and 0.4 = 0.4.
    assert roc_auc([True, True, False, False], [0.9, 0.4, 0.1, 0.4]) == 3.5 / 4


def test_a_constant_scorer_gets_one_half() -> None:
    assert roc_auc([True, False, False], [2.0, 2.0, 2.0]) == 0.5


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
