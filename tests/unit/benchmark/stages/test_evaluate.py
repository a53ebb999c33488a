"""Stage `evaluate`: every cell of the grid has a row, and a missing one is never a number."""

import csv
import json
import shutil
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

from benchmark.artifacts import files, paths
from benchmark.config.params import Params
from benchmark.methods.grid import cells
from benchmark.report.inputs import read_inputs
from benchmark.report.page import build_page
from benchmark.schema import Cell, Prediction, group_of
from benchmark.stages import evaluate
from benchmark.statistics.comparisons import SIDE_COLUMNS, Pair, compare, table_pairs
from benchmark.statistics.estimates import INFLUENCE
from benchmark.statistics.influence_file import read_influence
from benchmark.statistics.labels import read_test_rows
from benchmark.statistics.metrics import OTHERS
from benchmark.statistics.results import COLUMNS, ESTIMATES_COLUMNS, KEY_COLUMNS, read_rows, summarise
from benchmark.verdicts.paper import load_paper

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
    assert lines[0] == f"{key},auc,auc_low,auc_high,{','.join(OTHERS)},share_correlation,n_users,n_samples,status"
    assert tuple(lines[0].split(",")) == COLUMNS


def test_the_curves_have_the_means_and_intervals_of_the_table(finished_run: Path) -> None:
    assert evaluate.main([]) == 0
    with (finished_run / "results/plots/few_shot_movie.csv").open() as stream:
        points = list(csv.DictReader(stream))
    rows = {
        (row["method"], row["n_shots"]): row
        for row in _lines("estimates.csv")
        if (row["test_domain"], row["metric"]) == ("movie", "auc")
    }
    assert {row["method"] for row in points} > {"gru4rec", "tallrec-movie", "rt-both"}
    for point in points:
        row = rows[point["method"], point["n_shots"]]
        assert [point[name] for name in ("auc", "auc_low", "auc_high")] == [
            row[name] for name in ("value", "low", "high")
        ]


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
        "correlations.csv",
        "differences.csv",
        "estimates.csv",
        "examples.json",
        "influence.parquet",
        "metrics.csv",
        "metrics.json",
        "probe_changes.csv",
        "probes.csv",
        "reliability.csv",
        "sensitivity.csv",
        "years.csv",
        "plots/few_shot_movie.csv",
        "plots/few_shot_book.csv",
    }
    assert evaluate.main([]) == 0
    assert _outputs(finished_run / "results") == first


def _differences() -> dict[tuple[Cell, Cell, str], dict[str, str]]:
    """The lines of `differences.csv`, by left, right and metric."""
    found = {}
    for line in _lines("differences.csv"):
        left, right = ([line[f"{side}_{name}"] for name in SIDE_COLUMNS] for side in ("left", "right"))
        sides = (Cell(*one[:3], line["test_domain"], int(one[3]), 0) for one in (left, right))
        found[(*sides, line["metric"])] = line
    return found


def test_differences_are_those_of_the_means_in_the_table(finished_run: Path) -> None:
    assert evaluate.main([]) == 0
    groups = summarise(read_rows(paths.METRICS_CSV))
    differences = _differences()
    left, right = Cell("tuned", "tallrec-movie", "movie", "movie", 16, 0), group_of(CELL)
    for metric in ("auc", "equal_share_auc", "uauc"):
        expected = groups[left].mean(metric) - groups[right].mean(metric)
        assert float(differences[left, right, metric]["difference"]) == pytest.approx(expected, abs=1e-12)
    # On book every user has one row: nothing is compared within users. Nothing is compared across test domains.
    compared = {metric for pair, _, metric in differences if pair.test_domain == "book"}
    assert compared == {"auc", "equal_share_auc"}
    assert {pair.test_domain for pair, _, _ in differences} == {"movie", "book"}
    assert finished_run.exists()


