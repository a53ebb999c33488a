"""The real `dvc repro` on a copy of the repository: a toy grid through every stage, and nothing left to do after it.

Its commands are forked from a process with torch imported, as those of `make smoke` are.
"""

import csv
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from toy import CHANGES, commit, dvc, environment, new_repository, run

from benchmark.artifacts.paths import METRICS_CSV
from benchmark.methods.configuration import load_config
from benchmark.methods.grid import cells
from benchmark.warm.starting import WarmStages


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A repository of its own with the toy grid, after `dvc repro`."""
    top = tmp_path_factory.mktemp("toy")
    folder = new_repository(top / "repository", CHANGES)
    with WarmStages(folder, environment(folder)) as warm, pytest.MonkeyPatch.context() as monkeypatch:
        warm.start()
        assert warm.wait()
        monkeypatch.setenv("SHELL", warm.environment["SHELL"])
        dvc(folder, "repro")
        yield folder


@pytest.mark.slow
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
def test_stages_that_start_by_themselves_give_the_same_bytes(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cold = new_repository(tmp_path / "repository", CHANGES)
    monkeypatch.setenv("SHELL", "/bin/sh")
    dvc(cold, "repro")
    for name in ("dvc.lock", "tallrec/dvc.lock"):  # commands, parameters and digests of all that is read or written
        assert without_records(cold / name) == without_records(toy / name)
    assert (cold / METRICS_CSV).read_bytes() == (toy / METRICS_CSV).read_bytes()


@pytest.mark.slow
def test_a_sweep_in_clones_gives_the_same_metrics(toy: Path, tmp_path: Path) -> None:
    swept = tmp_path / "repository"
    run(tmp_path, "git", "clone", "-q", str(toy), str(swept))
    (tmp_path / "remote").mkdir()
    dvc(swept, "remote", "add", "-q", "-d", "shared", str(tmp_path / "remote"))
    commit(swept, "A remote", "-A")
    run(swept, sys.executable, "-m", "benchmark.cli", "sweep", "--clones", str(tmp_path / "clones"))
    assert (swept / METRICS_CSV).read_bytes() == (toy / METRICS_CSV).read_bytes()
    assert "Data and pipelines are up to date." in dvc(swept, "status")


@pytest.mark.slow
def test_a_changed_value_is_compared_as_docs_running_says(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"^```\n(.*?)^```", (toy / "docs/running.md").read_text(), re.DOTALL | re.MULTILINE)
    (block,) = [block for block in blocks if "dvc exp run" in block]
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "t")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "t@t")
    said = {line.split(" #")[0].strip(): run(toy, "sh", "-c", line) for line in block.splitlines()}
    (ran,) = [lines for command, lines in said.items() if command.startswith("dvc exp run")]
    (changed,) = re.findall(r"-n (\S+) -S (\S+)=(\S+)$", next(one for one in said if one.startswith("dvc exp run")))
    name, key, value = changed
    running = [line.split("'")[1] for line in ran.splitlines() if line.startswith("Running stage")]
    assert running == ["baselines@gru4rec-movie", "evaluate", "report"]

    (table,) = [lines for command, lines in said.items() if command.startswith("dvc exp show")]
    assert all(word in table for word in (f"[{name}]", "movie.gru4rec.k4.auc", key))
    assert max(map(len, table.splitlines())) <= 160
    methods = {
        line.split()[0] for line in said[f"tallrec-bench compare HEAD {name} --html scratch/compared.html"].splitlines()
    }
    assert methods & {"gru4rec", "tallrec-movie", "liked_share"} == {"gru4rec"}
    differences = json.loads(dvc(toy, "metrics", "diff", "HEAD", name, "--json"))["results/metrics.json"]
    assert {key.split(".")[1] for key in differences} == {"gru4rec"}
    assert json.loads(dvc(toy, "params", "diff", "HEAD", name, "--json"))["params.yaml"][key]["new"] == int(value)

    assert (toy / "scratch/compared/index.html").exists()
    chart = json.loads(dvc(toy, "plots", "diff", "HEAD", name, "--targets", "results/plots", "--show-vega"))
    assert chart["facet"]["field"] == "method"  # the template of .dvc/plots
    assert {(point["rev"], point["method"]) for point in chart["data"]["values"]} == {
        (rev, method) for rev in ("HEAD", name) for method in ("gru4rec", "tallrec-movie")
    }


def without_records(lock: Path) -> dict[str, Any]:
    """What a lock file says, but for the digests of what is never the same twice."""
    stages = YAML(typ="safe").load(lock)["stages"]
    for stage in stages.values():
        for entry in (*stage.get("deps", ()), *stage.get("outs", ())):
            if entry["path"].startswith(("runs", "results/cost", "results/report", "results/tables")):
                entry.clear()
    return stages
