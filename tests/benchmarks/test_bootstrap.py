"""The bootstrap over users against scikit-learn's AUC in a loop, on the same resamples. Run: `make bench`."""

import time
from collections.abc import Callable

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from sklearn.metrics import roc_auc_score

from benchmark.statistics.resampling import percentile_interval, resampled_auc

N_ROWS, N_USERS, N_RESAMPLES = 1000, 16, 100


@pytest.fixture(scope="module")
def rows() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, scores with ties, and users, as many as in the movie test set."""
    rng = np.random.default_rng(0)
    return rng.random(N_ROWS) < 0.5, rng.integers(0, 11, N_ROWS) / 10, np.sort(rng.integers(0, N_USERS, N_ROWS))


def in_a_loop(
    labels: np.ndarray, scores: np.ndarray, users: np.ndarray, n_resamples: int = N_RESAMPLES
) -> tuple[float, float]:
    """The interval, one resample after the other; a user drawn twice weighs twice."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(N_USERS, size=(n_resamples, N_USERS))
    weights = [np.bincount(row, minlength=N_USERS)[users] for row in drawn]
    aucs = [float(roc_auc_score(labels, scores, sample_weight=weight)) for weight in weights]
    low, high = np.quantile(aucs, [0.025, 0.975])
    return float(low), float(high)


def at_once(
    labels: np.ndarray, scores: np.ndarray, users: np.ndarray, n_resamples: int = N_RESAMPLES
) -> tuple[float, float]:
    """The interval as `evaluate` makes it."""
    names = [f"{user:02d}" for user in users]
    return percentile_interval(resampled_auc(labels, [scores], names, n_resamples=n_resamples, seed=0)[0], 0.95)


@pytest.mark.benchmark(group=f"{N_RESAMPLES} resamples of {N_ROWS} rows")
@pytest.mark.parametrize("way", [at_once, in_a_loop], ids=["ours", "scikit-learn"])
def test_both_ways_give_the_same_interval(
    benchmark: BenchmarkFixture, rows: tuple[np.ndarray, np.ndarray, np.ndarray], way: object
) -> None:
    assert callable(way)
    assert benchmark(way, *rows) == pytest.approx(in_a_loop(*rows), abs=1e-12)


def test_ours_is_at_least_fifty_times_faster(
    benchmark: BenchmarkFixture, rows: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    """500 resamples in processor time of one process, the best of three each, taken in turns."""
    n_resamples = 500 if benchmark.enabled else 5
    pairs = [[_seconds(way, rows, n_resamples) for way in (at_once, in_a_loop)] for _ in range(3)]
    ours, loop = (min(column) for column in zip(*pairs, strict=True))
    benchmark(at_once, *rows, n_resamples)
    benchmark.extra_info["times_faster"] = loop / ours
    assert not benchmark.enabled or loop >= 50 * ours


def _seconds(way: Callable[..., object], rows: tuple[np.ndarray, ...], n_resamples: int) -> float:
    start = time.process_time()
    way(*rows, n_resamples)
    return time.process_time() - start


@pytest.mark.benchmark(group="2000 resamples of 500 cells, half as large as on movie and half as on book")
def test_five_hundred_cells_take_less_than_thirty_seconds(benchmark: BenchmarkFixture) -> None:
    n_cells = 250 if benchmark.enabled else 2
    rng = np.random.default_rng(0)

    def both_domains() -> int:
        n_done = 0
        for n_rows, n_users in ((1000, 16), (2427, 2427)):
            labels, users = rng.random(n_rows) < 0.5, [str(row % n_users) for row in range(n_rows)]
            for part in np.array_split(rng.normal(size=(n_cells, n_rows)), max(1, n_cells // 50)):
                resampled = resampled_auc(labels, part, users, n_resamples=2000, seed=0)
                n_done += len([percentile_interval(one, 0.95) for one in resampled])
        return n_done

    assert benchmark.pedantic(both_domains, rounds=1) == 2 * n_cells
    assert not benchmark.enabled or benchmark.stats["max"] < 30
