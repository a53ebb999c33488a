"""Restores every result of a sweep from the remote, runs what only it can run, and alone writes dvc.lock."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.sweep.cell import RAN
from benchmark.sweep.graph import Graph
from benchmark.sweep.shell import ALLOWED, guarded, write_shell


@dataclass(frozen=True, slots=True)
class Collected:
    """What the collector found."""

    missing: tuple[str, ...]
    """Cells without a result in the remote; they were not run, nor was anything that reads them."""
    run: tuple[str, ...]
    """Stages that it ran itself."""
    code: int
    """Exit code of DVC."""
    printed: str


def collect(folder: Path, graph: Graph, overrides: Sequence[str] = (), name: str | None = None) -> Collected:
    """Bring the workspace to the results of the sweep; with overrides, make an experiment of them instead.

    A cell whose result is not in the remote is refused, never recomputed.
    """
    environment = {
        **os.environ,
        "SHELL": str(write_shell(folder / ".git" / "sweep-shell")),
        ALLOWED: json.dumps(list(graph.own_commands.values())),
    }
    command = ["dvc", "repro", "--pull", "--keep-going"]
    if overrides:
        settings = [word for override in overrides for word in ("-S", override)]
        command = ["dvc", "exp", "run", "--temp", "--pull", "--keep-going", *(["-n", name] if name else []), *settings]
    done = guarded(command, folder, environment)
    tried = RAN.findall(done.stdout)
    missing = tuple(stage for stage in tried if stage not in graph.own_commands)
    return Collected(
        missing, tuple(stage for stage in tried if stage not in missing), done.returncode, done.stdout + done.stderr
    )
