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


def test_what_points_git_to_another_repository_changes_nothing_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*arguments: str) -> str:
        asked = ["git", "-C", str(own), "-c", "user.name=Toy", "-c", "user.email=toy@example.org", *arguments]
        return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()

    own = tmp_path / "own"
    own.mkdir()
    git("init")
    (own / "dvc.yaml").write_text("stages: {}\n")
    git("add", ".")
    git("commit", "-m", "Start")
    branch, commit = git("symbolic-ref", "HEAD"), git("rev-parse", "HEAD")
    (own / "draft.txt").touch()
    monkeypatch.setenv("GIT_DIR", str(own / ".git"))  # as git sets it for hooks and for rebase --exec
    monkeypatch.setenv("GIT_WORK_TREE", str(own))
    cell.check_out(Order(str(own), commit, "dvc.yaml"), tmp_path / "clone")
    monkeypatch.delenv("GIT_DIR")
    monkeypatch.delenv("GIT_WORK_TREE")
    assert (tmp_path / "clone/dvc.yaml").exists()
    assert (own / "draft.txt").exists()
    assert git("symbolic-ref", "HEAD") == branch
