"""A sweep from start to end, with the workers that it starts itself."""

import os
import re
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.errors import ConfigError
from benchmark.sweep.cell import overridden
from benchmark.sweep.shell import write_shell

New = Callable[..., Any]


@pytest.mark.slow
def test_a_sweep_gives_what_a_serial_run_gives_and_runs_each_cell_once(new_repository: New) -> None:
    repository = new_repository()
    done = repository.sweep()
    assert done.returncode == 0, done.stderr
    assert sorted(repository.started()) == [1, 2]
    assert "collected: 3 of 3 cells restored or up to date, run here: evaluate" in done.stderr
    assert repository.metrics.read_text() == "1\n2\n"
    assert repository.run("dvc", "status") == "Data and pipelines are up to date.\n"

    again = repository.sweep()
    assert again.returncode == 0, again.stderr
    assert "0 of 3 cells to run or restore" in again.stderr
    assert sorted(repository.started()) == [1, 2]


@pytest.mark.slow
def test_a_cell_that_fails_is_named_and_the_rest_finishes(new_repository: New) -> None:
    repository = new_repository(n_cells=3, failing=2)
    done = repository.sweep()
    assert done.returncode == 1
    assert "failed: cell@2: dvc repro ended with" in done.stderr
    assert "missing: cell@2: " in done.stderr
    assert {path.name for path in repository.folder.glob("cells/*")} == {"1.txt", "3.txt"}
    assert not repository.metrics.exists()
    assert repository.started().count(2) == 1


@pytest.mark.slow
def test_what_waits_for_a_failed_cell_is_not_run(new_repository: New) -> None:
    repository = new_repository()
    text = (repository.folder / "dvc.yaml").read_text()
    (repository.folder / "dvc.yaml").write_text(text.replace("echo 1 > prepared.txt", "exit 3"))
    repository.commit()
    done = repository.sweep()
    assert done.returncode == 1
    assert "failed: prepare: dvc repro ended with" in done.stderr
    assert "2 cells wait for them: cell@1, cell@2" in done.stderr, done.stderr
    assert repository.started() == []


@pytest.mark.slow
def test_an_experiment_is_swept_too(new_repository: New) -> None:
    repository = new_repository()
    assert repository.sweep().returncode == 0
    repository.commit()
    done = repository.sweep("-S", "seconds=0.1", "-n", "slower")
    assert done.returncode == 0, done.stderr
    assert sorted(repository.started()) == [1, 1, 2, 2]
    assert "slower" in repository.run("dvc", "exp", "list", "--name-only")
    wrong = repository.sweep("-S", "second=1")
    assert wrong.returncode == 2
    assert "-S second=1: expected a key of params.yaml" in wrong.stderr


def test_the_shell_is_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert write_shell(Path(".git/sweep-shell")) == tmp_path / ".git/sweep-shell"


@pytest.mark.slow
def test_an_experiment_may_have_another_grid(new_repository: New) -> None:
    repository = new_repository()
    done = repository.sweep("-S", "cells=[2,3]", "-n", "other")
    assert done.returncode == 0, done.stderr
    assert sorted(repository.started()) == [2, 3]
    assert "collected: 3 of 3 cells" in done.stderr
    repository.run("dvc", "exp", "apply", "other")
    assert repository.metrics.read_text() == "2\n3\n"
    again = repository.sweep("--collect", "-S", "cells=[2,3]", "-n", "again")
    assert again.returncode == 2
    assert "not committed" in again.stderr


@pytest.mark.slow
def test_what_was_made_here_and_not_pushed_is_not_made_again(new_repository: New) -> None:
    repository = new_repository()
    text = (repository.folder / "dvc.yaml").read_text()
    (repository.folder / "dvc.yaml").write_text(text.replace("echo 1 > prepared", "date +%N > prepared"))
    repository.commit()
    repository.run("dvc", "repro", "prepare")
    done = repository.sweep("--workers", "1")
    assert done.returncode == 0, done.stderr
    assert repository.log.read_text().count("prepared") == 1
    assert repository.run("dvc", "status") == "Data and pipelines are up to date.\n"


@pytest.mark.slow
def test_a_result_that_the_remote_lost_is_named_and_not_recomputed(new_repository: New) -> None:
    repository = new_repository()
    assert repository.sweep("--workers", "1").returncode == 0
    content = repository.folder / "cells/2.txt"
    objects = [path for path in repository.remote.rglob("*") if path.is_file()]
    (lost,) = [path for path in objects if path.read_bytes() == content.read_bytes()]
    lost.unlink()
    for path in (content, *repository.folder.glob(".dvc/cache/files/md5/*/*")):
        path.unlink()
    (repository.folder / "dvc.lock").unlink()
    done = repository.sweep("--collect")
    assert done.returncode == 1
    assert "missing: cell@2: the remote has no result of it" in done.stderr
    assert "missing: cell@1" not in done.stderr
    assert sorted(repository.started()) == [1, 2]
    # It can be made again by the sweep, for that is what one asks it for.
    assert repository.sweep("--clones", str(repository.clones / "new")).returncode == 0
    assert sorted(repository.started()) == [1, 2, 2]


