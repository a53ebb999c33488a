"""Stage `evaluate`: every cell of the grid has a row, and a missing one is never a number."""

import csv
import json
import shutil
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from benchmark.statistics.other_metrics import OTHER_METRICS
from sklearn.metrics import roc_auc_score

from benchmark.artifacts import files, paths
from benchmark.config.params import Params
from benchmark.methods.grid import cells
from benchmark.schema import Cell, Prediction, group_of
from benchmark.stages import evaluate
from benchmark.statistics.comparisons import read_differences
from benchmark.statistics.results import COLUMNS, DIFFERENCES_CSV, KEY_COLUMNS, read_rows, summarise

N_TRAIN = {"movie": 100, "book": 100}
CELL = Cell("baseline", "gru4rec", "movie", "movie", 16, 1)


def _outputs(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_cell_of_the_grid_has_a_row_in_grid_order(finished_run: Path, params: Params) -> None:
    assert evaluate.main([]) == 0
    expected = list(cells(params, N_TRAIN))
    assert [row.cell for row in read_rows(paths.METRICS_CSV)] == expected
    # Per test set, of which movie has two: controls 2 + 1 + 5, baseline 4, icl 1, and 6 variants x 2 K x 2 seeds.
    assert len(expected) == 3 * (8 + 2 * 4 + 1 + 24)
    lines = paths.METRICS_CSV.read_text().splitlines()
    key = "family,method,train_domain,test_domain,n_shots,seed"
    assert lines[0] == f"{key},auc,auc_low,auc_high,{','.join(OTHER_METRICS)},n_users,n_samples,status"
    assert tuple(lines[0].split(",")) == COLUMNS
    assert (finished_run / "results/plots/few_shot_movie.csv").read_text().startswith("n_shots,auc,method\n")


def test_scores_are_matched_by_id_and_equal_scikit_learn(finished_run: Path) -> None:
    path = finished_run / paths.cell_folder("predictions", CELL) / "scores.parquet"
    table = pq.read_table(path)
    pq.write_table(table.take(list(range(table.num_rows))[::-1]), path)
    assert evaluate.main([]) == 0
    row = next(row for row in read_rows(paths.METRICS_CSV) if row.cell == CELL)
    labels = files.read_labels(paths.labels_file("movie"))
    scores = files.read_scores("predictions", CELL) or {}
    ids = sorted(labels)
    assert row.auc == pytest.approx(roc_auc_score([labels[i] for i in ids], [scores[i] for i in ids]), abs=1e-12)
    assert (row.n_users, row.n_samples, row.status) == (6, 60, "ok")
    book = next(row for row in read_rows(paths.METRICS_CSV) if row.cell.test_domain == "book")
    assert (book.others["uauc"], book.n_users) == (None, 60)


def test_two_runs_write_the_same_bytes(finished_run: Path) -> None:
    assert evaluate.main([]) == 0
    first = _outputs(finished_run / "results")
    assert set(first) == {
        "audit.json",
        "calibration.csv",
        "differences.csv",
        "metrics.csv",
        "metrics.json",
        "probes.csv",
        "reliability.csv",
        "uauc.csv",
        "plots/few_shot_movie.csv",
        "plots/few_shot_book.csv",
    }
    assert evaluate.main([]) == 0
    assert _outputs(finished_run / "results") == first


def test_differences_are_those_of_the_means_in_the_table(finished_run: Path) -> None:
    assert evaluate.main([]) == 0
    groups = summarise(read_rows(paths.METRICS_CSV))
    differences = read_differences(DIFFERENCES_CSV)
    left, right = Cell("tuned", "tallrec-movie", "movie", "movie", 16, 0), group_of(CELL)
    expected = groups[left].auc - groups[right].auc
    assert differences[left, right, "auc"].value == pytest.approx(expected, abs=1e-12)
    expected = groups[left].mean("uauc") - groups[right].mean("uauc")
    assert differences[left, right, "uauc"].value == pytest.approx(expected, abs=1e-12)
    # On book every user has one row: AUC alone is compared. Nothing is compared across test domains.
    assert {metric for pair, _, metric in differences if pair.test_domain == "book"} == {"auc"}
    assert all(one.test_domain == other.test_domain for one, other, _ in differences)
    assert finished_run.exists()


def test_differences_leave_out_a_method_that_lacks_a_seed(finished_run: Path) -> None:
    shutil.rmtree(finished_run / paths.cell_folder("predictions", CELL))
    assert evaluate.main(["--partial"]) == 0
    compared = {group for pair in read_differences(DIFFERENCES_CSV) for group in pair[:2]}
    assert group_of(CELL) not in compared
    assert Cell("baseline", "gru4rec", "movie", "movie", 4, 0) in compared


def test_uauc_has_intervals_and_probabilities_are_judged_where_there_are_some(finished_run: Path) -> None:
    assert evaluate.main([]) == 0
    uaucs = _lines("uauc.csv")
    assert {line["test_domain"] for line in uaucs} == {"movie", "movie-extended"}
    assert all(float(line["uauc_low"]) <= float(line["uauc"]) <= float(line["uauc_high"]) for line in uaucs)
    judged = _lines("calibration.csv")
    assert {(line["family"], line["probability"]) for line in judged} == {
        ("control", "share of likes"),
        ("baseline", "sigmoid of the target's logit"),
    }
    rows_of: Counter[str] = Counter()
    for line in _lines("reliability.csv"):
        rows_of[",".join(line[name] for name in KEY_COLUMNS)] += int(line["n_samples"])
    assert set(rows_of.values()) == {60}
    assert len(rows_of) == len(judged)
    assert finished_run.exists()


def test_the_audit_is_of_both_domains(finished_run: Path) -> None:
    assert evaluate.main([]) == 0
    found = json.loads((finished_run / "results/audit.json").read_text())
    assert set(found) == {"movie", "book"}
    assert found["movie"]["splits"]["test"]["users"] == 6
    # Every history is one and the same like, and no target is that item.
    assert found["movie"]["adjacent_test_rows_that_reveal_a_label"] == 0
    assert found["movie"]["test_targets_ever_a_training_target"] == {"all rows": 1.0, "K=4": 1.0, "K=16": 1.0}


def _lines(name: str) -> list[dict[str, str]]:
    with Path("results", name).open() as stream:
        return list(csv.DictReader(stream))


def test_a_missing_cell_stops_the_stage_and_nothing_is_written(
    finished_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(finished_run / paths.cell_folder("predictions", CELL))
    assert evaluate.main([]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"error: 1 of 123 cells have no valid predictions, e.g. {CELL} (missing)")
    assert not (finished_run / "results").exists()


def test_partial_writes_a_missing_cell_without_numbers(finished_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in (0, 1):
        cell = Cell("baseline", "gru4rec", "movie", "movie", 16, seed)
        shutil.rmtree(finished_run / paths.cell_folder("predictions", cell))
    assert evaluate.main(["--partial"]) == 0
    assert f"{CELL}: missing" in capsys.readouterr().err
    with paths.METRICS_CSV.open() as stream:
        line = next(line for line in csv.DictReader(stream) if line["status"] == "missing")
    assert [line[name] for name in ("auc", "auc_low", "auc_high", "uauc", "n_users", "n_samples")] == [""] * 6
    assert set(json.loads(paths.METRICS_JSON.read_text())["movie"]["gru4rec"]) == {"k4"}


@pytest.mark.parametrize("broken", ["one id less", "one id more", "not finite"])
def test_predictions_that_break_the_contract_are_invalid(finished_run: Path, broken: str) -> None:
    scores = files.read_scores("predictions", CELL) or {}
    if broken == "one id less":
        del scores["movie-000"]
    else:
        scores["movie-999" if broken == "one id more" else "movie-000"] = (
            float("inf") if broken == "not finite" else 0.5
        )
    files.write_predictions("predictions", CELL, [Prediction(*item) for item in scores.items()])
    assert evaluate.main(["--partial"]) == 0
    assert [row.cell for row in read_rows(paths.METRICS_CSV) if row.status == "invalid"] == [CELL]
    assert finished_run.exists()


def test_a_label_without_a_test_sample_is_an_error(finished_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = paths.labels_file("book")
    files.write_labels(path, files.read_labels(path) | {"book-999": True})
    assert evaluate.main([]) == 2
    assert "data/labels/book/test.parquet: 1 ids are in the labels or the test samples alone, e.g. 'book-999'" in (
        capsys.readouterr().err
    )
    assert not (finished_run / "results").exists()
