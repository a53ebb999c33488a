"""The real `dvc repro` on a copy of the repository: a toy grid through every stage, and nothing left to do after it.

Its commands are forked from a process with torch imported; `make smoke` starts each as a process of its own.
"""

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from toy import CHANGES, commit, dvc, environment, new_repository, run
from warm_shell import warm_shell

from benchmark.artifacts.paths import METRICS_CSV
from benchmark.methods.configuration import load_config
from benchmark.methods.grid import cells
from benchmark.statistics.metrics import METRICS


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A repository of its own with the toy grid, after `dvc repro`."""
    top = tmp_path_factory.mktemp("toy")
    folder = new_repository(top / "repository", CHANGES)
    with warm_shell(top, folder, environment(folder)) as shell, pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("SHELL", str(shell))
        dvc(folder, "repro")
        yield folder


def test_a_toy_grid_runs_once_and_only_once(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(toy)
    rows = list(csv.DictReader(METRICS_CSV.open()))
    expected = list(cells(load_config(), {"movie": 80}))
    # random, liked_share, item_mean on a draw and on all rows, GRU4Rec, the tuned model: each on both test sets
    assert len(rows) == len(expected) == 12
    assert {row["test_domain"] for row in rows} == {"movie", "movie-extended"}
    assert {row["status"] for row in rows} == {"ok"}
    assert all(0 <= float(row["auc"]) <= 1 for row in rows)
    assert "<html" in Path("results/report.html").read_text()

    again = dvc(toy, "repro")
    assert "Running stage" not in again
    assert "Data and pipelines are up to date." in again


@pytest.mark.slow
def test_a_changed_value_is_compared_as_the_readme_says(toy: Path) -> None:
    commit(toy, "Results", "dvc.lock", "tallrec/dvc.lock", "results")
    lines = dvc(toy, "exp", "run", "-n", "changed", "-S", "tune.learning_rate=0.02").splitlines()
    ran = {line.split("'")[1].split("@")[0] for line in lines if line.startswith("Running stage")}
    assert ran == {"tune", "score", "probe", "evaluate", "report"}  # and nothing before tuning

    table = dvc(toy, "exp", "show", "--only-changed", "--drop", "cost.*|models.*|predictions|results.*|runs", "--csv")
    shown = list(csv.DictReader(table.splitlines()))
    named = {line["Experiment"] or line["rev"]: line for line in shown}
    assert named["changed"]["tune.learning_rate"] == "0.02"
    metrics = [f"{test_set}.tallrec-movie.k4.{name}" for test_set in ("movie", "movie-extended") for name in METRICS]
    assert list(shown[0]) == ["Experiment", "rev", "typ", "Created", *metrics, "tune.learning_rate"]

    changed = json.loads(dvc(toy, "metrics", "diff", "HEAD", "changed", "--json"))
    assert changed["results/metrics.json"].keys() == set(metrics)  # no baseline and no control
    assert "cost.tallrec-movie.tuning_seconds" in changed["results/cost.json"]
    parameters = json.loads(dvc(toy, "params", "diff", "HEAD", "changed", "--json"))
    assert parameters == {"params.yaml": {"tune.learning_rate": {"old": 0.003, "new": 0.02, "diff": 0.017}}}
    dvc(toy, "plots", "diff", "HEAD", "changed", "-o", "scratch/compared")
    assert "changed" in (toy / "scratch/compared/index.html").read_text()


@pytest.mark.slow
def test_a_sweep_in_clones_gives_the_same_metrics(toy: Path, tmp_path: Path) -> None:
    swept = tmp_path / "repository"
    run(tmp_path, "git", "clone", "-q", str(toy), str(swept))
    for name in ("dvc.lock", "tallrec/dvc.lock", "results"):  # of the serial run, where a test has committed them
        run(swept, "git", "rm", "-rq", "--ignore-unmatch", name)
    (tmp_path / "remote").mkdir()
    dvc(swept, "remote", "add", "-q", "-d", "shared", str(tmp_path / "remote"))
    commit(swept, "A remote", "-A")
    run(swept, sys.executable, "-m", "benchmark.cli", "sweep", "--clones", str(tmp_path / "clones"))
    assert (swept / METRICS_CSV).read_bytes() == (toy / METRICS_CSV).read_bytes()
    assert "Data and pipelines are up to date." in dvc(swept, "status")
