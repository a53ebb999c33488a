"""Scores from elsewhere through the real pipeline: exported, scored by a script that knows no more, evaluated."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import toy
from typer.testing import CliRunner

from benchmark.artifacts.paths import METRICS_CSV
from benchmark.cli import app
from benchmark.stages import controls, draw, evaluate, external, prepare, raw, report
from benchmark.statistics.results import read_rows

OUTSIDE = Path(__file__).parent / "outside"
NO_LANGUAGE_MODEL = {
    **{"grid.recipes": [], "grid.train_domains": ["movie"], "grid.baselines": [], "probe.variants": []},
    **{"domains.movie.n_samples": 400, "world.populations.ml-100k": {"n_users": 60, "ratings_per_user": [18, 20]}},
}


def entry(path: str, n_shots: int, **changes: Any) -> dict[str, Any]:
    fixed = {"name": "outside", "path": path, "test_domain": "movie", "n_shots": n_shots, "seed": 0, "trained": True}
    return fixed | changes


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a prepared domain, its draws and its controls."""
    folder = toy.new_repository(tmp_path, toy.CHANGES | NO_LANGUAGE_MODEL)
    monkeypatch.chdir(folder)
    for stage in (raw, prepare):
        assert stage.main(["--domain", "movie"]) == 0
    assert draw.main([]) == 0
    assert controls.main(["--domain", "movie"]) == 0
    return folder


def command(*arguments: str) -> None:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output


def scored_outside(folder: Path, script: str, out: str) -> None:
    """Run a script of `outside/` in another folder, where nothing of this repository can be imported."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    others = os.pathsep.join(
        p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if not (Path(p) / "benchmark").exists()
    )
    done = subprocess.run(
        [sys.executable, str(OUTSIDE / script), str(folder / "exported"), str(folder / out)],
        cwd=folder / "exported",
        env={**kept, "PYTHONPATH": others},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def stage(n_shots: int) -> list[str]:
    return ["--name", "outside", "--test-domain", "movie", "--n-shots", str(n_shots), "--seed", "0"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "out"), [("logistic.py", "scores.csv"), ("din_of_torch_rechub.py", "scores.parquet")]
)
def test_a_model_trained_outside_is_a_row_like_any_other(script: str, out: str, prepared: Path) -> None:
    if "rechub" in script:
        pytest.importorskip("torch_rechub", reason="torch-rechub is no requirement of this project")
    command("export", "samples", "movie", "--out", "exported")
    n_train = len((prepared / "exported/train.jsonl").read_text().splitlines())
    assert n_train == 320
    scored_outside(prepared, script, out)
    toy.set_params(prepared / "params.yaml", {"external": [entry(out, n_train)]})
    assert external.main(stage(n_train)) == 0
    assert evaluate.main(["--partial"]) == 0
    assert report.main([]) == 0
    found = {row.cell.method: row for row in read_rows(METRICS_CSV)}["outside"]
    assert (found.status, found.n_samples, found.cell.family) == ("ok", 40, "external")
    assert found.auc is not None
    assert found.auc > 0.55  # it learned something
    assert found.auc_low is not None
    assert found.auc_low < found.auc
    with Path("results/differences.csv").open() as stream:
        pairs = {(line["left_method"], line["right_method"]) for line in csv.DictReader(stream)}
    assert ("outside", "liked_share") in pairs
    page = Path("results/report.html").read_text()
    assert 'id="external"' in page
    assert "cannot be known" not in page  # users and items vouch for the ids
    assert json.loads(next(Path("runs/external").rglob("seed0.json")).read_text())["ids_checked_by"]
    Path("reference").mkdir()
    for name in ("metrics.csv", "influence.parquet"):
        (Path("reference") / name).write_bytes((Path("results") / name).read_bytes())
    command("check", "--against", "reference/metrics.csv")


@pytest.mark.slow
def test_a_permuted_id_column_stops_the_stage_with_one_line(prepared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command("export", "samples", "movie", "--out", "exported", "--n-shots", "4")
    assert len((prepared / "exported/train.jsonl").read_text().splitlines()) == 4
    scored_outside(prepared, "logistic.py", "scores.csv")
    toy.set_params(prepared / "params.yaml", {"external": [entry("scores.csv", 4)]})
    with Path("scores.csv").open(newline="") as stream:
        header, *lines = csv.reader(stream)
    with Path("scores.csv").open("w", newline="") as stream:
        ids = sorted((line[0] for line in lines), reverse=True)
        csv.writer(stream).writerows([header, *([i, *line[1:]] for i, line in zip(ids, lines, strict=True))])
    capsys.readouterr()
    assert external.main(stage(4)) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("error: scores.csv: line 2: user_id ")
    assert not Path("predictions/external").exists()


def test_the_export_has_no_answer_of_a_test_sample(prepared: Path) -> None:
    command("export", "samples", "movie", "--out", "exported")
    written = {path.name for path in Path("exported").iterdir()}
    assert written == {"README.md", "train.jsonl", "valid.jsonl", "test.jsonl", "extended.jsonl", "items.jsonl"}
    for name in ("test", "extended"):
        rows = [json.loads(line) for line in Path(f"exported/{name}.jsonl").read_text().splitlines()]
        assert rows
        assert {key for row in rows for key in row} == {
            *("sample_id", "user_id", "item_id", "digest", "history", "history_liked")
        }


@pytest.mark.slow
def test_a_changed_file_is_read_again_and_no_other(prepared: Path) -> None:
    command("export", "samples", "movie", "--out", "exported", "--n-shots", "4")
    scored_outside(prepared, "logistic.py", "scores.csv")
    (prepared / "others.csv").write_text((prepared / "scores.csv").read_text())
    both = [entry("scores.csv", 4), entry("others.csv", 0, name="others")]
    toy.set_params(prepared / "params.yaml", {"external": both})
    ran = toy.dvc(prepared, "repro", "evaluate")
    assert "external@scores0" in ran
    path = prepared / "others.csv"
    path.write_text(path.read_text().replace(",-", ",-1"))
    running = [line.split("'")[1] for line in toy.dvc(prepared, "repro", "evaluate").splitlines() if "Running" in line]
    assert running == ["external@scores1", "evaluate"]
