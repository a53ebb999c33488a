"""The comparison of ratios: what was lost is named, and turns it red."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("ratios.py")
KEPT: dict[str, float] = json.loads(SCRIPT.with_suffix(".json").read_text())


def compare(folder: Path, found: dict[str, float]) -> subprocess.CompletedProcess[str]:
    """The script on benchmarks of which ours takes a second."""
    rows = [
        {"group": group, "param": way, "stats": {"min": seconds}}
        for group, ratio in found.items()
        for way, seconds in (("ours", 1.0), ("plain", ratio))
    ]
    alone = {"group": None, "param": None, "stats": {"min": 5.0}}
    file = folder / "benchmarks.json"
    file.write_text(json.dumps({"benchmarks": [*rows, alone]}))
    return subprocess.run([sys.executable, SCRIPT, file], capture_output=True, text=True, check=False)


def test_the_ratios_in_git_and_somewhat_lower_ones_pass(tmp_path: Path) -> None:
    assert compare(tmp_path, KEPT).returncode == 0
    assert compare(tmp_path, {group: 0.6 * ratio for group, ratio in KEPT.items()}).returncode == 0


@pytest.mark.parametrize("group", KEPT)
def test_a_ratio_that_fell_by_half_is_lost_and_so_is_one_that_is_missing(tmp_path: Path, group: str) -> None:
    fallen = compare(tmp_path, {**KEPT, group: 0.45 * KEPT[group]})
    missing = compare(tmp_path, {name: ratio for name, ratio in KEPT.items() if name != group})
    for done in (fallen, missing):
        assert done.returncode == 1
        (line,) = [line for line in done.stdout.splitlines() if "LOST" in line]
        assert group in line
