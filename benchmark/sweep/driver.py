"""Gives the cells of a pipeline to Dask workers, each after those that it waits for."""

import logging
import os
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.errors import ConfigError
from benchmark.sweep.cell import CellError, Order, Outcome, run_cell
from benchmark.sweep.gpus import visible_gpus
from benchmark.sweep.graph import Graph

if TYPE_CHECKING:
    from distributed import Client

LOOPBACK = "127.0.0.1"
CELL_DURATION = "10m"
"""What a scheduler expects of a cell, so that an idle worker always takes one that waits for another worker."""


@dataclass(frozen=True, slots=True)
class Workers:
    """Where cells run."""

    scheduler: str | None
    """Address of a running scheduler; None: workers of this machine, gone at the end."""
    n_local: int
    """Workers of this machine; each runs one cell at a time."""
    clones: Path
    """Folder of their clones, one a worker; on every machine the same path."""
    gpus: int = 0
    """GPUs of each worker; a cell that asks for some goes where they are free. 0: no cell asks."""


@dataclass
class Progress:
    """How far a sweep is."""

    n_cells: int
    start: float = field(default_factory=time.monotonic)
    done: list[Outcome] = field(default_factory=list[Outcome])
    failed: dict[str, str] = field(default_factory=dict[str, str])
    """Stage -> its one line."""
    waiting: list[str] = field(default_factory=list[str])
    """Stages that were not run, because one that they wait for failed."""

    def line(self, n_busy: int) -> str:
        """Done, running, failed, left, and the time left at this pace; `n_busy` workers have cells."""
        n_ended = len(self.done) + len(self.failed) + len(self.waiting)
        n_left = self.n_cells - n_ended
        n_running = min(n_busy, n_left)
        seconds = (time.monotonic() - self.start) / max(n_ended, 1) * n_left
        return (
            f"{len(self.done)} done, {n_running} running, {len(self.failed)} failed, {n_left - n_running} left, "
            f"{seconds:.0f} s left"
        )


def on_worker(order: Order, clones: str, *upstream: Outcome) -> Outcome:
    """`run_cell` in the clone of this worker; `upstream` makes Dask wait for them."""
    from distributed import get_worker

    del upstream
    name = str(get_worker().name)
    place = "".join(letter if letter.isalnum() else "-" for letter in name)
    return run_cell(order, Path(clones) / place)


def run_cells(graph: Graph, orders: Mapping[str, Order], workers: Workers, gpus: Mapping[str, int]) -> Progress:
    """Run every cell of `orders`; one that fails stops those that wait for it and no other.

    A worker that is lost is replaced, and its cell given to another one. The key of a task names stage, revision and
    overrides, so that a scheduler never runs one cell twice at a time.

    Args:
        graph: the pipeline.
        orders: by stage; stages of the graph without an order are up to date.
        workers: where to run.
        gpus: slots that a stage asks for, by stage.
    """
    from distributed import as_completed

    progress = Progress(len(orders))
    with _client(workers) as connected:
        client: Any = connected  # of dask only a part is typed
        futures: dict[str, Any] = {}
        for stage in graph.cells:
            if stage in orders:
                waits_for = [futures[one] for one in graph.upstream[stage] if one in futures]
                futures[stage] = client.submit(
                    on_worker,
                    orders[stage],
                    str(workers.clones),
                    *waits_for,
                    key=_key(orders[stage]),
                    pure=False,
                    resources={"GPU": gpus[stage]} if stage in gpus else None,
                )
        stages = {future.key: stage for stage, future in futures.items()}
        ended: Any = as_completed(list(futures.values()))
        for future in ended:
            stage = stages[future.key]
            if future.status == "finished":
                outcome: Outcome = future.result()
                progress.done.append(outcome)
                what = f"ran in {outcome.seconds:.0f} s" if outcome.was_run else "was in the run-cache"
                if outcome.others_run:
                    what += f", and made what the remote did not have: {', '.join(outcome.others_run)}"
            else:
                what = _why(stage, future.exception(), progress)
            n_busy = sum(bool(tasks) for tasks in client.processing().values())
            print(f"{stage}: {what} ({progress.line(n_busy)})", file=sys.stderr, flush=True)
    return progress


def _why(stage: str, error: BaseException | None, progress: Progress) -> str:
    """Notes a cell that did not end well: it failed itself, or one that it waits for did."""
    if isinstance(error, CellError) and not str(error).startswith(f"{stage}: "):
        progress.waiting.append(stage)
        return "not run, since one that it waits for failed"
    progress.failed[stage] = str(error)
    return f"failed: {str(error).removeprefix(f'{stage}: ')}"


def _key(order: Order) -> str:
    overrides = sha256("\n".join(order.overrides).encode()).hexdigest()[:8]
    return f"{order.stage}-{order.revision}-{overrides}"


@contextmanager
def _client(workers: Workers) -> "Generator[Client]":
    """A client of the given scheduler, or of one with workers of its own that listens on loopback alone."""
    try:
        import dask.config
        from distributed import Client, Nanny, Scheduler, SpecCluster
    except ImportError:
        raise ConfigError("dask is not installed: pip install 'tallrec-bench[cluster]'") from None
    if workers.scheduler:
        try:
            connected = Client(workers.scheduler)
        except (OSError, ValueError, TypeError) as error:  # not reached, no address, an address of TLS without TLS
            raise ConfigError(f"--scheduler {workers.scheduler}: {error}") from None
        with connected as client:
            yield client
        return
    listens: dict[str, Any] = {"host": LOOPBACK, "dashboard_address": f"{LOOPBACK}:0"}
    # Nannies replace a worker that dies; worker processes have one thread, so that each has one cell and one clone.
    # Dask would take cells for tasks of half a second, which it keeps on the worker that has their input.
    dask.config.set({"distributed.scheduler.unknown-task-duration": CELL_DURATION})
    local = {
        number: {
            "cls": Nanny,
            "options": {
                **listens,
                "nthreads": 1,
                "resources": {"GPU": workers.gpus} if workers.gpus else None,
                "env": {**os.environ, **visible_gpus(number, workers.gpus)},
                "local_directory": str(workers.clones / "dask"),
                "memory_limit": 0,
                "silence_logs": logging.CRITICAL,
            },
        }
        for number in range(workers.n_local)
    }
    scheduler = {"cls": Scheduler, "options": {**listens, "port": 0}}
    silence: Any = logging.CRITICAL  # a level, whatever the signature says
    cluster: Any = SpecCluster(scheduler=scheduler, workers=local, silence_logs=silence)
    with cluster, Client(cluster) as client:
        yield client


def describe(failed: Mapping[str, str], waiting: Sequence[str]) -> list[str]:
    """A line for each cell that failed, and one that counts those that were not run for it."""
    lines = [f"failed: {stage}: {text.removeprefix(f'{stage}: ')}" for stage, text in failed.items()]
    return [*lines, f"{len(waiting)} cells wait for them: {', '.join(sorted(waiting))}"] if waiting else lines
