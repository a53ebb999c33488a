"""A repository with a cheap pipeline, a folder as its DVC remote, and what runs commands in it."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo
from typer.testing import CliRunner

from benchmark.cli import app

ROOT = Path(__file__).parents[2]
PIPELINE = """stages:
  prepare:
    cmd: echo prepared >> {log}; echo 1 > prepared.txt
    deps: [source.txt]
    outs: [prepared.txt]
  cell:
    matrix:
      n: ${{cells}}
    cmd: >-
      echo started ${{item.n}} >> {log}; sleep ${{seconds}}; test ${{item.n}} != ${{failing}} || exit 3;
      mkdir -p cells; echo ${{item.n}} > cells/${{item.n}}.txt
    deps: [prepared.txt]
    params: [seconds, failing]
    outs: ["cells/${{item.n}}.txt"]
  evaluate:
    cmd: mkdir -p results; cat cells/* > results/metrics.csv
    deps: [cells]
    outs:
      - results/metrics.csv:
          cache: false
"""


class Repository:
    """A repository that is swept, and the log of every command of its cells."""

    def __init__(self, folder: Path, n_cells: int, seconds: float, failing: int) -> None:
        self.folder, self.log, self.remote = folder / "repository", folder / "log", folder / "remote"
        self.clones = folder / "clones"
        for one in (self.folder, self.remote):
            one.mkdir()
        numbers = list(range(1, n_cells + 1))
        (self.folder / "dvc.yaml").write_text(PIPELINE.format(log=self.log))
        (self.folder / "params.yaml").write_text(f"cells: {numbers}\nseconds: {seconds}\nfailing: {failing}\n")
        (self.folder / "source.txt").write_text("raw\n")
        (self.folder / ".gitignore").write_text("/cells\n")
        self.run("git", "init", "-q")
        with Repo.init(str(self.folder)) as repo, repo.config.edit() as config:
            config["core"]["remote"] = "shared"
            config["remote"]["shared"] = {"url": str(self.remote)}
        self.commit()

    def commit(self) -> None:
        """Commit everything."""
        self.run("git", "add", "-A")
        self.run("git", "-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false", "commit", "-qm", "x")

    def run(self, *command: str) -> str:
        """Run a command that must end well."""
        done = self.ends(command)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def ends(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run a command, however it ends."""
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False, timeout=600
        )

    def sweep(self, *options: str) -> subprocess.CompletedProcess[str]:
        """`tallrec-bench sweep`."""
        return self.ends(self.command(*options))

    def refused(self) -> str:
        """The error of a sweep that starts nothing, in the process of the test."""
        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.chdir(self.folder)
            monkeypatch.setenv("PATH", self.environment["PATH"])
            done = CliRunner().invoke(app, self.command()[3:])
        assert done.exit_code == 2, done.output
        return done.stderr

    @contextmanager
    def configuring(self, level: str = "repo") -> Iterator[Any]:
        """The configuration of DVC, for changes: of the repository, or `local`."""
        with Repo(str(self.folder)) as repo, repo.config.edit(level) as config:
            yield config

    def command(self, *options: str) -> list[str]:
        """The words of `tallrec-bench sweep`."""
        return [sys.executable, "-m", "benchmark.cli", "sweep", "--clones", str(self.clones), *options]

    def started(self) -> list[int]:
        """Cells whose command was started, in order."""
        lines = self.log.read_text().split("\n") if self.log.exists() else []
        return [int(line.split()[1]) for line in lines if line.startswith("started")]

    @property
    def environment(self) -> Mapping[str, str]:
        """With this repository's commands and packages."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}

    @property
    def metrics(self) -> Path:
        """What the collector makes."""
        return self.folder / "results/metrics.csv"


@pytest.fixture
def new_repository(tmp_path: Path):
    """Makes the repository."""

    def make(n_cells: int = 2, seconds: float = 0, failing: int = 0) -> Repository:
        return Repository(tmp_path, n_cells, seconds, failing)

    return make
