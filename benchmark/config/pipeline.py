"""What the files of the pipeline say, read without DVC: which stages there are, and what they unfold to."""

import re
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product
from math import prod
from pathlib import Path
from typing import Any, cast

from ruamel.yaml import YAML

from benchmark.artifacts.paths import PIPELINES
from benchmark.config.reading import UNREADABLE, read_yaml
from benchmark.errors import ConfigError

REFERENCE = re.compile(r"\$\{([\w.\[\]-]+)\}")


@dataclass(frozen=True)
class Stage:
    """One stage as DVC runs it."""

    name: str
    """As DVC prints it: `score@rt-movie`, `tallrec/dvc.yaml:tune@rt-movie-16-0`."""
    command: str
    deps: tuple[str, ...]
    outs: tuple[str, ...]
    """Metrics and plots too."""


def pipeline_stages(folder: Path) -> dict[str, dict[str, Any]]:
    """The stages of every file of the pipeline in `folder`, by name.

    Raises:
        ConfigError: there is no `dvc.yaml`, or a file is no YAML.
    """
    paths = [path for path in PIPELINES if path == PIPELINES[0] or (folder / path).exists()]
    return {name: stage for path in paths for name, stage in read_yaml(folder / path)["stages"].items()}


def locked_stages(folder: Path) -> dict[str, dict[str, Any]]:
    """What DVC's locks of the pipeline in `folder` say, by the name of the stage; empty before the first run.

    A lock has 150 lines a stage, more than a configuration may have, and is read in C where that is installed.

    Raises:
        ConfigError: a lock is no YAML, as one that a kill cut.
    """
    yaml: Any = YAML(typ="safe")
    found: dict[str, dict[str, Any]] = {}
    for path in PIPELINES:
        lock = (folder / path).with_suffix(".lock")
        prefix = "" if path.parent == Path() else f"{path}:"
        try:
            content: dict[str, Any] = yaml.load(lock.read_bytes()) if lock.exists() else {}
        except UNREADABLE as error:
            raise ConfigError(f"{lock}: not valid YAML: {' '.join(str(error).split())}") from None
        stages: dict[str, dict[str, Any]] = content.get("stages") or {}
        found |= {f"{prefix}{name}": entry for name, entry in stages.items()}
    return found


def stage_counts(stages: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, int]:
    """Stages by name: the product of the lengths of a stage's matrix, 1 without one.

    Args:
        stages: by name, as `dvc.yaml` has them.
        params: the content of `params.yaml`, which `${...}` in the stages refers to.

    Raises:
        ConfigError: a `${...}` names no list of `params`.
    """
    counts: dict[str, int] = {}
    for name, stage in stages.items():
        counts[name] = prod(len(_values(axis, params, name)) for axis in stage.get("matrix", {}).values())
    return counts


def unfolded(folder: Path, params: Mapping[str, Any]) -> Generator[Stage]:
    """Every stage of the pipeline in `folder` with what `params.yaml` says put in, in the order of the files.

    Args:
        folder: root of the pipeline.
        params: the content of its `params.yaml`.

    Raises:
        ConfigError: a file is no YAML, or a matrix axis is no list.
    """
    for path in filter(lambda path: (folder / path).exists(), PIPELINES):
        for kind, stage in read_yaml(folder / path)["stages"].items():
            name = kind if path.parent == Path() else f"{path}:{kind}"
            axes = {axis: _values(values, params, kind) for axis, values in stage.get("matrix", {}).items()}
            for chosen in product(*(enumerate(values) for values in axes.values())):
                item = {axis: value for axis, (_, value) in zip(axes, chosen, strict=True)}
                labels = (
                    f"{axis}{place}" if isinstance(value, dict | list) else str(value)
                    for axis, (place, value) in zip(axes, chosen, strict=True)
                )
                yield _unfolded(f"{name}@{'-'.join(labels)}" if axes else name, stage, {**params, "item": item})


def _unfolded(name: str, stage: Mapping[str, Any], values: Mapping[str, Any]) -> Stage:
    def filled(text: str) -> str:
        return REFERENCE.sub(lambda found: str(_value(values, found[1])), text)

    outs: list[str | dict[str, Any]] = [out for kind in ("outs", "metrics", "plots") for out in stage.get(kind, ())]
    return Stage(
        name,
        filled(stage["cmd"].strip()),
        tuple(map(filled, stage.get("deps", ()))),
        tuple(filled(out if isinstance(out, str) else next(iter(out))) for out in outs),
    )


def _value(values: Mapping[str, Any], path: str) -> object:
    """What `grid.domains[0]` or `item.model` names."""
    value: object = values
    for key in re.findall(r"[^.\[\]]+", path):
        value = cast(Sequence[object], value)[int(key)] if isinstance(value, list) else item_of(value, key)
    return value


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
