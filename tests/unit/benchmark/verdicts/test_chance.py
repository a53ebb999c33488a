"""What validations reach by chance: with single rows, with few users, with many looks."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from benchmark.artifacts import files, paths
from benchmark.config.params import Params
from benchmark.schema import Cell, Interaction, Labelled, Sample
from benchmark.statistics.auc import chance_auc
from benchmark.verdicts.chance import ChanceBounds

N_RUNS = 4000


def exceeding(labels: np.ndarray, users: np.ndarray, n_looks: int) -> float:
    """Share of runs whose best look is above the bound, where a look is a random value a user."""
    rng = np.random.default_rng(0)
    scores = rng.random((N_RUNS * n_looks, users.max() + 1))[:, users]
    liked, disliked = scores[:, labels], scores[:, ~labels]
    aucs = mannwhitneyu(liked, disliked, axis=1).statistic / (labels.sum() * (~labels).sum())
    bound = chance_auc(labels.tolist(), [f"u{user}" for user in users], n_looks)
    return float((aucs.reshape(N_RUNS, n_looks).max(axis=1) > bound).mean())


@pytest.mark.parametrize(("n_liked", "n_disliked"), [(50, 50), (300, 100)])
def test_of_single_rows_it_is_exceeded_in_one_of_forty(n_liked: int, n_disliked: int) -> None:
    labels = np.array([True] * n_liked + [False] * n_disliked)
    assert 0.015 < exceeding(labels, np.arange(len(labels)), 1) < 0.035


def test_a_row_a_user_gives_the_variance_of_mann_and_whitney() -> None:
    labels = [True] * 30 + [False] * 50
    sd = ((80 + 1) / (12 * 30 * 50)) ** 0.5
    assert chance_auc(labels, [str(row) for row in range(80)]) == pytest.approx(0.5 + 1.959964 * sd)


@pytest.mark.slow
@pytest.mark.parametrize("n_looks", [1, 10])
def test_of_few_unequal_users_it_is_exceeded_no_more_often(n_looks: int) -> None:
    rng = np.random.default_rng(1)
    users = rng.choice(16, 400, p=rng.dirichlet(np.full(16, 1.5)))
    users = np.unique(users, return_inverse=True)[1]
    lenient = rng.uniform(0.2, 0.9, 16)
    labels = rng.random(400) < lenient[users]
    share = exceeding(labels, users, n_looks)
    assert share < 0.035
    # Rows that counted as independent, looked at once, would be exceeded far more often.
    by_row = chance_auc(labels.tolist(), [str(row) for row in range(400)])
    assert by_row < chance_auc(labels.tolist(), users.astype(str).tolist()) - 0.03


def test_more_looks_and_fewer_rows_raise_the_bound(repository: Path, params: Params) -> None:
    rows = [
        Labelled(Sample(str(n), f"u{n // 4}", (Interaction("a", liked=True),), "b"), n % 3 == 0) for n in range(200)
    ]
    files.write_labelled(paths.prepared_folder("movie") / "valid.parquet", rows)
    bounds = ChanceBounds(params)
    tuned, baseline = (Cell(family, f"{family}-x", "movie", "movie", 16, 0) for family in ("tuned", "baseline"))
    searched, last = (Cell("baseline", f"gru4rec-{name}", "movie", "movie", 16, 0) for name in ("searched", "last"))
    grid = params.baselines.training.model_copy(update={"weight_decay_grid": (0.1, 0.01)})
    baselines = params.baselines.model_copy(update={"training": grid})
    of_decays = ChanceBounds(params.model_copy(update={"baselines": baselines}))
    labels, users = [row.liked for row in rows], [row.sample.user_id for row in rows]
    # Every fifth update of 100 is looked at; a searched row is the better of two.
    assert bounds(baseline, {"n_updates": 100}) == pytest.approx(chance_auc(labels, users, 20))
    assert of_decays(searched, {"n_updates": 100}) == pytest.approx(chance_auc(labels, users, 40))
    assert bounds(last, {"n_updates": 100}) == pytest.approx(chance_auc(labels, users, 1))
    # `tune.max_valid_samples` is 100 of these 200 rows.
    assert bounds(tuned, {"n_steps": 100}) > bounds(baseline, {"n_updates": 100})
    assert bounds(tuned, {"n_steps": 5}) < bounds(tuned, {"n_steps": 20})
    assert repository.exists()