@pytest.mark.slow
def test_a_job_array_of_slurm_is_another_driver(new_repository: New, tmp_path: Path) -> None:
    repository = new_repository()
    script = repository.sweep("--print-array")
    assert script.returncode == 0, script.stderr
    # A stand-in for sbatch: runs every task of the array at once, as SLURM would by the variables that it sets.
    sbatch = tmp_path / "bin/sbatch"
    sbatch.parent.mkdir()
    sbatch.write_text(
        "#!/bin/bash\nset -e\nwhile [ $# -gt 0 ]; do\n"
        "case $1 in --array=*) last=${1##*-};; --wrap) task=$2; shift;; esac; shift\ndone\n"
        'for n in $(seq 0 $last); do SLURM_ARRAY_JOB_ID=7 SLURM_ARRAY_TASK_ID=$n sh -c "$task" >&2; done\necho 7\n'
    )
    sbatch.chmod(sbatch.stat().st_mode | stat.S_IXUSR)
    submit = f"export PATH={sbatch.parent}{os.pathsep}$PATH\n{script.stdout}"
    repository.run("bash", "-c", submit)
    assert sorted(repository.started()) == [1, 2]
    assert repository.sweep("--collect").returncode == 0
    assert repository.metrics.read_text() == "1\n2\n"
    assert sorted(repository.started()) == [1, 2]


def test_a_tree_that_is_not_clean_is_refused(new_repository: New) -> None:
    repository = new_repository()
    (repository.folder / "code.py").write_text("x = 1\n")
    assert repository.refused() == (
        "error: code.py: not committed, and workers run what is committed; commit or remove it first\n"
    )


def test_a_repository_without_a_remote_is_refused(new_repository: New) -> None:
    repository = new_repository()
    with repository.configuring() as config:
        del config["remote"]["shared"], config["core"]["remote"]
    repository.commit()
    assert repository.refused().startswith("error: no default DVC remote for workers to share")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("seconds.x=3", "expected a key of params.yaml, `=`, and its value"),
        ("name.toy=3", "expected a key of params.yaml, `=`, and its value"),  # `in` finds a part of a text too
        ("cells=[16", "not valid YAML: "),
    ],
)
def test_an_override_that_is_none_is_refused(tmp_path: Path, override: str, expected: str) -> None:
    params = tmp_path / "params.yaml"
    params.write_text("cells: [1]\nseconds: 0.1\nname: toy\n")
    with pytest.raises(ConfigError, match=re.escape(f"-S {override}: {expected}")):
        overridden(params, [override])
    assert overridden(params, ["seconds=2"]) == "cells:\n- 1\nseconds: 2\nname: toy\n"


def test_a_folder_without_a_pipeline_is_refused(new_repository: New) -> None:
    repository = new_repository()
    repository.run("git", "rm", "-q", "dvc.yaml")
    assert repository.refused() == "error: dvc.yaml: no such file; run from the repository root\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("nonsense", "missing port number in address 'nonsense'"),
        ("tcp://127.0.0.1:9", "Timed out trying to connect to "),
        ("tls://127.0.0.1:9", "TLS expects a `ssl_context`"),
    ],
)
def test_a_scheduler_that_is_not_there_is_one_line(
    new_repository: New, monkeypatch: pytest.MonkeyPatch, address: str, why: str
) -> None:
    monkeypatch.setenv("DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT", "1s")
    done = new_repository().sweep("--scheduler", address)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f"error: --scheduler {address}: {why}")
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_two_runs_in_one_workspace_fail_which_is_why_each_worker_has_a_clone(new_repository: New) -> None:
    repository = new_repository(seconds=3)
    repository.run("dvc", "repro", "prepare")
    both = [
        subprocess.Popen(
            ["dvc", "repro", f"cell@{number}"],
            cwd=repository.folder,
            env=repository.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number in (1, 2)
    ]
    printed = [process.communicate(timeout=120)[0] for process in both]
    assert sorted(process.returncode == 0 for process in both) == [False, True]
    assert any("busy" in text or "lock" in text.lower() for text in printed)


@pytest.mark.slow
def test_a_cell_with_two_results_is_named(new_repository: New) -> None:
    repository = new_repository()
    text = (repository.folder / "dvc.yaml").read_text()
    (repository.folder / "dvc.yaml").write_text(text.replace("echo ${item.n} > cells", "date +%N > cells"))
    repository.commit()
    assert "made twice" not in repository.sweep().stderr
    repository.run("dvc", "repro", "--force", "--single-item", "cell@2")
    assert (
        "made twice, with two results: cell@2: cells/2.txt; DVC took the newest" in repository.sweep("--collect").stderr
    )
