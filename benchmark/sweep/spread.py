"""Cells that were made twice, with two results: DVC takes the newest without a word, so the collector says it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from benchmark.config.pipeline import locked_stages
from benchmark.sweep.graph import dvc

RECORDS = "runs/"
"""Outputs that tell when and in how many seconds a cell was made; they differ each time."""


def spread(folder: Path) -> dict[str, list[str]]:
    """Stages with more than one result of the same command and inputs, and the outputs that differ.

    Raises:
        ConfigError: DVC does not say where its cache is, or a lock is no YAML.
    """
    yaml: Any = YAML(typ="safe")
    stages = {_key(entry): stage for stage, entry in locked_stages(folder).items()}
    found: dict[str, list[str]] = {}
    for results in _several(folder / dvc(folder, "cache", "dir").strip() / "runs", yaml):
        stage = stages.get(_key(results[0]))
        hashes = [{out["path"]: out.get("md5") for out in result["outs"]} for result in results]
        paths = [path for path in hashes[0] if len({one.get(path) for one in hashes}) > 1]
        differing = [path for path in paths if not path.startswith(RECORDS)]
        if stage and differing:
            found[stage] = differing
    return found


def _several(run_cache: Path, yaml: Any) -> Iterator[Sequence[Mapping[str, Any]]]:
    """The results of each key that has more than one."""
    for folder in sorted(run_cache.glob("*/*")):
        files = sorted(folder.iterdir())
        if len(files) > 1:
            results = [result for result in (_read(file, yaml) for file in files) if result]
            if results:
                yield results


def _read(file: Path, yaml: Any) -> Mapping[str, Any] | None:
    try:
        content = yaml.load(file.read_text())
    except (YAMLError, UnicodeDecodeError):  # half written by a machine that died; DVC leaves it aside as well
        return None
    return cast("dict[str, Any]", content) if isinstance(content, dict) and "outs" in content else None


def _key(entry: Mapping[str, Any]) -> str:
    """What identifies a cell: its command, inputs and parameters."""
    inputs = sorted((dep["path"], str(dep.get("md5"))) for dep in entry.get("deps", ()))
    return json.dumps([entry.get("cmd"), inputs, entry.get("params")], sort_keys=True)
