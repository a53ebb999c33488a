"""A baseline under every pair of a draw and initial weights: which run is which, and what is refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from benchmark.artifacts import files, paths
from benchmark.config.params import Params
from benchmark.data.tasks import few_shot_task
from benchmark.diagnostics import variance
from benchmark.diagnostics.variance import variance_table
from benchmark.errors import ConfigError, MetricError, MissingArtifactError
from benchmark.methods.baselines import train_baseline
from benchmark.report.show import component_lines
from benchmark.schema import FewShotTask, Prediction, Sample
from benchmark.seeding import derive_seed
from benchmark.statistics.components import Component
from benchmark.statistics.influence import Measured

N_SHOTS = 8


@pytest.fixture
def toy(params: Params, toy_task: FewShotTask, repository: Path, write_domain: Callable[[str], None]) -> Params:
    """The toy domain as `movie`, two seeds, and a short training."""
    assert repository.exists()
    write_domain("movie")
    files.write_labels(paths.labels_file("movie"), {sample.sample_id: likes(sample) for sample in toy_task.test})
    training = params.baselines.training.model_copy(update={"n_updates": 6, "weight_decay_grid": (0.1,)})
    changes = {"training": training, "heads": ("per_item", "shared")}
    return params.model_copy(update={"baselines": params.baselines.model_copy(update=changes)})


def likes(sample: Sample) -> bool:
    """Not what is learned, so that no AUC is 1."""
    return derive_seed("answer", sample.sample_id) % 2 == 0


def table(params: Params, n_shots: int = N_SHOTS, n_seeds: int = 2) -> dict[str, float]:
    found = variance_table(params, "gru4rec", "movie", n_shots=n_shots, n_seeds=n_seeds, tell=lambda *_: None)
    return {name: mean for name, mean, _ in found}


def test_rows_are_draws_and_columns_initial_weights(
    toy: Params, toy_task: FewShotTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[list[float]]] = []

    def noted(runs: list[list[Measured]], confidence: float) -> list[Any]:
        assert confidence == toy.evaluate.confidence
        seen.append([[one.value for one in of_draw] for of_draw in runs])
        return []

    monkeypatch.setattr(variance, "components", noted)
    means = table(toy)
    assert list(means) == ["gru4rec", "gru4rec-shared"]  # none of a searched decay
    liked = list(map(likes, toy_task.test))
    expected: list[list[list[float]]] = [[], []]
    for draw in (0, 1):
        task = few_shot_task("movie", "movie", N_SHOTS, draw)
        alone = [train_baseline("gru4rec", toy.baselines, [replace(task, seed=w)], domain="movie") for w in (0, 1)]
        for head, name in enumerate(means):
            scores = [[one.score for one in found[name][0]] for found in alone]
            expected[head].append([float(roc_auc_score(liked, of_weights)) for of_weights in scores])
    assert np.array(seen) == pytest.approx(np.array(expected))
    assert any(of_head[0][1] != of_head[1][0] for of_head in expected), "else rows and columns could be exchanged"
    assert list(means.values()) == pytest.approx([sum(map(sum, of_head)) / 4 for of_head in expected])


def test_a_run_without_an_auc_is_named_and_moves_no_other(
    toy: Params, toy_task: FewShotTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = [Prediction(sample.sample_id, float(place)) for place, sample in enumerate(toy_task.test)]
    runs = [whole, whole[1:], whole, whole]
    monkeypatch.setattr(variance, "train_baseline", lambda *_, **__: {"gru4rec": runs})
    with pytest.raises(MetricError, match="gru4rec movie k8: no AUC: expected one finite score a test sample"):
        table(toy)


def test_seeds_that_the_grid_lacks_are_refused(toy: Params) -> None:
    with pytest.raises(ConfigError, match=r"grid\.cheap_seeds: 2 seeds, expected at least 3"):
        table(toy, n_seeds=3)


def test_a_k_without_draws_is_refused(toy: Params) -> None:
    with pytest.raises(MissingArtifactError, match=r"k5.seed0.draw\.json: not there"):
        table(toy, n_shots=5)


def test_the_parts_are_told_in_points() -> None:
    parts = [Component("users", 0.0003, 0.012, 0.025), Component("draw", 0.0001, 0.0, 0.02)]
    lines = [line.split() for line in component_lines([("gru4rec", 0.5123, parts)])]
    assert lines[-3:] == [
        ["gru4rec", "51.23"],
        ["users", "1.73", "1.20", "to", "2.50", "75%"],
        ["draw", "1.00", "0.00", "to", "2.00", "25%"],
    ]
