"""A repository that faults are tried on, what an undisturbed run leaves in it, and counts of what became of them."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import toy

STAGES = (
    *("raw@movie", "prepare@movie", "draw", "encode@movie", "controls@movie", "baselines@gru4rec-movie"),
    *("tallrec/dvc.yaml:base", "tallrec/dvc.yaml:instruct", "tallrec/dvc.yaml:tune@tallrec-movie-4-0"),
    *("score@tallrec-movie", "probe@tallrec-movie", "icl@base-released"),
    *("others@loopback-released", "efficiency@configuration0", "evaluate", "report"),
)
OUTPUTS = ("data", "models", "predictions", "runs", "results")
NEVER_THE_SAME = ("runs/", "results/cost.", "results/report.", "results/tables/cost")
"""Outputs with times, memory and dates in them; every other one is compared byte by byte."""
MEASURED = "results/tables/efficiency"
"""The table of memory and speed, which is compared without its decimals: a peak of 0.535 GiB is 0.53 or 0.54."""
TRIED: dict[tuple[str, str], Counter[str]] = {}
"""(fault, stage) -> what became of it."""


def count(fault: str, stage: str, outcome: str = "identical") -> None:
    """Count one fault at a stage."""
    TRIED.setdefault((fault, stage.split("@", maxsplit=1)[0]), Counter())[outcome] += 1


@dataclass
class Stage:
    """One stage of the toy grid."""

    name: str
    command: str
    outputs: list[Path]
    seconds: float = 0.0
    """What it takes if it is left alone."""


@dataclass
class Repository:
    """A repository with its own cache of DVC."""

    folder: Path
    shell: Path
    """By which DVC runs commands."""
    site: Path
    kept: Path
    """For what lies outside of the repository: logs, and the answers of the server."""
    name: str = "dvc"
    """Of its log."""
    stages: dict[str, Stage] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    """SHA-256 of every output of the undisturbed run that is the same each time, by path."""

    @property
    def environment(self) -> dict[str, str]:
        chosen = {"SHELL": str(self.shell), "DVC_SITE_CACHE_DIR": str(self.site), "XDG_CACHE_HOME": str(self.kept)}
        chosen |= {"NO_PROXY": "127.0.0.1", "TALLREC_BENCH_MIRROR": "", "COLUMNS": "200"}
        chosen |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        environment = toy.environment(self.folder)
        del environment["PYTHONPATH"]  # in a copy it would be another one, and nothing be forked
        return environment | chosen

    @property
    def log(self) -> Path:
        """Where commands print to."""
        return self.kept / f"{self.name}-{self.folder.parent.name}.log"

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """Start `dvc`, as the leader of a group that its commands are in."""
        with self.log.open("wb") as stream:
            return subprocess.Popen(
                [sys.executable, "-m", "dvc", *arguments],
                cwd=self.folder,
                env=self.environment,
                stdout=stream,
                stderr=subprocess.STDOUT,
                process_group=0,
            )

    def dvc(self, *arguments: str) -> tuple[int, str]:
        """Exit code and output of `dvc`."""
        code = self.start(*arguments).wait()
        return code, self.log.read_text()

    def run(
        self, stage: Stage, kill_after: float | None = None, environment: Mapping[str, str] | None = None
    ) -> tuple[int, str]:
        """Run a stage without DVC, and kill it with its children after `kill_after` seconds; exit code and output."""
        with self.log.open("wb") as stream:
            process = subprocess.Popen(
                [self.shell, "-c", stage.command],
                **{"cwd": self.folder, "env": self.environment | (environment or {})},
                **{"stdout": stream, "stderr": subprocess.STDOUT, "process_group": 0},
            )
        if kill_after is not None:
            time.sleep(kill_after)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
        with contextlib.suppress(ProcessLookupError):
            while True:  # a fork closes its files before it is gone
                os.killpg(process.pid, 0)
                time.sleep(0.001)
        return code, self.log.read_text()

    def outcome(self) -> dict[str, str]:
        """SHA-256 of the outputs that are there and the same each time; nothing hidden may lie among them."""
        found = {}
        for path in self.files():
            name = str(path.relative_to(self.folder))
            assert not any(part.startswith(".") and part != ".gitignore" for part in Path(name).parts), name
            if not name.startswith(NEVER_THE_SAME):
                found[name] = self.digest(path)
        return found

    def digest(self, path: Path) -> str:
        """SHA-256 of what is the same each time."""
        if not str(path.relative_to(self.folder)).startswith(MEASURED):
            return digest(path)
        return hashlib.sha256(re.sub(rb"\d+\.\d+", b"measured", path.read_bytes())).hexdigest()

    def files(self) -> list[Path]:
        """Every file below the folders of outputs."""
        folders = (self.folder / name for name in OUTPUTS)
        return sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())

    def check_nothing_half(self) -> None:
        """Each file that is there under its own name is whole."""
        for path in self.files():
            name = str(path.relative_to(self.folder))
            if any(part.startswith(".") for part in Path(name).parts):
                continue
            if name.startswith(NEVER_THE_SAME):
                assert path.suffix != ".json" or json.loads(path.read_text()), name
                assert path.stat().st_size, name
            else:
                assert self.digest(path) == self.outputs[name], name

    def check_identical(self) -> None:
        """The outputs are those of the undisturbed run."""
        found = self.outcome()
        assert found == self.outputs, {
            name for name in {*found, *self.outputs} if found.get(name) != self.outputs.get(name)
        }

    def check_finished(self) -> None:
        """The outputs are those of the undisturbed run, and DVC has nothing left to do."""
        self.check_identical()
        code, said = self.dvc("status")
        assert (code, said.splitlines()[-1]) == (0, "Data and pipelines are up to date."), said

    def remove_outputs(self, stage: Stage) -> None:
        """What DVC does before it runs a stage."""
        for path in (self.folder / output for output in stage.outputs):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def copy(self, folder: Path) -> "Repository":
        """The same repository in `folder`, with all outputs and the cache."""
        shutil.copytree(self.folder, folder / "repository", symlinks=True)
        return replace(self, folder=folder / "repository", site=folder / "site")

    def clone(self, folder: Path) -> "Repository":
        """The same repository in `folder`, with nothing run."""
        folder.mkdir(exist_ok=True)
        toy.run(folder, "git", "clone", "-q", str(self.folder), "repository")
        return replace(self, folder=folder / "repository", site=folder / "site")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
