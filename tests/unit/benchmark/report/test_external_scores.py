"""Scores from elsewhere among the results: tables, page, differences, claims and gate treat them as any other."""

import csv
import shutil
from pathlib import Path
from typing import Any

import pytest

from benchmark.artifacts import files
from benchmark.artifacts.provenance import run_file
from benchmark.config.external import ExternalParams
from benchmark.config.params import Params
from benchmark.report.inputs import read_inputs
from benchmark.report.show import lines
from benchmark.report.tables.form import DASH
from benchmark.report.tables.main import main_table
from benchmark.schema import Prediction
from benchmark.stages import evaluate, report
from benchmark.verdicts.claims import judge_claims
from benchmark.verdicts.evidence import Results
from benchmark.verdicts.gate import check
from benchmark.verdicts.paper import load_paper

CLAIM = """claims:
  - id: beats_outside
    sentence: TALLRec ranks better than what others trained.
    where: ours
    kind: greater_than
    left: {family: tuned, method: tallrec-*, train: same}
    right: {family: external}
    of: ours
"""


@pytest.fixture
def params(params: Params) -> Params:
    """The small grid, with a model of two seeds at one of its K, and one that no draw taught."""

    def entry(name: str, n_shots: int, seed: int, test_domain: str = "movie") -> ExternalParams:
        where = {"test_domain": test_domain, "path": f"{name}{seed}.csv"}
        return ExternalParams(name=name, n_shots=n_shots, seed=seed, trained=name == "fm", **where)

    entries = (entry("fm", 16, 0), entry("fm", 16, 1), entry("served", 0, 0), entry("served", 0, 0, "movie-extended"))
    return params.model_copy(update={"external": entries})


@pytest.fixture
def evaluated(finished_run: Path) -> Path:
    """The small run, evaluated."""
    assert evaluate.main([]) == 0
    return finished_run


def entries_of(domain: str) -> dict[str, tuple[str, ...]]:
    table = main_table(read_inputs(), load_paper(), domain)
    return {row.name: tuple(entry.text for entry in row.entries) for row in table.rows}


def test_the_main_table_has_them_at_the_k_that_they_were_made_at(evaluated: Path) -> None:
    del evaluated
    rows = entries_of("movie")
    four, sixteen = rows["fm"][:4], rows["fm"][4:]
    assert four == (DASH, DASH, "", DASH)  # nobody was asked for K = 4
    assert float(sixteen[1]) > 0
    assert rows["served"][1] == rows["served"][5] != DASH  # it saw no row, and stands for every K
    assert "fm" not in entries_of("book")
    (line,) = [one for one in lines(read_inputs(), load_paper(), is_markdown=False) if one.startswith("  fm ")]
    assert line.split()[1] == DASH
    assert "missing" not in line


def test_the_page_says_what_vouches_for_the_ids(evaluated: Path, params: Params) -> None:
    for entry in params.external:
        vouching = ["digest"] if entry.name == "fm" else []
        files.write_json(run_file(entry.cell), {"cell": {}, "ids_checked_by": vouching, "wall_seconds": 1.0})
    assert report.main([]) == 0
    page = (evaluated / "results/report.html").read_text()
    assert 'data-family="external"' in page
    assert "The scores of served movie-movie k0 seed0; served movie-movie-extended k0 seed0 were made elsewhere" in page
    with (evaluated / "results/tables/external_movie.csv").open() as stream:
        told = {row[0]: row[-1] for row in csv.reader(stream)}
    assert (told["fm"], told["served"]) == ("digest", "nothing")


def test_they_are_compared_with_tallrec_and_with_the_rule(evaluated: Path) -> None:
    with (evaluated / "results/differences.csv").open() as stream:
        pairs = {(r["left_method"], r["right_method"], r["right_n_shots"]) for r in csv.DictReader(stream)}
    assert {("tallrec-movie", "fm", "16"), ("tallrec-movie", "served", "0"), ("fm", "liked_share", "0")} <= pairs
    table = report_rows(evaluated, "differences_movie.csv")
    assert {"fm", "served"} <= set(table)
    assert table["served"][-1] == table["served"][-2] != DASH  # it minus liked_share, at every K


def report_rows(folder: Path, name: str) -> dict[str, list[str]]:
    assert report.main([]) == 0
    with (folder / "results/tables" / name).open() as stream:
        return {row[0]: row for row in csv.reader(stream)}


def test_a_claim_may_name_them(evaluated: Path) -> None:
    path = evaluated / "claims.yaml"
    path.write_text(CLAIM)
    inputs = read_inputs()
    results = Results(inputs.groups, 0.95, efficiency=[], model_is_papers=False, estimates=inputs.estimates)
    (claim,) = judge_claims(results, path)
    assert claim.verdict == "supported"  # the tuned scores of this run know the answers
    assert any("fm" in item.what for item in claim.evidence)


@pytest.mark.parametrize(("worse", "verdict"), [(True, "regression"), (False, "same")])
def test_the_gate_sees_them_get_worse(evaluated: Path, params: Params, worse: bool, verdict: str) -> None:
    entry = params.external[0]
    truth: dict[str, Any] = files.read_labels(Path("data/labels/movie/test.parquet"))

    def write(sign: float) -> None:
        for one in params.external[:2]:
            scores = [Prediction(name, sign * liked + index / 1e4) for index, (name, liked) in enumerate(truth.items())]
            files.write_predictions("predictions", one.cell, scores)
        assert evaluate.main([]) == 0

    write(1.0)
    shutil.copytree(evaluated / "results", evaluated / "before")
    write(-1.0 if worse else 1.0)
    _, _, findings = check(str(evaluated / "before/metrics.csv"), alpha=0.05)
    found = {finding.name: finding.verdict for finding in findings if finding.metric == "auc"}
    assert found[f"{entry.name} movie-movie k16"] == verdict
