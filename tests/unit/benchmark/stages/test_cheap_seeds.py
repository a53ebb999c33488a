"""A baseline of many seeds beside a tuned model of few: each has its own number, and its own noise."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.artifacts import files, paths
from benchmark.config.params import Params
from benchmark.schema import Cell, Prediction
from benchmark.stages import evaluate, report
from benchmark.statistics.estimates import INFLUENCE, Estimates
from benchmark.statistics.influence_file import read_influence
from benchmark.statistics.results import read_rows, summarise

TUNED = Cell("tuned", "tallrec-movie", "movie", "movie", 16, 0)
BASELINE = Cell("baseline", "gru4rec", "movie", "movie", 16, 0)
N_CHEAP = 6


@pytest.fixture
def grid(grid: dict[str, Any]) -> dict[str, Any]:
    """The small grid, with four more seeds of baselines and controls."""
    return grid | {"cheap_seeds": tuple(range(N_CHEAP))}


@pytest.fixture
def estimates(finished_run: Path) -> Estimates:
    """Of the run, as the report reads them."""
    assert evaluate.main([]) == 0
    assert finished_run.exists()
    return read_influence(INFLUENCE, read_rows(paths.METRICS_CSV))[0]


def test_every_method_has_its_own_number_of_seeds(estimates: Estimates, params: Params) -> None:
    with Path("results/estimates.csv").open() as stream:
        n_seeds = {(line["method"], line["n_shots"]): int(line["n_seeds"]) for line in csv.DictReader(stream)}
    assert n_seeds["tallrec-movie", "16"] == len(params.grid.seeds) == 2
    assert n_seeds["gru4rec", "16"] == n_seeds["random", "0"] == n_seeds["item_mean", "16"] == N_CHEAP
    assert n_seeds["liked_share", "0"] == n_seeds["item_mean", "100"] == 1
    assert all(summary and summary.is_complete for summary in summarise(read_rows(paths.METRICS_CSV)).values())
    assert len(estimates.known[BASELINE, "auc"].seeds) == N_CHEAP


def test_the_noise_of_seeds_of_a_difference_is_that_of_each_mean(estimates: Estimates) -> None:
    """Variance over users of the difference, plus that of a seed of each kind of method over its number of seeds."""
    found = estimates.difference(TUNED, BASELINE)
    assert found is not None
    assert found.spread is not None
    left, right = estimates.known[TUNED, "auc"], estimates.known[BASELINE, "auc"]
    influence = left.measured.influence - right.measured.influence
    variance = float(influence.var(ddof=1)) / len(influence)
    for one, family in ((left, "tuned"), (right, "baseline")):
        pool = estimates.pools[family, "movie", 16, "auc"]
        assert pool.dof == sum(
            len(known.seeds) - 1
            for (group, metric), known in estimates.known.items()
            if (group.family, group.test_domain, group.n_shots, metric) == (family, "movie", 16, "auc")
        )
        variance += max(float(np.var([*one.seeds.values()], ddof=1)), pool.variance) / len(one.seeds)
    assert found.spread.variance == pytest.approx(variance, rel=1e-9)
    assert found.value == pytest.approx(np.mean([*left.seeds.values()]) - np.mean([*right.seeds.values()]), abs=1e-12)


def test_the_page_says_how_many_failed_of_its_own_seeds(finished_run: Path) -> None:
    labels = files.read_labels(paths.labels_file("movie"))
    for seed in range(N_CHEAP):
        cell = Cell(*("baseline", "gru4rec", "movie", "movie", 16), seed)
        wrong = [Prediction(i, float(liked is (seed > 0))) for i, liked in sorted(labels.items())]
        files.write_predictions("predictions", cell, wrong)
    assert evaluate.main([]) == 0
    assert report.main([]) == 0
    with (finished_run / "results/tables/main_movie.csv").open() as stream:
        shown = {line["name"]: line["k16_ours"] for line in csv.DictReader(stream)}
    assert shown["gru4rec"].endswith("median 100.0, 1 of 6 below chance")
    assert shown["gru4rec"].startswith("83.33 [")
