"""What the section of a baseline may hold: its keys are the keywords of `baselines/<name>.py: model`."""

import json
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from benchmark.config.baselines import TrainingParams
from benchmark.config.names import guess, unknown
from benchmark.config.params import Params
from benchmark.config.values import PositiveFloat, PositiveInt, Problem
from benchmark.methods.baselines import BASELINES_FOLDER, baseline_keywords

KEYWORD_TYPES: dict[str, Any] = {
    "int": PositiveInt,
    "float": Annotated[float, Field(ge=0, allow_inf_nan=False)],
    "bool": bool,
    "str": str,
    "tuple[int, ...]": Annotated[tuple[PositiveInt, ...], Field(min_length=1)],
}
"""Annotation of a baseline's keyword argument -> the type its value in `params.yaml` must have: sizes and weights."""
KEYWORD_LIMITS: dict[str, tuple[Any, str]] = {
    "dropout": (Annotated[float, Field(ge=0, lt=1)], "from 0 to below 1"),
    "beta": (PositiveFloat, "above 0"),
}
"""Keyword arguments with limits of their own -> type and words."""
_BOUNDS = {"int": " above 0", "float": " of 0 or more", "tuple[int, ...]": " of numbers above 0"}


def baseline_problems(params: Params) -> Iterator[Problem]:
    """What is wrong with `baselines.models` and `baselines.n_updates`."""
    for name, values in params.baselines.models.items():
        if not (BASELINES_FOLDER / f"{name}.py").is_file():
            yield f"baselines.models.{name}", f"there is no file baselines/{name}.py"
            continue
        keywords = baseline_keywords(name)
        for keyword in values:
            if keyword not in keywords:
                yield f"baselines.models.{name}.{keyword}", f"unknown key{guess(keyword, list(keywords))}"
        for keyword, annotation in keywords.items():
            key = f"baselines.models.{name}.{keyword}"
            if keyword not in values:
                yield key, "missing"
            elif not _is_a(values[keyword], KEYWORD_TYPES[annotation]):
                yield key, f"expected {annotation}{_BOUNDS.get(annotation, '')}, got {values[keyword]!r}"
            elif keyword in KEYWORD_LIMITS and not _is_a(values[keyword], KEYWORD_LIMITS[keyword][0]):
                yield key, f"expected {annotation} {KEYWORD_LIMITS[keyword][1]}, got {values[keyword]!r}"
            elif misfit := _misfit(keyword, values[keyword], params.baselines.training):
                yield key, misfit

    yield from _baseline_updates(params)


def _misfit(keyword: str, value: Any, training: TrainingParams) -> str | None:
    """Why a value does not fit the length of a history or the width of a step, if it does not."""
    if keyword == "heights" and max(value) > training.history_length:
        return f"{max(value)} is more than baselines.training.history_length = {training.history_length}"
    if keyword == "n_heads" and (training.item_size + 1) % value:
        return f"{value} does not divide baselines.training.item_size + 1 = {training.item_size + 1}"
    return None


def _baseline_updates(params: Params) -> Iterator[Problem]:
    for model, by_domain in params.baselines.n_updates.items():
        if model not in params.baselines.models:
            yield f"baselines.n_updates.{model}", unknown(model, list(params.baselines.models))
        for domain in by_domain:
            if domain not in params.domains:
                yield f"baselines.n_updates.{model}.{domain}", unknown(domain, list(params.domains))


def _is_a(value: object, kind: Any) -> bool:
    try:
        TypeAdapter[Any](kind).validate_json(json.dumps(value), strict=True)
    except ValidationError:
        return False
    return True
