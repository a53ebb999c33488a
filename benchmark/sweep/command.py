"""`tallrec-bench sweep` from start to end: check, plan, run the cells elsewhere, collect."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmark.config.reading import parse_yaml
from benchmark.methods.configuration import parse_config
from benchmark.sweep.array import slurm_script
from benchmark.sweep.cell import Order, check_out, overridden
from benchmark.sweep.collector import collect
from benchmark.sweep.driver import Workers, describe, run_cells
from benchmark.sweep.gpus import gpus_asked_for
from benchmark.sweep.graph import Graph, changed, dvc, read_graph
from benchmark.sweep.ready import refuse_leftovers, revision
from benchmark.sweep.spread import spread


@dataclass(frozen=True, slots=True)
class Sweep:
    """What was asked for."""

    workers: Workers
    repository: str | None
    """What workers clone; None: the folder itself."""
    overrides: tuple[str, ...] = ()
    experiment: str | None = None
    """Name of the experiment that overrides make."""


def unfolded(folder: Path, asked: Sweep) -> Graph:
    """The pipeline with the overrides, which may change what it is a matrix of.

    Raises:
        ConfigError: as `read_graph`, `revision` and `overridden`.
        CellError: as `check_out`.
    """
    if not asked.overrides:
        return read_graph(folder)
    with TemporaryDirectory() as place:
        clone = Path(place) / "clone"
        check_out(Order(str(folder.resolve()), revision(folder), "dvc.yaml", asked.overrides), clone)
        return read_graph(clone)


def orders(folder: Path, graph: Graph, asked: Sweep) -> dict[str, Order]:
    """An order for each cell that is not up to date here, by stage; of an experiment, for every cell.

    What is up to date here is pushed, since workers find it in the remote alone, and would make it again.

    Raises:
        ConfigError: as `revision` and `refuse_leftovers`; or DVC cannot push.
    """
    commit = revision(folder)
    stale = set(graph.cells) if asked.overrides else changed(folder, graph)
    address = asked.repository or str(folder.resolve())
    wanted = {stage: Order(address, commit, stage, asked.overrides) for stage in graph.cells if stage in stale}
    if wanted:
        if not asked.overrides:  # an experiment is collected in a folder of its own
            refuse_leftovers(folder, wanted)
        dvc(folder, "push", "--run-cache")
    return wanted


def gpus(folder: Path, stages: Iterable[str], asked: Sweep) -> dict[str, int]:
    """The GPUs that `stages` ask for; none without `--gpus`.

    Raises:
        ConfigError: as `gpus_asked_for` and `parse_config`.
    """
    if not asked.workers.gpus:
        return {}
    path = folder / "params.yaml"
    params = parse_config(parse_yaml(overridden(path, asked.overrides), path), path)
    return gpus_asked_for(params, stages, asked.workers.gpus)


def sweep(folder: Path, graph: Graph, asked: Sweep) -> int:
    """Run what is missing on workers and collect it; 0, or 1 if a cell failed or its result is missing.

    Raises:
        ConfigError: as `orders` and `gpus`.
    """
    wanted = orders(folder, graph, asked)
    _say(f"{len(wanted)} of {len(graph.cells)} cells to run or restore, {len(graph.own_commands)} stages to run here")
    failures: list[str] = []
    if wanted:
        progress = run_cells(graph, wanted, asked.workers, gpus(folder, wanted, asked))
        failures = describe(progress.failed, progress.waiting)
    for line in failures:
        _say(line)
    return max(int(bool(failures)), finish(folder, graph, asked))


def finish(folder: Path, graph: Graph, asked: Sweep) -> int:
    """Collect the results of cells, wherever they ran; 0, or 1 if some are missing or a stage run here failed."""
    found = collect(folder, graph, asked.overrides, asked.experiment)
    for stage in found.missing:
        _say(f"missing: {stage}: the remote has no result of it, and it is not recomputed here; run the sweep again")
    if found.code and not found.missing:
        _say(found.printed)
    if not asked.overrides and (folder / "dvc.lock").exists():
        for stage, paths in spread(folder).items():
            advice = "DVC took the newest; commit dvc.lock, and workers take it too"
            _say(f"made twice, with two results: {stage}: {', '.join(paths)}; {advice}")
    restored = len(set(graph.cells) - graph.with_downstream(found.missing))
    _say(f"collected: {restored} of {len(graph.cells)} cells restored or up to date, run here: {_named(found.run)}")
    return int(found.code != 0)


def print_array(folder: Path, graph: Graph, asked: Sweep) -> str:
    """The script that has SLURM make the cells."""
    wanted = orders(folder, graph, asked)
    return slurm_script(graph, wanted, asked.workers.clones, gpus(folder, wanted, asked))


def _named(stages: Sequence[str]) -> str:
    return ", ".join(stages) or "none"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