def test_differences_are_found_again_from_the_influences(finished_run: Path) -> None:
    """What the report shows is what the file holds."""
    assert evaluate.main([]) == 0
    rows = read_rows(paths.METRICS_CSV)
    estimates, digests = read_influence(INFLUENCE, rows)
    assert digests == {name: read_test_rows(name).digest for name in ("movie", "movie-extended", "book")}
    written = _differences()
    again = compare(estimates, table_pairs([group for group, one in summarise(rows).items() if one]))
    assert {(one.pair.left, one.pair.right, one.pair.metric) for one in again} == set(written)
    for one in again:
        line = written[one.pair.left, one.pair.right, one.pair.metric]
        assert one.estimate.value == pytest.approx(float(line["difference"]), abs=1e-12)
        assert one.estimate.spread is not None
        assert one.estimate.spread.standard_error == pytest.approx(float(line["standard_error"]), rel=1e-5)
        assert one.estimate.p_value == pytest.approx(float(line["p_value"]), rel=1e-3)
        assert one.p_adjusted == pytest.approx(float(line["p_adjusted"]), abs=2e-4)
        assert float(line["p_value"]) <= float(line["p_adjusted"]) <= 1
    assert finished_run.exists()


def test_a_table_of_many_differences_is_corrected_by_its_own_size(finished_run: Path) -> None:
    assert evaluate.main([]) == 0
    estimates, _ = read_influence(INFLUENCE, read_rows(paths.METRICS_CSV))
    left, right = Cell("tuned", "tallrec-movie", "movie", "movie", 16, 0), group_of(CELL)
    (alone,) = compare(estimates, [Pair(left, right, "auc")])
    assert alone.p_adjusted == pytest.approx(alone.estimate.p_value, abs=0.02)
    assert float(_differences()[left, right, "auc"]["p_adjusted"]) > (alone.p_adjusted or 0)
    assert finished_run.exists()


def test_differences_leave_out_a_method_that_lacks_a_seed(finished_run: Path) -> None:
    shutil.rmtree(finished_run / paths.cell_folder("predictions", CELL))
    assert evaluate.main(["--partial"]) == 0
    compared = {group for pair in _differences() for group in pair[:2]}
    assert group_of(CELL) not in compared
    assert Cell("baseline", "gru4rec", "movie", "movie", 4, 0) in compared


def test_estimates_are_over_users_and_seeds_and_those_of_a_cell_over_users_alone(finished_run: Path) -> None:
    assert evaluate.main([]) == 0
    rows = read_rows(paths.METRICS_CSV)
    lines = _lines("estimates.csv")
    assert tuple(lines[0]) == ESTIMATES_COLUMNS
    groups = summarise(rows)
    keys = [(*(line[name] for name in KEY_COLUMNS[:-1]), line["metric"]) for line in lines]
    assert keys == [
        (*(str(value) for value in (g.family, g.method, g.train_domain, g.test_domain, g.n_shots)), metric)
        for g, summary in groups.items()
        for metric in ("auc", *OTHERS)
        if summary.values(metric)
    ]
    by_key = dict(zip(keys, lines, strict=True))
    line = by_key["baseline", "gru4rec", "movie", "movie", "16", "auc"]
    summary = groups[group_of(CELL)]
    assert float(line["value"]) == pytest.approx(summary.auc, abs=1e-12)
    assert (line["n_seeds"], line["n_seeds_of_grid"], line["why_no_interval"]) == ("2", "2", "")
    assert float(line["seed_sd"]) == pytest.approx(summary.seed_sd, abs=1e-12)
    assert float(line["median"]) == pytest.approx(sum(summary.aucs) / 2, abs=1e-12)
    assert int(line["n_seeds_below_half"]) == sum(auc < 0.5 for auc in summary.aucs)
    assert float(line["low"]) < float(line["value"]) < float(line["high"])
    # The seeds are at least as uncertain as their own scatter says, beside the users.
    assert float(line["standard_error"]) > (summary.seed_sd or 0) / 2**0.5
    # A method without draws has no noise of seeds: its interval is that of its cell.
    rule = next(row for row in rows if (row.cell.method, row.cell.test_domain) == ("liked_share", "book"))
    line = by_key["control", "liked_share", "book", "book", "0", "auc"]
    ends = float(line["low"]), float(line["high"])
    assert ends == pytest.approx((rule.auc_low, rule.auc_high), abs=1e-7)  # influences of methods have 32 bits
    # On the full training set nothing is drawn.
    assert by_key["control", "item_mean", "movie", "movie", "100", "auc"]["low"]


