"""How long a conventional baseline trains: a few updates of it on rows of this configuration, timed and multiplied."""

import os
import time
from collections.abc import Mapping

import numpy as np

from benchmark.config.params import BaselineParams, Params
from benchmark.methods.baselines import baseline_heads, reads_text, train_baseline
from benchmark.methods.probes import without_question
from benchmark.planning.rows import Rows
from benchmark.schema import RELEASED_HEAD, FewShotTask

N_DRAWS = 2
"""Of each K; more would only take longer in proportion."""
WIDEST = 128
"""Of recurrent layers that are tried; wider ones are tried with this width, and take the square of theirs."""
TEXT_WIDTH = 384
"""Of the small encoder that a package carries."""
PASSES = 3
"""A row of an update, forward and backward, in rows that are scored."""
ROWS_A_SECOND = 45_000
"""Scored on a thread by a model with item ids that is not tried; DROS reaches 11,000, SASRec 110,000."""


def baseline_seconds(
    params: Params, model: str, domain: str, rows: Rows | None, n_test: Mapping[str, int], *, tries: bool = True
) -> float:
    """Of training and testing `model` on every draw of `domain`, on an idle machine.

    Args:
        params: the configuration.
        model: a name of `grid.baselines`.
        domain: where.
        rows: of the domain; None: not at hand, so that nothing can be tried.
        n_test: rows of each test set.
        tries: whether the model is tried, else as fast as a model is on average.
    """
    values, grid = params.baselines, params.grid
    between = values.training.eval_every
    # A validation with the updates before it, at each K; the test is of rows that are scored too.
    n_valid = len(rows.valid) if rows else n_test[domain]

    def of_a_draw(n_shots: int) -> int:
        return n_valid + PASSES * between * min(n_shots, values.training.batch_size)

    a_time = sum(map(of_a_draw, grid.n_shots))
    n_asked = sum(n_test[name] for name in params.test_sets(domain))
    n_asked += n_test[domain] * len(without_question(params.probe.inputs))
    n_updates = values.n_updates.get(model, {}).get(domain, values.training.n_updates)
    n_rows = a_time * n_updates / between + n_asked * len(grid.n_shots)
    n_tried = sum(_n_draws(n, rows) * of_a_draw(n) for n in grid.n_shots) if rows and tries else 0
    if rows and n_tried:
        a_row = sum(_tried(params, model, rows).values()) / n_tried
    else:
        a_row = sum(_n_decays(head, values) for head in baseline_heads(model, values)) / ROWS_A_SECOND
        if reads_text(model):  # beside the numbers of the item, in every step
            a_row *= 1 + TEXT_WIDTH / values.training.item_size
    return len(grid.every_seed) * n_rows * a_row / min(values.training.n_threads, os.cpu_count() or 1)


def _tried(params: Params, model: str, rows: Rows) -> dict[str, float]:
    """Processor seconds of `eval_every` updates and a validation of some draws, by head; all its decays together."""
    values = params.baselines
    own, scale = dict(values.models[model]), 1.0
    if own.get("hidden_size", 0) > WIDEST:
        scale, own["hidden_size"] = (own["hidden_size"] / WIDEST) ** 2, WIDEST
    between = values.training.eval_every
    few = values.training.model_copy(update={"n_updates": 2 * between, "weight_decay_grid": (), "n_threads": 1})
    tried = values.model_copy(update={"training": few, "models": {model: own}})
    texts = None
    if reads_text(model):
        vectors = np.random.default_rng(0).normal(size=(len(rows.items), TEXT_WIDTH)).astype(np.float32)
        texts = dict(zip(rows.items, vectors, strict=True))
    tasks = [
        FewShotTask(rows.train[seed * n : (seed + 1) * n], rows.valid, rows.test[:1], rows.items, seed)
        for n in params.grid.n_shots
        for seed in range(_n_draws(n, rows))
    ]
    told: dict[tuple[str, int], float] = {}
    train_baseline(
        model, tried, tasks, texts=texts, tell=lambda row, done, _: told.setdefault((row, done), time.process_time())
    )
    return {
        head: scale * _n_decays(head, values) * (told[row, 2 * between] - told[row, between])
        for head in baseline_heads(model, values)
        for row in ["" if head == RELEASED_HEAD else head]
    }


def _n_draws(n_shots: int, rows: Rows) -> int:
    """Draws without a common row that are tried, of the training rows as they lie."""
    return min(N_DRAWS, len(rows.train) // n_shots)


def _n_decays(head: str, values: BaselineParams) -> int:
    """Trainings of a draw: the released head is trained with every weight decay."""
    return len({values.training.weight_decay, *values.training.weight_decay_grid}) if head == RELEASED_HEAD else 1
