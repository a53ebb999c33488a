"""The real `dvc repro` on a copy of the repository: a toy grid through every stage, and nothing left to do after it."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from benchmark.config import load_config
from benchmark.files import METRICS_CSV
from benchmark.grid import cells

ROOT = Path(__file__).parents[2]
CHANGES: dict[str, Any] = {
    "domains.movie.n_samples": 100,
    "world.populations.ml-100k": {"n_users": 20, "ratings_per_user": [16, 20]},
    "world.n_items": 40,
    "world.n_other_items": 10,
    "world.reviews_per_item": 1,
    "world.instructions": 20,
    "grid.domains": ["movie"],
    "grid.n_shots": [4],
    "grid.seeds": [0],
    "grid.controls": ["random", "liked_share", "item_mean"],
    "grid.recipes": ["tallrec"],
    "grid.train_domains": ["movie"],
    "grid.icl_models": [],  # a minute is enough; tests/unit/benchmark/test_stages_of_llm.py runs that stage
    "grid.prompts": ["released"],
    "baselines.heads": ["per_item"],
    "baselines.training.n_updates": 5,
    "base.vocabulary_size": 500,
    "base.hidden_size": 32,
    "base.intermediate_size": 32,
    "base.n_layers": 1,
    "base.n_updates": 5,
    "instruct.n_updates": 5,
    "tune.n_updates": 5,
    "tune.eval_every": 5,
    "tune.warmup_updates": 0,
    "tune.max_valid_samples": 10,
    "probe.variants": ["tallrec-movie"],
    "probe.inputs": ["title_removed"],
    "efficiency.configurations": [],  # each is a process of its own, with tests of its own
    "evaluate.n_bootstrap": 20,
}


def set_key(content: Any, key: str, value: Any) -> None:
    """Set a dotted key that is there."""
    *parents, last = key.split(".")
    for parent in parents:
        content = content[parent]
    assert last in content, key
    content[last] = value


def set_params(path: Path) -> None:
    yaml = YAML()
    content = yaml.load(path.read_text())
    for key, value in CHANGES.items():
        set_key(content, key, value)
    with path.open("w") as stream:
        yaml.dump(content, stream)


def run(folder: Path, *command: str) -> str:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environment |= {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(folder), "DVC_NO_ANALYTICS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def commit(folder: Path, message: str, *paths: str) -> None:
    run(folder, "git", "add", *paths)
    run(
        folder,
        *("git", "-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false", "commit", "-qm", message),
    )


def dvc(folder: Path, *arguments: str) -> str:
    return run(folder, sys.executable, "-m", "dvc", *arguments)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of its own with the toy grid, after `dvc repro`."""
    folder = tmp_path_factory.mktemp("toy") / "repository"
    listed = run(ROOT, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, listed.split("\0")):
        source = ROOT / name
        # Results of an earlier run are not part of what is tried.
        if source.is_file() and not name.startswith(("results/", "dvc.lock")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, folder / name)
    set_params(folder / "params.yaml")
    run(folder, "git", "init", "-q")
    commit(folder, "toy", "-A")
    dvc(folder, "repro")
    return folder


def test_a_toy_grid_runs_once_and_only_once(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(toy)
    rows = list(csv.DictReader(METRICS_CSV.open()))
    expected = list(cells(load_config(), {"movie": 80}))
    # random, liked_share, item_mean on a draw and on all rows, GRU4Rec, the tuned model
    assert len(rows) == len(expected) == 6
    assert {row["status"] for row in rows} == {"ok"}
    assert all(0 <= float(row["auc"]) <= 1 for row in rows)
    assert "<html" in Path("results/report.html").read_text()

    again = dvc(toy, "repro")
    assert "Running stage" not in again
    assert "Data and pipelines are up to date." in again


def test_a_changed_value_is_compared_as_the_readme_says(toy: Path) -> None:
    commit(toy, "Results", "dvc.lock", "results")
    lines = dvc(toy, "exp", "run", "-n", "changed", "-S", "tune.learning_rate=0.02").splitlines()
    ran = {line.split("'")[1].split("@")[0] for line in lines if line.startswith("Running stage")}
    assert ran == {"tune", "score", "probe", "evaluate", "efficiency", "report"}  # and nothing before tuning

    table = dvc(toy, "exp", "show", "--only-changed", "--drop", "cost.*|models.*|predictions|results.*|runs", "--csv")
    shown = list(csv.DictReader(table.splitlines()))
    named = {line["Experiment"] or line["rev"]: line for line in shown}
    assert named["changed"]["tune.learning_rate"] == "0.02"
    metrics = [f"movie.tallrec-movie.k4.{metric}" for metric in ("auc", "uauc")]
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
    for path in (swept / "dvc.lock", swept / "results"):  # of the serial run, where a test has committed them
        run(swept, "git", "rm", "-rq", "--ignore-unmatch", path.name)
    (tmp_path / "remote").mkdir()
    dvc(swept, "remote", "add", "-q", "-d", "shared", str(tmp_path / "remote"))
    commit(swept, "A remote", "-A")
    run(swept, sys.executable, "-m", "benchmark.cli", "sweep", "--clones", str(tmp_path / "clones"))
    assert (swept / METRICS_CSV).read_bytes() == (toy / METRICS_CSV).read_bytes()
    assert "Data and pipelines are up to date." in dvc(swept, "status")
