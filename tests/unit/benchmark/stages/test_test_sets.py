"""The test set of a domain and the one of further users: each has its own cells, rows and table; nothing mixes them."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from sklearn.metrics import roc_auc_score

from benchmark.artifacts import files, paths
from benchmark.config.params import Params
from benchmark.config.run_names import method_name
from benchmark.schema import EXTENDED, Cell, Prediction
from benchmark.stages import evaluate, report
from benchmark.statistics.comparisons import DIFFERENCES_CSV, table_pairs
from benchmark.statistics.estimates import INFLUENCE, Estimates
from benchmark.statistics.influence_file import read_influence
from benchmark.statistics.results import read_rows, summarise
from benchmark.verdicts.claims import judge_claims, select
from benchmark.verdicts.evidence import Results

FURTHER = f"movie{EXTENDED}"
CELL = Cell("tuned", "tallrec-movie", "movie", FURTHER, 16, 1)


def scores_of(cell: Cell) -> dict[str, float]:
    return files.read_scores("predictions", cell) or {}


def numbers_of(folder: Path, name: str) -> dict[str, str]:
    with (folder / name).open() as stream:
        return {line["name"]: str(line) for line in csv.DictReader(stream)}


def test_a_cell_of_the_further_test_set_has_a_row_of_its_own_rows_and_labels(finished_run: Path) -> None:
    assert evaluate.main([]) == 0
    row_of = {row.cell: row for row in read_rows(paths.METRICS_CSV)}
    own, further = row_of[replace(CELL, test_domain="movie")], row_of[CELL]
    for row, name in ((own, "movie"), (further, FURTHER)):
        labels, scores = files.read_labels(paths.labels_file(name)), scores_of(row.cell)
        assert scores.keys() == labels.keys()
        expected = roc_auc_score([labels[i] for i in sorted(labels)], [scores[i] for i in sorted(labels)])
        assert row.auc == pytest.approx(expected, abs=1e-12)
        assert (row.n_users, row.n_samples, row.status) == (6, 60, "ok")
    assert own.auc != further.auc
    assert finished_run.exists()


def test_scores_of_the_one_are_refused_for_the_other(finished_run: Path) -> None:
    of_own_rows = scores_of(replace(CELL, test_domain="movie"))
    files.write_predictions("predictions", CELL, [Prediction(*entry) for entry in of_own_rows.items()])
    assert evaluate.main(["--partial"]) == 0
    assert [row.cell for row in read_rows(paths.METRICS_CSV) if row.status != "ok"] == [CELL]
    assert finished_run.exists()


def test_what_is_scored_on_the_further_test_set_moves_no_number_of_the_other(
    finished_run: Path, params: Params
) -> None:
    results = finished_run / "results"

    def everything() -> tuple[dict[str, bytes], list[str], dict[str, str]]:
        assert evaluate.main([]) == 0
        assert report.main([]) == 0
        tables = {path.name: path.read_bytes() for path in (results / "tables").iterdir() if EXTENDED not in path.name}
        tables = {name: content for name, content in tables.items() if not name.startswith("cost")}  # of every cell
        tables |= {name: (results / name).read_bytes() for name in ("claims.json", "differences.csv", "audit.json")}
        tables |= {
            path.name: path.read_bytes() for path in (results / "figures").iterdir() if EXTENDED not in path.name
        }
        lines = paths.METRICS_CSV.read_text().splitlines()
        return (
            tables,
            [line for line in lines if FURTHER not in line],
            numbers_of(results / "tables", f"main_{FURTHER}.csv"),
        )

    before = everything()
    for seed in params.grid.seeds:
        cell = replace(CELL, seed=seed)
        turned = [Prediction(sample_id, -score) for sample_id, score in scores_of(cell).items()]
        files.write_predictions("predictions", cell, turned)
    after = everything()
    assert before[0] == after[0]
    assert before[1] == after[1]
    changed = {name for name, line in after[2].items() if line != before[2][name]}
    assert changed == {"TALLRec (tiny LM)"}


def test_no_claim_and_no_difference_is_of_the_further_test_set(finished_run: Path, params: Params) -> None:
    assert evaluate.main([]) == 0
    groups = summarise(read_rows(paths.METRICS_CSV))
    assert any(group.test_domain == FURTHER for group in groups)
    for family in ("control", "baseline", "icl", "tuned"):
        found = list(select(groups, {"family": family}))
        assert {group.test_domain for group in found} == {"movie", "book"}
    assert not [pair for pair in table_pairs(groups) if FURTHER in (pair.left.test_domain, pair.right.test_domain)]
    with DIFFERENCES_CSV.open() as stream:
        assert {line["test_domain"] for line in csv.DictReader(stream)} == {"movie", "book"}
    estimates, _ = read_influence(INFLUENCE, read_rows(paths.METRICS_CSV))
    confidence = params.evaluate.confidence
    results = Results(groups, confidence, [], model_is_papers=True, estimates=estimates)
    used = {cell for claim in judge_claims(results) for item in claim.evidence for cell, _ in item.terms}
    assert {cell.test_domain for cell in used} == {"movie", "book"}
    # What is measured on further users widens no interval and joins no pool of seeds.
    known = {key: one for key, one in estimates.known.items() if key[0].test_domain != FURTHER}
    left = {group: summary for group, summary in groups.items() if group.test_domain != FURTHER}
    without = Results(left, confidence, [], model_is_papers=True, estimates=Estimates(known))
    assert judge_claims(results) == judge_claims(without)
    assert finished_run.exists()


def test_every_method_stands_in_the_table_of_the_further_test_set(finished_run: Path, params: Params) -> None:
    assert evaluate.main([]) == 0
    assert report.main([]) == 0
    with (finished_run / f"results/tables/main_{FURTHER}.csv").open() as stream:
        lines = {line["name"]: line for line in csv.DictReader(stream)}
    rows = [row for row in read_rows(paths.METRICS_CSV) if row.cell.test_domain == FURTHER]
    assert lines.keys() == {method_name(params, row.cell.method, "movie") for row in rows}
    assert {"k4_auc", "k4_uauc", "k16_auc", "k16_uauc"} < set(next(iter(lines.values())))
    for method, n_shots in (("tallrec-movie", 16), ("gru4rec", 4), ("rt-both", 4), ("liked_share", 0)):
        aucs = [row.auc for row in rows if (row.cell.method, row.cell.n_shots) == (method, n_shots)]
        expected = f"{100 * sum(auc or 0 for auc in aucs) / len(aucs):.2f} ["
        shown = [
            lines[method_name(params, method, "movie")][f"k{k}_auc"]
            for k in ([n_shots] if n_shots else params.grid.n_shots)
        ]
        assert all(text.startswith(expected) for text in shown), (method, shown)
    html = (finished_run / "results/report.html").read_text()
    assert f"Few-shot AUC, {FURTHER}" in html
    assert "60 rows of 6 users who are in no split of movie." in html
    assert not (finished_run / f"results/tables/main_book{EXTENDED}.csv").exists()
