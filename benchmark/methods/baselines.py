"""Conventional recommenders as methods: their rows, how they are trained, and what their files say of themselves.

Model code, and with it torch, is imported only when a model is trained.
"""

import ast
import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.artifacts import files, paths
from benchmark.config.params import BaselineParams
from benchmark.errors import ConfigError
from benchmark.schema import LAST, RELEASED_HEAD, SEARCHED, FewShotTask, Interaction, Prediction, Sample

BASELINES_FOLDER = Path(__file__).parents[2] / "baselines"


def baseline_rows(model: str, params: BaselineParams) -> list[str]:
    """Methods that `model` gives: `gru4rec` (the released head), `gru4rec-shared`, `-searched`, `-last`, ...

    A model file may hold `HEADS`, the only heads that it works with.

    Raises:
        ConfigError: there is no such file.
    """
    heads = baseline_heads(model, params)
    names = [model if head == RELEASED_HEAD else f"{model}-{head}" for head in heads]
    searched = [f"{model}-{SEARCHED}"] if RELEASED_HEAD in heads and params.training.weight_decay_grid else []
    return [*names, *searched, *(f"{name}-{LAST}" for name in names if params.last_update)]


def baseline_heads(model: str, params: BaselineParams) -> list[str]:
    """The heads of `params` that `model` works with.

    Raises:
        ConfigError: there is no such file.
    """
    return [head for head in params.heads if head in _literal(model, "HEADS", params.heads)]


def train_baseline(
    model: str,
    params: BaselineParams,
    tasks: Sequence[FewShotTask],
    *,
    domain: str | None = None,
    texts: Mapping[str, Any] | None = None,
    tell: Callable[[str, int, int], object] | None = None,
) -> dict[str, list[Sequence[Prediction]]]:
    """Train `model` on every draw of a domain: for each of `baseline_rows`, the predictions of each task.

    Args:
        model: the name of a file in `baselines/`.
        params: its values.
        tasks: the draws; their validation rows and test samples are the same.
        domain: of the draws, for values that differ by domain.
        texts: text vectors (arrays of float32) by item id, for models that read text.
        tell: told the row, the updates done and to do.

    Raises:
        ConfigError: `params` has no section for the model, there is no such file, or training diverged.
        DataError: a draw has no row, or the validation rows have one label.
    """
    if model not in params.models:
        raise ConfigError(f"baselines.models.{model}: missing")
    baseline_keywords(model)
    rows, loop = importlib.import_module("baselines.rows"), importlib.import_module("baselines.training")
    values = params.training.model_dump()
    weight_decay, grid = values.pop("weight_decay"), values.pop("weight_decay_grid")
    if reads_user(model):
        tasks, values["history_length"] = [_with_user_as_history(task) for task in tasks], 1
    if domain is not None:
        values["n_updates"] = params.n_updates.get(model, {}).get(domain, values["n_updates"])
    found: dict[str, list[Sequence[Prediction]]] = rows.predict_rows(
        partial(importlib.import_module(f"baselines.{model}").model, **params.models[model]),
        tasks,
        loop.Training(**values),
        heads=baseline_heads(model, params),
        weight_decay=weight_decay,
        weight_decay_grid=grid,
        texts=texts if reads_text(model) else None,
        with_last=params.last_update,
        **({} if tell is None else {"tell": tell}),
    )
    return {f"{model}-{added}" if added else model: predictions for added, predictions in found.items()}


def text_vectors(model: str, domain: str, params: BaselineParams) -> dict[str, NDArray[np.float32]] | None:
    """Text vectors of the items of a domain by item id; None for a model that reads no text.

    Raises:
        ConfigError: there is no such model, or no text encoder where it reads text.
        MissingArtifactError: stage `encode` has not written them.
    """
    if not reads_text(model):
        return None
    if params.text_encoder.model is None:
        raise ConfigError(f"baselines.text_encoder.model: null, and {model!r} reads item texts")
    return files.read_vectors(paths.texts_file(domain))


def baseline_keywords(name: str) -> dict[str, str]:
    """Keyword-only arguments of `baselines/<name>.py: model` and their types, read without importing torch.

    Raises:
        ConfigError: there is no such file, or it has no function `model`.
    """
    functions = {node.name: node for node in _statements(name) if isinstance(node, ast.FunctionDef)}
    if "model" not in functions:
        raise ConfigError(f"grid.baselines, baselines.models.{name}: baselines/{name}.py has no function `model`")
    return {arg.arg: ast.unparse(arg.annotation) for arg in functions["model"].args.kwonlyargs if arg.annotation}


def reads_text(name: str) -> bool:
    """Whether the model reads item texts: its file says `READS_TEXT = True`.

    Raises:
        ConfigError: there is no such file.
    """
    return bool(_literal(name, "READS_TEXT", missing=False))


def reads_user(name: str) -> bool:
    """Whether the model reads who is asked about instead of a history: its file says `READS_USER = True`.

    Raises:
        ConfigError: there is no such file.
    """
    return bool(_literal(name, "READS_USER", missing=False))


def _with_user_as_history(task: FewShotTask) -> FewShotTask:
    """The task with one interaction a history: with the user, who so gets a vector as items do."""

    def asked(sample: Sample) -> Sample:
        return replace(sample, history=(Interaction(f"user {sample.user_id}", liked=True),))

    train, valid = (tuple(replace(row, sample=asked(row.sample)) for row in rows) for rows in (task.train, task.valid))
    return replace(task, train=train, valid=valid, test=tuple(map(asked, task.test)))


def _literal(name: str, constant: str, missing: Any) -> Any:
    for node in _statements(name):
        match node:
            case ast.Assign(targets=[ast.Name(id=found)]) if found == constant:
                return ast.literal_eval(node.value)
            case _:
                continue
    return missing


def _statements(name: str) -> list[ast.stmt]:
    path = BASELINES_FOLDER / f"{name}.py"
    if not path.is_file():
        raise ConfigError(f"grid.baselines, baselines.models.{name}: there is no file baselines/{name}.py")
    return ast.parse(path.read_text(encoding="utf-8")).body
