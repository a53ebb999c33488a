"""What the files of the pipeline say, read without DVC: which stages there are, and how many they unfold to."""

import re
from collections.abc import Mapping
from functools import reduce
from math import prod
from pathlib import Path
from typing import Any, cast

from benchmark.artifacts.paths import PIPELINES
from benchmark.config.reading import read_yaml
from benchmark.errors import ConfigError

REFERENCE = re.compile(r"\$\{([\w.]+)\}")


def pipeline_stages(folder: Path) -> dict[str, dict[str, Any]]:
    """The stages of every file of the pipeline in `folder`, by name.

    Raises:
        ConfigError: a file is missing or is no YAML.
    """
    return {name: stage for path in PIPELINES for name, stage in read_yaml(folder / path)["stages"].items()}


def stage_counts(stages: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, int]:
    """Stages by name: the product of the lengths of a stage's matrix or foreach, 1 without either.

    Args:
        stages: by name, as `dvc.yaml` has them.
        params: the content of `params.yaml`, which `${...}` in the stages refers to.

    Raises:
        ConfigError: a `${...}` names no list of `params`.
    """
    counts: dict[str, int] = {}
    for name, stage in stages.items():
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
