"""What `make smoke` must show: the paper's mechanism on the embedded world, read from its results/metrics.csv.

Run after the pipeline (`pytest -m smoke`); the bounds were set before the runs.
"""

import statistics
from pathlib import Path

import pytest

from benchmark.artifacts.files import read_json
from benchmark.artifacts.paths import ceiling_file
from benchmark.methods.configuration import load_config
from benchmark.methods.grid import cells
from benchmark.statistics.results import MetricRow, read_rows

pytestmark = pytest.mark.smoke

METRICS = Path("results/metrics.csv")
DOMAINS = ("movie", "book")


@pytest.fixture(scope="module")
def rows() -> list[MetricRow]:
    assert METRICS.exists(), "run `make smoke` first"
    return list(read_rows(METRICS))


def auc(rows: list[MetricRow], method: str, domain: str, n_shots: int) -> float:
    """Mean over seeds on a test domain."""
    chosen = [
        row.auc
        for row in rows
        if (row.cell.method, row.cell.test_domain, row.cell.n_shots) == (method, domain, n_shots)
    ]
    assert chosen, f"no row of {method} on {domain} at {n_shots}"
    return statistics.mean(chosen)


def half_width(rows: list[MetricRow], method: str, domain: str, n_shots: int) -> float:
    """Half of the mean interval over users."""
    return statistics.mean(
        (row.auc_high - row.auc_low) / 2
        for row in rows
        if (row.cell.method, row.cell.test_domain, row.cell.n_shots) == (method, domain, n_shots)
    )


def largest(rows: list[MetricRow]) -> int:
    return max(row.cell.n_shots for row in rows if row.cell.family == "tuned")


def test_every_cell_was_run(rows: list[MetricRow]):
    params = load_config()
    n_train = dict.fromkeys(params.grid.domains, 0)  # names cells and does not change how many there are
    assert len(rows) == len(list(cells(params, n_train))) > 80
    assert {row.status for row in rows} == {"ok"}


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_untuned_model_is_at_chance(rows: list[MetricRow], domain: str):
    assert auc(rows, "icl-base-released", domain, 0) == pytest.approx(0.5, abs=0.08)


def test_tallrec_learns_movie_preferences(rows: list[MetricRow]):
    k = largest(rows)
    tallrec = auc(rows, "tallrec-movie", "movie", k)
    assert tallrec >= 0.62
    assert tallrec >= auc(rows, "icl-base-released", "movie", 0) + 0.08
    assert tallrec >= auc(rows, "gru4rec", "movie", k) + 0.08


@pytest.mark.parametrize("domain", DOMAINS)
def test_more_shots_do_not_hurt(rows: list[MetricRow], domain: str):
    few, many = min(row.cell.n_shots for row in rows if row.cell.family == "tuned"), largest(rows)
    method = f"tallrec-{domain}"
    assert auc(rows, method, domain, many) >= auc(rows, method, domain, few) - half_width(rows, method, domain, many)


def test_what_is_learned_on_books_carries_over_to_movies(rows: list[MetricRow]):
    assert auc(rows, "tallrec-book", "movie", largest(rows)) > 0.55


@pytest.mark.parametrize("domain", DOMAINS)
def test_nothing_is_better_than_the_truth(rows: list[MetricRow], domain: str):
    ceiling = read_json(ceiling_file(domain))["auc"]
    assert all(row.auc < ceiling for row in rows if row.cell.test_domain == domain)
