"""What `dvc.yaml` says, read without DVC: how many stages it unfolds to."""

import re
from collections.abc import Mapping
from functools import reduce
from math import prod
from typing import Any, cast

from benchmark.errors import ConfigError

REFERENCE = re.compile(r"\$\{([\w.]+)\}")


def stage_counts(pipeline: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, int]:
    """Stages by name: the product of the lengths of a stage's matrix or foreach, 1 without either.

    Args:
        pipeline: the content of `dvc.yaml`.
        params: the content of `params.yaml`, which `${...}` in the pipeline refers to.

    Raises:
        ConfigError: a `${...}` names no list of `params`.
    """
    counts: dict[str, int] = {}
    for name, stage in pipeline["stages"].items():
        axes = dict(stage.get("matrix", {}))
        if "foreach" in stage:
            axes["item"] = stage["foreach"]
        counts[name] = prod(len(_values(axis, params, name)) for axis in axes.values())
    return counts


def _values(axis: object, params: Mapping[str, Any], stage: str) -> list[Any]:
    if isinstance(axis, str):
        reference = REFERENCE.fullmatch(axis)
        path = reference.group(1).split(".") if reference else []
        axis = reduce(item_of, path, cast(object, params)) if reference else None
    if not isinstance(axis, list | dict):
        raise ConfigError(f"dvc.yaml: stages.{stage}: a matrix axis is no list and no reference to one")
    return list(cast(list[Any], axis))


def item_of(section: object, key: str) -> object:
    """The value of a key, or None where it is not there or `section` is none."""
    return cast(dict[str, object], section).get(key) if isinstance(section, dict) else None
