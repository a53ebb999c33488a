"""Short runs of the benchmarks on real rows: what is faster gives the same results. Time and memory are not judged."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.skipif("TALLREC_BENCH_MIRROR" not in os.environ, reason="TALLREC_BENCH_MIRROR is unset")
@pytest.mark.parametrize(
    ("script", "options"),
    [
        ("benchmark_scoring.py", ["--rows", "64"]),
        ("benchmark_tuning.py", ["--updates", "2", "--valid", "64"]),
        ("benchmark_tuning.py", ["--updates", "2", "--valid", "64", "--loss", "all_tokens"]),
    ],
)
def test_results_are_those_of_the_released_procedure(script: str, options: list[str]) -> None:
    command = [sys.executable, "-W", "ignore", str(HERE / script), "--results-only", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
