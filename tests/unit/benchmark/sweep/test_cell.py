"""Why a stage of a sweep has failed, in one line."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.sweep import cell
from benchmark.sweep.cell import CellError, Order

CHECKED_OUT = "Running stage 'tune@a':\n"
DVC = "ERROR: failed to reproduce 'tune@a': failed to run: python, exited with 1\n"


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("warning: x\nerror: rows.parquet: not there\n" + DVC, "error: rows.parquet: not there"),
        ("Traceback\nKeyError: 'a'\n\nTraceback\nmod.OddError: the reason\n" + DVC, "mod.OddError: the reason"),
        ("Fatal Python error: Aborted\n\n  File x\n" + DVC, "Fatal Python error: Aborted"),
        (DVC, DVC.strip()),
        ("ERROR: failed to pull\n", "ERROR: failed to pull"),
        ("two\nlines\n", "lines"),
    ],
)
def test_the_cause_is_what_the_stage_said(
    said: str, cause: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = subprocess.CompletedProcess([sys.executable], 1, CHECKED_OUT, said)
    monkeypatch.setattr(cell, "check_out", lambda *_: None)
    monkeypatch.setattr(cell, "guarded_dvc", lambda *_: done)
    (tmp_path / "clone" / ".git").mkdir(parents=True)
    (tmp_path / "clone.lock").touch()
    with pytest.raises(CellError) as caught:
        cell.run_cell(Order("somewhere", "0" * 40, "tune@a"), tmp_path / "clone")
    assert f"ended with 1: {cause}; all of it in" in str(caught.value)
