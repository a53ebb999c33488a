"""The stages of a pipeline and what each waits for, as DVC itself tells them."""

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from benchmark.config.reading import read_yaml
from benchmark.errors import ConfigError, last_words

EDGE = re.compile(r'"([^"]+)" -> "([^"]+)"')
NODE = re.compile(r'^"([^"]+)";$', re.MULTILINE)


@dataclass(frozen=True)
class Graph:
    """Stages in an order in which each comes after those that it waits for."""

    upstream: Mapping[str, frozenset[str]]
    """Stage -> the stages whose outputs it reads."""
    own_commands: Mapping[str, str]
    """Of stages that the collector runs itself, since DVC keeps no result of them in the run-cache."""

    @property
    def cells(self) -> list[str]:
        """The stages that workers run."""
        return [stage for stage in self.upstream if stage not in self.own_commands]

    def with_downstream(self, stages: Sequence[str]) -> set[str]:
        """`stages` and everything that reads what they write."""
        found = set(stages)
        for stage, waits_for in self.upstream.items():  # in order, so that one pass is enough
            if waits_for & found:
                found.add(stage)
        return found

    def levels(self) -> list[list[str]]:
        """Cells by the longest way to them: those of one level can run at the same time."""
        level: dict[str, int] = {}
        for stage in self.cells:
            level[stage] = max((level[one] + 1 for one in self.upstream[stage]), default=0)
        return [[stage for stage in level if level[stage] == n] for n in range(max(level.values(), default=-1) + 1)]


def read_graph(folder: Path) -> Graph:
    """Ask DVC for the graph of the pipeline in `folder`.

    Raises:
        ConfigError: DVC cannot read the pipeline, there is none, or a stage that a worker should run waits for one of
            the collector's.
    """
    drawn = dvc(folder, "dag", "--dot")
    waits_for: dict[str, set[str]] = {name: set() for name in NODE.findall(drawn)}
    for source, target in EDGE.findall(drawn):
        waits_for[target].add(source)
    needed = _needed(waits_for)
    upstream = {
        stage: frozenset(waits_for[stage]) for stage in TopologicalSorter(waits_for).static_order() if stage in needed
    }
    pipeline = read_yaml(folder / "dvc.yaml")
    uncached = {name: stage["cmd"] for name, stage in pipeline["stages"].items() if _is_uncached(stage)}
    own = {stage: uncached[stage.split("@")[0]] for stage in upstream if stage.split("@")[0] in uncached}
    graph = Graph(upstream, own)
    for stage in graph.cells:
        if upstream[stage] & own.keys():
            raise ConfigError(f"dvc.yaml: {stage} reads an output with `cache: false`, which no worker can restore")
    return graph


def _needed(waits_for: Mapping[str, set[str]]) -> set[str]:
    """What `dvc repro` runs: the stages of dvc.yaml, and those of other files that one of them waits for."""
    pending, found = [stage for stage in waits_for if ":" not in stage], set[str]()
    while pending:
        stage = pending.pop()
        if stage not in found:
            found.add(stage)
            pending += waits_for[stage]
    return found


def changed(folder: Path, graph: Graph) -> set[str]:
    """Stages that are not up to date in `folder`, and all that read from them."""
    status = json.loads(dvc(folder, "status", "--json") or "{}")
    return graph.with_downstream([stage for stage in graph.upstream if stage in status])


def dvc(folder: Path, *arguments: str) -> str:
    """What a command of DVC prints.

    Raises:
        ConfigError: it fails, with its last line; or it is not on `PATH`.
    """
    try:
        done = subprocess.run(["dvc", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise ConfigError("dvc: no such program on PATH; put the environment's bin folder there") from None
    if done.returncode:
        raise ConfigError(f"dvc {' '.join(arguments)}: {last_words(done.stderr.strip() or done.stdout)}")
    return done.stdout


def _is_uncached(stage: Mapping[str, Any]) -> bool:
    """Whether DVC leaves the stage out of its run-cache: an output, other than a metric or plot, without a cache."""
    outs: Sequence[str | Mapping[str, Mapping[str, Any]]] = stage.get("outs", ())
    settings = [value for out in outs if not isinstance(out, str) for value in out.values()]
    return any(not one.get("cache", True) for one in settings)
