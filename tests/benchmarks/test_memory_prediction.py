"""The planner's memory against that of real tuning, which takes a minute. Run: `pytest -m slow tests/benchmarks`."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_foretold_peak_is_within_ten_percent_of_the_measured_one() -> None:
    command = [sys.executable, "-W", "ignore", Path(__file__).with_name("memory_prediction.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("%") == 3
