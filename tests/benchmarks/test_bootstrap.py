"""The bootstrap over users against scikit-learn's AUC in a loop, on the same resamples. Run: `make bench`."""

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from sklearn.metrics import roc_auc_score

from benchmark.metrics import bootstrap_interval

N_ROWS, N_USERS, N_RESAMPLES = 1000, 16, 100


@pytest.fixture(scope="module")
def rows() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, scores with ties, and users, as many as in the movie test set."""
    rng = np.random.default_rng(0)
    return rng.random(N_ROWS) < 0.5, rng.integers(0, 11, N_ROWS) / 10, np.sort(rng.integers(0, N_USERS, N_ROWS))


def in_a_loop(labels: np.ndarray, scores: np.ndarray, users: np.ndarray) -> tuple[float, float]:
    """The interval, one resample after the other; a user drawn twice weighs twice."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(N_USERS, size=(N_RESAMPLES, N_USERS))
    weights = [np.bincount(row, minlength=N_USERS)[users] for row in drawn]
    aucs = [float(roc_auc_score(labels, scores, sample_weight=weight)) for weight in weights]
    low, high = np.quantile(aucs, [0.025, 0.975])
    return float(low), float(high)


def at_once(labels: np.ndarray, scores: np.ndarray, users: np.ndarray) -> tuple[float, float]:
    """The interval as `evaluate` makes it."""
    names = [f"{user:02d}" for user in users]
    interval = bootstrap_interval(labels, scores, names, n_resamples=N_RESAMPLES, confidence=0.95, seed=0)
    return interval.low, interval.high


@pytest.mark.benchmark(group=f"{N_RESAMPLES} resamples of {N_ROWS} rows")
@pytest.mark.parametrize("way", [at_once, in_a_loop], ids=["ours", "scikit-learn"])
def test_both_ways_give_the_same_interval(
    benchmark: BenchmarkFixture, rows: tuple[np.ndarray, np.ndarray, np.ndarray], way: object
) -> None:
    assert callable(way)
    assert benchmark(way, *rows) == pytest.approx(in_a_loop(*rows), abs=1e-12)
