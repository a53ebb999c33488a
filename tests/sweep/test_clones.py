"""The clones that cells run in: whose they are, and what lies in them."""

import fcntl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.sweep.cell import CellError, Order, check_out, run_cell

New = Callable[..., Any]


def order(repository: Any, stage: str = "prepare") -> Order:
    return Order(str(repository.folder), repository.run("git", "rev-parse", "HEAD").strip(), stage)


def test_a_clone_serves_one_sweep_at_a_time(new_repository: New, tmp_path: Path) -> None:
    repository = new_repository()
    (tmp_path / "clone.lock").touch()
    with (tmp_path / "clone.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(CellError, match=r"^prepare: another sweep works in .*; give this one another --clones$"):
            run_cell(order(repository), tmp_path / "clone")
    assert not (tmp_path / "clone").exists()


def test_a_folder_that_no_sweep_made_is_left_alone(new_repository: New, tmp_path: Path) -> None:
    repository = new_repository()
    (tmp_path / "0").mkdir()
    (tmp_path / "0/thesis.txt").touch()
    with pytest.raises(CellError, match=r"^prepare: .*/0 is no clone that a sweep made"):
        run_cell(order(repository), tmp_path / "0")
    assert (tmp_path / "0/thesis.txt").exists()


def lock_index(clone: Path) -> None:
    (clone / ".git/index.lock").touch()


def lock_head(clone: Path) -> None:
    (clone / ".git/HEAD.lock").touch()


def lose_origin(clone: Path) -> None:
    subprocess.run(["git", "remote", "remove", "origin"], cwd=clone, check=True)


def break_off(clone: Path) -> None:
    (clone / ".git/HEAD").unlink()


@pytest.mark.parametrize("damage", [lock_index, lock_head, lose_origin, break_off])
def test_what_a_killed_git_left_in_a_clone_stops_no_cell(new_repository: New, damage: Callable[[Path], None]) -> None:
    repository = new_repository()
    clone = repository.folder / "scratch/clone"  # where git takes the repository around it for that of a broken clone
    clone.parent.mkdir()
    repository.run("git", "remote", "add", "origin", ".")
    (repository.folder / ".git/info/exclude").write_text("/scratch/\n")
    check_out(order(repository), clone)
    (clone / ".git/mark").touch()
    (repository.folder / "another.txt").touch()
    repository.commit()
    (repository.folder / "source.txt").write_text("changed\n")
    damage(clone)
    check_out(order(repository), clone)
    assert (clone / "source.txt").read_text() == "raw\n"
    assert (repository.folder / "source.txt").read_text() == "changed\n"
    assert (clone / ".git/mark").exists() == (damage is lock_index), "only a clone that cannot be used is made anew"


def test_a_clone_stays_where_no_other_can_be_made(new_repository: New, tmp_path: Path) -> None:
    repository = new_repository()
    check_out(order(repository), tmp_path / "clone")
    gone = Order(str(tmp_path / "nowhere"), "0" * 40, "prepare")
    with pytest.raises(CellError, match=r"^prepare: git clone ended with 128: "):
        check_out(gone, tmp_path / "clone")
    assert (tmp_path / "clone/source.txt").exists()


@pytest.mark.slow
def test_what_a_cell_made_beside_its_own_stage_is_not_made_again(new_repository: New, tmp_path: Path) -> None:
    repository = new_repository()
    assert run_cell(order(repository, "cell@2"), tmp_path / "0").others_run == ("prepare",)
    assert run_cell(order(repository, "cell@1"), tmp_path / "1").others_run == ()


MERGE = """  merge:
    cmd: cat cells/* > merged.txt
    deps: [cells]
    params: [cells]
    outs: [merged.txt]
"""


@pytest.mark.slow
def test_leftovers_of_a_former_grid_do_not_count(new_repository: New) -> None:
    repository = new_repository(n_cells=3)
    with (repository.folder / "dvc.yaml").open("a") as file:
        file.write(MERGE)
    repository.commit()
    assert repository.sweep("--workers", "1").returncode == 0
    params = repository.folder / "params.yaml"
    params.write_text(params.read_text().replace("[1, 2, 3]", "[1, 2]"))
    repository.commit()
    refused = repository.sweep("--workers", "1")
    assert refused.returncode == 2
    expected = "error: cells/3.txt: no stage makes it, cells read the folder, and workers lack it; remove it first\n"
    assert refused.stderr == expected
    (repository.folder / "cells/3.txt").unlink()
    done = repository.sweep("--workers", "1")
    assert done.returncode == 0, done.stderr
    assert (repository.folder / "merged.txt").read_text() == "1\n2\n"
