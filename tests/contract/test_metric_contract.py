"""What every metric of the tables keeps to. A new entry of `METRICS` is picked up by itself."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmark.errors import MetricError
from benchmark.statistics import metrics
from benchmark.statistics.influence import Measured
from benchmark.statistics.labels import TestRows
from benchmark.statistics.metrics import METRICS, Metric, measured

N_USERS, N_ROWS = 12, 240
RNG = np.random.default_rng(0)
LABELS = RNG.random(N_ROWS) < 0.4
SCORES = RNG.normal(size=N_ROWS) + LABELS
ROWS = TestRows(
    tuple(f"s{row:03d}" for row in range(N_ROWS)),
    tuple(f"u{number:02d}" for number in RNG.integers(N_USERS, size=N_ROWS)),
    tuple(LABELS.tolist()),
    tuple((RNG.integers(0, 11, N_ROWS) / 10).tolist()),
)

every_metric = pytest.mark.parametrize("name", METRICS)


def in_other_order(rows: TestRows, order: np.ndarray) -> TestRows:
    """The same rows, one after the other as `order` says."""
    columns = {name: tuple(getattr(rows, name)[row] for row in order) for name in ("users", "liked", "shares")}
    return replace(rows, **columns)


def measured_by(name: str, scores: Any = SCORES, rows: TestRows = ROWS) -> Measured:
    found = METRICS[name].measure(rows, np.asarray(scores, dtype=float))
    assert found is not None
    return found


@every_metric
def test_a_metric_is_named_like_a_column_and_says_what_it_is(name: str) -> None:
    assert name.isidentifier()
    assert name == name.lower()
    metric = METRICS[name]
    assert metric.title
    assert metric.meaning
    assert not metric.meaning.endswith(".")


@every_metric
def test_a_metric_is_one_float_between_0_and_1_and_an_influence_a_user(name: str) -> None:
    found = measured_by(name)
    assert isinstance(found.value, float)
    assert 0 <= found.value <= 1
    assert found.influence.shape == (N_USERS,)
    assert 1 <= found.n_effective <= N_USERS


@every_metric
def test_influences_are_around_the_value(name: str) -> None:
    assert np.nanmean(measured_by(name).influence) == pytest.approx(measured_by(name).value, abs=0.03)


@every_metric
def test_a_metric_does_not_depend_on_the_order_of_the_rows(name: str) -> None:
    order = RNG.permutation(N_ROWS)
    shuffled = measured_by(name, SCORES[order], in_other_order(ROWS, order))
    assert shuffled.value == pytest.approx(measured_by(name).value, abs=1e-12)
    assert shuffled.influence == pytest.approx(measured_by(name).influence, abs=1e-9, nan_ok=True)


@every_metric
def test_higher_is_better_and_the_truth_is_the_best(name: str) -> None:
    truth, turned = measured_by(name, LABELS), measured_by(name, ~LABELS)
    assert truth.value == 1
    assert turned.value < measured_by(name).value < truth.value
    assert np.ptp(truth.influence[np.isfinite(truth.influence)]) == pytest.approx(0, abs=1e-12)


@every_metric
def test_equal_scores_count_neither_way(name: str) -> None:
    """Where nothing is ranked, the value lies between that of the truth and that of its opposite."""
    worst, best = measured_by(name, RNG.random(N_ROWS) - 2 * LABELS), measured_by(name, LABELS)
    assert worst.value < measured_by(name, np.zeros(N_ROWS)).value < best.value


@every_metric
def test_a_metric_is_defined_or_none_where_every_user_has_one_row(name: str) -> None:
    rows = TestRows(tuple("abc"), tuple("uvw"), (True, False, True), (0.5, 0.5, 0.1))
    found = METRICS[name].measure(rows, np.array([0.3, 0.1, 0.2]))
    assert found is None or 0 <= found.value <= 1


@every_metric
def test_one_user_has_a_value_or_none_and_no_spread(name: str) -> None:
    rows = TestRows(tuple("abc"), ("u",) * 3, (True, False, True), (0.5, 0.5, 0.1))
    found = METRICS[name].measure(rows, np.array([0.3, 0.1, 0.2]))
    assert found is None or np.isnan(found.influence).all()


@every_metric
def test_a_metric_leaves_its_input_as_it_was(name: str) -> None:
    scores = SCORES.copy()
    measured_by(name, scores)
    assert (scores == SCORES).all()
    assert (ROWS.is_liked == LABELS).all()


@pytest.mark.parametrize("wrong", [1.5, -0.1, float("nan")])
def test_a_value_outside_its_range_is_refused(wrong: float, monkeypatch: pytest.MonkeyPatch) -> None:
    metric = Metric("Wrong", "too large", lambda *_: Measured(wrong, np.zeros(N_USERS), N_USERS))
    monkeypatch.setattr(metrics, "METRICS", {"wrong": metric})
    with pytest.raises(MetricError, match=r"metric 'wrong': expected a value in \[0, 1\], got"):
        measured(ROWS, SCORES)
