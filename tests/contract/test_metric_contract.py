"""What every metric of the tables keeps to. A new entry of `OTHER_METRICS` is picked up by itself."""

from typing import Any

import numpy as np
import pytest

from benchmark.errors import MetricError
from benchmark.statistics import other_metrics
from benchmark.statistics.other_metrics import OTHER_METRICS, OtherMetric

N_USERS, N_ROWS = 12, 240
RNG = np.random.default_rng(0)
LABELS = RNG.random(N_ROWS) < 0.4
SCORES = RNG.normal(size=N_ROWS) + LABELS
USERS = [f"u{number}" for number in RNG.integers(N_USERS, size=N_ROWS)]

every_metric = pytest.mark.parametrize("name", OTHER_METRICS)


def value_of(name: str, scores: Any = SCORES) -> float | None:
    return OTHER_METRICS[name].value(LABELS.tolist(), scores, USERS)


@every_metric
def test_a_metric_is_named_like_a_column_and_says_what_it_is(name: str) -> None:
    assert name.isidentifier()
    assert name == name.lower()
    metric = OTHER_METRICS[name]
    assert metric.title
    assert metric.meaning
    assert not metric.meaning.endswith(".")


@every_metric
def test_a_metric_is_one_float_between_0_and_1(name: str) -> None:
    value = value_of(name)
    assert isinstance(value, float)
    assert 0 <= value <= 1


@every_metric
def test_a_metric_does_not_depend_on_the_order_of_the_rows(name: str) -> None:
    order = RNG.permutation(N_ROWS)
    shuffled = OTHER_METRICS[name].value(LABELS[order].tolist(), SCORES[order], [USERS[row] for row in order])
    assert shuffled == pytest.approx(value_of(name), abs=1e-12)


@every_metric
def test_higher_is_better_and_the_truth_is_the_best(name: str) -> None:
    truth, turned = value_of(name, LABELS.astype(float)), value_of(name, 1 - LABELS.astype(float))
    assert truth == 1
    assert turned < value_of(name) < truth


@every_metric
def test_equal_scores_count_neither_way(name: str) -> None:
    """Where nothing is ranked, the value lies between that of the truth and that of its opposite."""
    worst, best = value_of(name, RNG.random(N_ROWS) - 2 * LABELS), value_of(name, LABELS.astype(float))
    assert worst < value_of(name, np.zeros(N_ROWS)) < best


@every_metric
def test_a_metric_is_defined_or_none_where_every_user_has_one_row(name: str) -> None:
    value = OTHER_METRICS[name].value([True, False, True], np.array([0.3, 0.1, 0.2]), ["a", "b", "c"])
    assert value is None or 0 <= value <= 1


@every_metric
def test_a_metric_leaves_its_input_as_it_was(name: str) -> None:
    scores, users = SCORES.copy(), list(USERS)
    OTHER_METRICS[name].value(LABELS.tolist(), scores, users)
    assert (scores == SCORES).all()
    assert users == USERS


@pytest.mark.parametrize("wrong", [1.5, -0.1, float("nan")])
def test_a_value_outside_its_range_is_refused(wrong: float, monkeypatch: pytest.MonkeyPatch) -> None:
    metric = OtherMetric("Wrong", "too large", lambda *_: wrong)
    monkeypatch.setattr(other_metrics, "OTHER_METRICS", {"wrong": metric})
    with pytest.raises(MetricError, match=r"metric 'wrong': expected a value in \[0, 1\], got"):
        other_metrics.other_metrics(LABELS.tolist(), SCORES, USERS)