def test_one_seed_of_a_seeded_method_has_no_margin_anywhere(finished_run: Path, params: Params) -> None:
    shutil.rmtree(finished_run / paths.cell_folder("predictions", CELL))
    assert evaluate.main(["--partial"]) == 0
    lines = [line for line in _lines("estimates.csv") if line["method"] == "gru4rec" and line["n_shots"] == "16"]
    (line,) = (line for line in lines if (line["test_domain"], line["metric"]) == ("movie", "auc"))
    assert (line["why_no_interval"], line["n_seeds"], line["n_seeds_of_grid"]) == ("one seed", "1", "2")
    assert [line[name] for name in ("low", "high", "standard_error", "dof", "seed_sd")] == [""] * 5
    assert {line["why_no_interval"] for line in _lines("estimates.csv") if line["method"] == "liked_share"} == {""}
    # A grid of one seed: no difference of a trained method has a margin or a p-value.
    one_seed = params.model_copy(update={"grid": params.grid.model_copy(update={"seeds": (0,)})})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchmark.stages.evaluate.load_config", lambda: one_seed)
        assert evaluate.main([]) == 0
    differences = _lines("differences.csv")
    assert differences
    numbers = ("low", "high", "standard_error", "dof", "p_value", "p_adjusted")
    assert {line[name] for line in differences for name in numbers} == {""}
    # Each row of metrics.csv has an interval of its own, over users.
    assert all(row.auc_low is not None for row in read_rows(paths.METRICS_CSV))


def test_every_metric_has_intervals_and_probabilities_are_judged_where_there_are_some(finished_run: Path) -> None:
    assert evaluate.main([]) == 0
    lines = _lines("estimates.csv")
    within_users = [line for line in lines if line["metric"].startswith("uauc")]
    assert {line["metric"] for line in lines} == {"auc", *OTHERS}
    assert {line["test_domain"] for line in within_users} == {"movie", "movie-extended"}
    assert all(float(line["low"]) <= float(line["value"]) <= float(line["high"]) for line in lines)
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
    assert [line[name] for name in ("auc", "auc_low", "auc_high", *OTHERS, "n_users", "n_samples")] == [""] * 8
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


def test_cells_of_a_model_that_could_not_be_had_are_missing_and_the_page_says_why(
    finished_run: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = params.grid.model_copy(update={"other_models": ("gone",)})
    asked = params.model_copy(update={"grid": grid})
    for module in ("benchmark.stages.evaluate", "benchmark.report.inputs"):
        monkeypatch.setattr(f"{module}.load_config", lambda: asked)
    assert evaluate.main([]) == 2
    for prompt in grid.prompts:
        for root in ("predictions", "runs"):
            reason = {"reason": "http://127.0.0.1:9/v1: no answer after 3 attempts"}
            files.write_json(paths.unavailable_file(root, f"icl-gone-{prompt}"), reason)
    assert evaluate.main([]) == 0
    of_gone = [row for row in read_rows(paths.METRICS_CSV) if row.cell.method.startswith("icl-gone")]
    assert {(row.status, row.auc) for row in of_gone} == {("missing", None)}
    told = [warning for warning in build_page(read_inputs(), load_paper()).warnings if "could not be had" in warning]
    assert len(told) == len(grid.prompts)
    assert "icl-gone-released could not be had: http://127.0.0.1:9/v1: no answer after 3 attempts." in told[0]
    assert "`dvc repro -f -s others@gone-released`" in told[0]
    lost = paths.cell_folder("predictions", CELL) / "scores.parquet"
    lost.unlink()
    assert evaluate.main([]) == 2, "of another method nothing may be missing"
