"""The rows of a model: one a head, one whose decay is chosen on the validation rows, one a head that uses none."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from statistics import fmean
from typing import Any

import pytest

from baselines import gru4rec, rows
from baselines.rows import predict_rows
from baselines.training import Fitted, Training, fit
from benchmark.schema import FewShotTask, Prediction

TRAINING = Training(
    learning_rate=0.01, batch_size=256, n_updates=20, eval_every=5, history_length=4, item_size=3, n_threads=1
)
BUILD = partial(gru4rec.model, hidden_size=4, n_layers=1)
DECAY, GRID = 1e-3, (0.0, 1e-2, 1.0)


def draws(task: FewShotTask) -> list[FewShotTask]:
    """Two seeds of 4 and of 8 rows, in an order that mixes them."""
    return [replace(task, train=task.train[seed : seed + n_shots], seed=seed) for seed in (0, 1) for n_shots in (4, 8)]


def scores(predictions: Sequence[Sequence[Prediction]]) -> list[float]:
    return [one.score for of_task in predictions for one in of_task]


def decays(predictions: Sequence[Sequence[Prediction]]) -> list[set[float]]:
    return [{one.details["weight_decay"] for one in of_task} for of_task in predictions]


def test_each_head_gives_a_row_and_the_released_one_a_second_by_search(toy_task: FewShotTask) -> None:
    heads = ["per_item", "tied", "shared"]
    found = predict_rows(BUILD, draws(toy_task), TRAINING, heads=heads, weight_decay=DECAY, weight_decay_grid=GRID)
    assert set(found) == {"", "tied", "shared", "searched"}
    for head, name in zip(heads, ("", "tied", "shared"), strict=True):
        fitted = fit(BUILD, draws(toy_task), TRAINING, head_name=head, weight_decays=[DECAY])
        assert decays(found[name]) == [{DECAY}] * 4
        assert scores(found[name]) == pytest.approx(scores([of_task[0].predictions for of_task in fitted]), abs=1e-6)
        for predictions in found[name]:
            assert [one.sample_id for one in predictions] == [sample.sample_id for sample in toy_task.test]


@pytest.mark.parametrize("grid", [GRID, (DECAY,), (1.0, DECAY, 0.0)])
def test_searched_has_the_decay_of_the_best_mean_validation_auc_of_its_shots(
    toy_task: FewShotTask, grid: tuple[float, ...]
) -> None:
    tasks = draws(toy_task)
    found = predict_rows(BUILD, tasks, TRAINING, heads=["per_item"], weight_decay=DECAY, weight_decay_grid=grid)
    for n_shots in (4, 8):
        own = [task for task in tasks if len(task.train) == n_shots]
        by_decay = {decay: fit(BUILD, own, TRAINING, weight_decays=[decay]) for decay in grid}
        means = {decay: fmean(of_task[0].valid_auc for of_task in by_decay[decay]) for decay in grid}
        best = max(grid, key=lambda decay: means[decay])  # the first of the best
        searched = [found["searched"][tasks.index(task)] for task in own]
        assert decays(searched) == [{best}, {best}]
        expected = [of_task[0].predictions for of_task in by_decay[best]]
        assert scores(searched) == pytest.approx(scores(expected), abs=1e-6)


def known(aucs: dict[tuple[int, int, float], float]) -> Any:
    """A `fit` whose validation AUC is known for each number of shots, seed and decay."""

    def fake(build: Any, tasks: Any, training: Any, *, weight_decays: Any, **keywords: Any) -> list[list[Fitted]]:
        return [
            [
                Fitted([Prediction("x", 0.5, {"weight_decay": d})], aucs[len(task.train), task.seed, d])
                for d in weight_decays
            ]
            for task in tasks
        ]

    return fake


@pytest.mark.parametrize(
    ("grid", "few", "many"),
    [
        ((0.1, 0.2), 0.2, 0.1),  # means 0.6 < 0.65 of 4 shots and 0.7 > 0.55 of 8; the decay of 0.5 is not in the grid
        ((0.2, 0.5, 0.1), 0.5, 0.5),
        ((0.1,), 0.1, 0.1),
    ],
)
def test_each_number_of_shots_has_its_own_choice_over_all_its_seeds(
    toy_task: FewShotTask, monkeypatch: pytest.MonkeyPatch, grid: tuple[float, ...], few: float, many: float
) -> None:
    by_decay = {0.5: (0.9, 0.9, 0.9, 0.9), 0.1: (0.8, 0.4, 0.5, 0.9), 0.2: (0.6, 0.7, 0.6, 0.5)}
    cells = [(4, 0), (4, 1), (8, 0), (8, 1)]
    aucs = {(*cell, decay): auc for decay, own in by_decay.items() for cell, auc in zip(cells, own, strict=True)}
    monkeypatch.setattr(rows, "fit", known(aucs))
    tasks = draws(toy_task)
    found = predict_rows(BUILD, tasks, TRAINING, heads=["per_item"], weight_decay=0.5, weight_decay_grid=grid)
    assert decays(found["searched"]) == [{few if len(task.train) == 4 else many} for task in tasks]
    assert decays(found[""]) == [{0.5}] * 4


@pytest.mark.parametrize(("heads", "grid"), [(["per_item"], ()), (["shared"], GRID)])
def test_without_a_grid_or_the_released_head_nothing_is_searched(
    toy_task: FewShotTask, heads: list[str], grid: tuple[float, ...]
) -> None:
    found = predict_rows(BUILD, draws(toy_task), TRAINING, heads=heads, weight_decay=DECAY, weight_decay_grid=grid)
    assert "searched" not in found
    assert len(found) == 1


def test_a_row_of_the_last_update_is_what_a_single_validation_at_the_end_would_choose(toy_task: FewShotTask) -> None:
    heads = ["per_item", "shared"]
    found = predict_rows(
        BUILD, draws(toy_task), TRAINING, heads=heads, weight_decay=DECAY, weight_decay_grid=GRID, with_last=True
    )
    assert set(found) == {"", "shared", "searched", "last", "shared-last"}
    at_the_end = replace(TRAINING, eval_every=TRAINING.n_updates)
    for head, name in zip(heads, ("last", "shared-last"), strict=True):
        fitted = fit(BUILD, draws(toy_task), at_the_end, head_name=head, weight_decays=[DECAY])
        expected = [of_task[0].predictions for of_task in fitted]
        assert scores(found[name]) == pytest.approx(scores(expected), abs=1e-6)
        assert decays(found[name]) == [{DECAY}] * 4
        aucs = [[rows[0].details["valid_auc"] for rows in side] for side in (found[name], expected)]
        assert aucs[0] == pytest.approx(aucs[1])
    assert scores(found["last"]) != pytest.approx(scores(found[""]), abs=1e-6)


def test_progress_is_told_by_row(toy_task: FewShotTask) -> None:
    told: list[tuple[str, int, int]] = []
    predict_rows(
        BUILD,
        draws(toy_task)[:1],
        TRAINING,
        heads=["per_item", "shared"],
        weight_decay=DECAY,
        weight_decay_grid=GRID,
        tell=lambda row, done, total: told.append((row, done, total)),
    )
    assert told == [(row, done, 20) for row in ("", "shared") for done in (5, 10, 15, 20)]
