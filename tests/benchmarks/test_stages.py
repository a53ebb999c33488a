"""A toy grid through the whole pipeline: stages as forks, some ahead, beside a process each, one after the other."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from toy import CHANGES, environment, new_repository

from benchmark.artifacts.paths import METRICS_CSV
from benchmark.warm.starting import COLD_VARIABLE

GRID = CHANGES | {"grid.seeds": [0, 1, 2], "grid.recipes": ["tallrec", "rt"], "grid.icl_models": ["base"]}
WAYS: dict[str, dict[str, str]] = {"ours": {}, "plain": {COLD_VARIABLE: "1"}}


@pytest.fixture(scope="module")
def found() -> dict[str, bytes]:
    """The metrics of each way that was run."""
    return {}


@pytest.mark.slow
@pytest.mark.benchmark(group="a toy grid of 30 stages", timer=time.perf_counter)
@pytest.mark.parametrize("way", WAYS)
def test_both_ways_give_the_same_metrics(
    benchmark: BenchmarkFixture, way: str, found: dict[str, bytes], tmp_path: Path
) -> None:
    folder = new_repository(tmp_path / "repository", GRID)

    def repro() -> None:
        command = [sys.executable, "-m", "benchmark.cli", "repro"]
        subprocess.run(command, cwd=folder, env=environment(folder) | WAYS[way], check=True, capture_output=True)

    benchmark.pedantic(repro, rounds=1)
    found[way] = (folder / METRICS_CSV).read_bytes()
    assert len({*found.values()}) == 1
