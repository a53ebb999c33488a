"""`tallrec-bench repro` with stages that run ahead: the same results and lock, and nothing left where it is killed."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from test_repro import without_records
from toy import CHANGES, dvc, environment, new_repository

from benchmark.artifacts.paths import METRICS_CSV
from benchmark.warm.starting import COLD_VARIABLE, JOBS

pytestmark = pytest.mark.slow
SEVERAL = CHANGES | {"grid.seeds": [0, 1], "grid.recipes": ["tallrec", "rt"], "grid.icl_models": ["base"]}
"""Cells that wait for each other and others that do not."""


def begin(folder: Path, **changes: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "benchmark.cli", "repro"]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=folder, env=environment(folder) | changes, **streams)  # pyright: ignore


def repro(folder: Path, **changes: str) -> str:
    """What it prints."""
    process = begin(folder, **changes)
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 0, said[-3000:]
    return said


@pytest.fixture(scope="module")
def one_by_one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The grid with each stage a process of its own, one after the other."""
    folder = new_repository(tmp_path_factory.mktemp("cold") / "repository", SEVERAL)
    repro(folder, **{COLD_VARIABLE: "1"})
    return folder


def assert_alike(folder: Path, expected: Path) -> None:
    for name in ("dvc.lock", "tallrec/dvc.lock"):
        assert without_records(folder / name) == without_records(expected / name)
    assert (folder / METRICS_CSV).read_bytes() == (expected / METRICS_CSV).read_bytes()


def begun_at(folder: Path, variant: str, seed: int) -> str:
    record = folder / f"runs/tune/tuned/{variant}/movie-movie/k4/seed{seed}.json"
    return json.loads(record.read_text())["started_at"]


def test_results_and_locks_are_those_of_one_stage_after_the_other(one_by_one: Path, tmp_path: Path) -> None:
    folder = new_repository(tmp_path / "repository", SEVERAL)
    said = repro(folder)
    assert_alike(folder, one_by_one)
    # Beside the instruction tuning, which they do not wait for.
    assert begun_at(folder, "rt-movie", 0) < begun_at(folder, "tallrec-movie", 1)
    assert begun_at(one_by_one, "rt-movie", 0) > begun_at(one_by_one, "tallrec-movie", 1)
    assert said.count("tuned rt-movie k4 seed0") == 1
    assert not [*(folder / JOBS).iterdir()]
    assert "Data and pipelines are up to date." in dvc(folder, "repro")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_one_that_is_killed_leaves_no_process_and_goes_on(
    one_by_one: Path, tmp_path: Path, number: signal.Signals
) -> None:
    folder = new_repository(tmp_path / "repository", SEVERAL)
    process = begin(folder)
    while not [*(folder / JOBS).glob("*/*/work*/models")]:
        assert process.poll() is None
        time.sleep(0.02)
    below = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    process.communicate(timeout=60)
    _, alive = psutil.wait_procs(below, timeout=20)
    assert not alive
    repro(folder)
    assert_alike(folder, one_by_one)
    assert not [*(folder / JOBS).iterdir()]
