"""The influence of each user against the same by its definition, in plain Python loops. Run: `make bench`."""

import time

import numpy as np
import plain_statistics as plain
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmark.schema import Cell
from benchmark.statistics.comparisons import compare, table_pairs
from benchmark.statistics.estimates import Estimates, known_of
from benchmark.statistics.influence import auc_of_pairs
from benchmark.statistics.labels import TestRows
from benchmark.statistics.metrics import measured

N_ROWS, N_USERS = 1000, 16


def rows_of(n_rows: int) -> list[plain.Row]:
    """Rows with equal scores among them, of as many users as the movie test set has."""
    rng = np.random.default_rng(0)
    users = np.concatenate([np.arange(N_USERS), rng.integers(0, N_USERS, n_rows - N_USERS)])
    columns = (rng.random(n_rows) < 0.5, rng.integers(0, 11, n_rows) / 10, users, np.zeros(n_rows, dtype=np.int64))
    return list(zip(*(column.tolist() for column in columns), strict=True))


def in_loops(rows: list[plain.Row]) -> list[float]:
    """The AUC, and each user left out in turn."""
    auc, influence = plain.auc(rows), plain.pseudo_values(rows)
    assert auc is not None
    assert influence is not None
    return [auc, *influence]


def at_once(rows: list[plain.Row]) -> list[float]:
    """As `evaluate` does it."""
    found = auc_of_pairs(*(np.array(column) for column in zip(*rows, strict=True)))
    assert found is not None
    return [found.value, *found.influence.tolist()]


@pytest.mark.benchmark(group=f"influence of {N_USERS} users on {N_ROWS} rows")
@pytest.mark.parametrize("way", [at_once, in_loops], ids=["ours", "plain Python"])
def test_both_ways_give_the_same_influences(benchmark: BenchmarkFixture, way: object) -> None:
    assert callable(way)
    rows = rows_of(N_ROWS if benchmark.enabled else 80)
    found = benchmark.pedantic(way, (rows,), rounds=1 if way is in_loops else 20)
    if way is in_loops:
        benchmark.extra_info["largest_difference"] = max(
            abs(one - other) for one, other in zip(at_once(rows), found, strict=True)
        )
        assert at_once(rows) == pytest.approx(found, abs=1e-9)
        if benchmark.enabled:
            seconds = min(_seconds(rows) for _ in range(5))
            benchmark.extra_info["times_faster"] = benchmark.stats["min"] / seconds
            assert benchmark.stats["min"] >= 100 * seconds


def _seconds(rows: list[plain.Row]) -> float:
    start = time.process_time()
    at_once(rows)
    return time.process_time() - start


@pytest.mark.benchmark(group="statistics of 500 cells, half as large as on movie and half as on book")
def test_five_hundred_cells_take_less_than_thirty_seconds(benchmark: BenchmarkFixture) -> None:
    """All metrics, intervals over users and seeds, and every difference of the table with its correction."""
    n_methods = 50 if benchmark.enabled else 2
    rng = np.random.default_rng(0)

    def both_domains() -> int:
        n_found = 0
        for domain, n_rows, n_users in (("movie", 1000, 16), ("book", 2427, 2427)):
            rows = TestRows(
                tuple(f"s{row}" for row in range(n_rows)),
                tuple(f"u{row % n_users}" for row in range(n_rows)),
                tuple((rng.random(n_rows) < 0.5).tolist()),
                tuple((rng.integers(0, 11, n_rows) / 10).tolist()),
            )
            methods = ["liked_share", *(f"method{number}" for number in range(n_methods - 1))]
            seeded = [Cell("baseline", name, domain, domain, 16, seed) for name in methods[1:] for seed in range(5)]
            rule = Cell("control", "liked_share", domain, domain, 0, 0)
            found = {cell: measured(rows, rng.normal(size=n_rows)) for cell in [rule, *seeded]}
            estimates = Estimates(known_of(found, seeded))
            groups = list(dict.fromkeys(group for group, _ in estimates.known))
            n_found += sum(estimates.estimate(group) is not None for group in groups)
            compare(estimates, table_pairs(groups))
        return n_found

    assert benchmark.pedantic(both_domains, rounds=1) == 2 * n_methods
    assert not benchmark.enabled or benchmark.stats["max"] < 30
