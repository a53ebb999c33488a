"""Results that git can hold: kept in a folder, merged into another run, refused where what decides differs."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from benchmark.artifacts import files, paths
from benchmark.artifacts.provenance import run_file
from benchmark.cli import app
from benchmark.config.deciding import deciding_keys
from benchmark.config.params import Params
from benchmark.config.pipeline import pipeline_stages
from benchmark.errors import ConfigError, DataError, MissingArtifactError, SchemaError
from benchmark.methods.running import rows_digest
from benchmark.report.kept import (
    ESTIMATES,
    INFLUENCE,
    METRICS,
    RECORDS,
    SCORES,
    grid_cells,
    keep,
    merge,
    read_records,
    write_records,
)
from benchmark.schema import Cell
from benchmark.stages import evaluate

REPOSITORY = Path(__file__).parents[4]
TUNED = Cell("tuned", "tallrec-movie", "movie", "movie", 16, 0)
FAMILIES = ("control", "baseline", "icl", "tuned")


@pytest.fixture
def run(finished_run: Path, params: Params, once: Callable[[str, Callable[[], object]], None]) -> Path:
    """A finished run with its records, parameters and pipeline."""
    once("run", lambda: _evaluate_with_records(params))
    return finished_run


def _evaluate_with_records(params: Params) -> None:
    for path in (*paths.PIPELINES, paths.PARAMS_YAML):
        path.parent.mkdir(exist_ok=True)
        shutil.copy(REPOSITORY / path, path)
    for cell in grid_cells(params):
        digest = rows_digest(files.read_samples(paths.test_file(cell.test_domain)))
        record = {"cell": {name: getattr(cell, name) for name in Cell.__slots__}, "test_sha256": digest}
        files.write_json(run_file(cell), record)
    files.write_json(run_file(TUNED, "runs/tune"), {**files.read_json(run_file(TUNED)), "best_auc": 0.7})
    assert evaluate.main([]) == 0


def _change(key: str, old: str, new: str) -> None:
    text = paths.PARAMS_YAML.read_text()
    assert text.count(f"\n  {key}: {old}") == 1
    paths.PARAMS_YAML.write_text(text.replace(f"\n  {key}: {old}", f"\n  {key}: {new}"))


def test_what_is_kept_comes_back_byte_for_byte(run: Path, params: Params) -> None:
    before = {cell: files.read_scores("predictions", cell) for cell in grid_cells(params)}
    record, tuning = files.read_json(run_file(TUNED)), files.read_json(run_file(TUNED, "runs/tune"))
    assert keep(Path("kept"), params, FAMILIES) == len(before)
    assert sorted(path.name for path in (run / "kept").iterdir()) == sorted(
        ["params.yaml", RECORDS, SCORES, METRICS, ESTIMATES, INFLUENCE]
    )
    assert (run / "kept" / ESTIMATES).read_bytes() == (run / "results" / ESTIMATES).read_bytes()
    shutil.rmtree("predictions")
    shutil.rmtree("runs")
    merged = merge(Path("kept"), params)
    assert (merged.n_taken, merged.n_known, dict(merged.refused), merged.told) == (len(before), 0, {}, ())
    assert {cell: files.read_scores("predictions", cell) for cell in before} == before
    assert (files.read_json(run_file(TUNED)), files.read_json(run_file(TUNED, "runs/tune"))) == (record, tuning)


@pytest.mark.parametrize(
    ("key", "value"), [("wall_seconds", "2"), ("versions", 5), ("peak_memory_bytes", None), ("started_at", "monday")]
)
def test_a_record_with_a_value_of_another_kind_is_refused_as_it_is_merged(
    key: str, value: object, run: Path, params: Params
) -> None:
    keep(Path("kept"), params, FAMILIES)
    write_records(
        Path("kept"), [{"root": root, **r, key: value} for (_, root), r in read_records(Path("kept")).items()]
    )
    shutil.rmtree("predictions")
    with pytest.raises(SchemaError, match=rf"records\.parquet: {key} of .*, got {value!r}"):
        merge(Path("kept"), params)
    assert not (run / "predictions").exists()


def test_a_table_of_scores_with_a_list_for_a_name_is_refused(run: Path, params: Params) -> None:
    keep(Path("kept"), params, FAMILIES)
    columns = pq.read_table(Path("kept") / SCORES).to_pydict()
    columns["method"] = [[name] for name in columns["method"]]
    pq.write_table(pa.table(columns), Path("kept") / SCORES)
    with pytest.raises(SchemaError, match=r"scores\.parquet: not a table of cells"):
        merge(Path("kept"), params)


def test_no_folder_of_other_files_is_replaced(run: Path, params: Params) -> None:
    for folder in (Path(), Path("results"), Path("runs")):
        before = sorted(folder.rglob("*"))
        with pytest.raises(ConfigError, match="holds other files"):
            keep(folder, params, FAMILIES)
        assert sorted(folder.rglob("*")) == before
    assert keep(Path("kept"), params, FAMILIES) == keep(Path("kept"), params, FAMILIES)


def test_cells_that_are_here_stay_and_only_the_families_asked_for_are_kept(run: Path, params: Params) -> None:
    n_tuned = sum(cell.family == "tuned" for cell in grid_cells(params))
    assert keep(Path("kept"), params, ["tuned"]) == n_tuned
    shutil.rmtree(paths.cell_folder("predictions", TUNED))
    merged = merge(Path("kept"), params)
    assert (merged.n_taken, merged.n_known) == (1, n_tuned - 1)
    with pytest.raises(MissingArtifactError, match="no cell of api has predictions"):
        keep(Path("other"), params, ["api"])
    assert not (run / "other").exists()


def test_of_a_run_without_a_language_model_records_and_metrics_are_kept(run: Path, params: Params) -> None:
    grid = params.grid.model_copy(update={"recipes": [], "icl_models": [], "other_models": []})
    rules = params.model_copy(update={"grid": grid})
    assert {cell.family for cell in grid_cells(rules)} == {"control", "baseline"}
    n_cells = keep(Path("kept"), rules)
    assert n_cells == len(list(grid_cells(rules))) == len(read_records(Path("kept")))
    assert not (run / "kept" / SCORES).exists()
    with pytest.raises(
        MissingArtifactError, match=r"scores\.parquet: not there; `keep` writes no scores of a run without"
    ):
        merge(Path("kept"), params)
    keep(Path("kept"), params)
    assert set(pq.read_table(run / "kept" / SCORES)["family"].to_pylist()) == {"icl", "tuned"}


def test_a_value_that_decides_is_refused_and_one_of_the_machine_is_told(run: Path, params: Params) -> None:
    keep(Path("kept"), params, FAMILIES)
    shutil.rmtree("predictions")
    _change("dtype", "float32", "bfloat16")
    merged = merge(Path("kept"), params)
    assert (sum(merged.refused.values()), merged.told) == (0, ("llm.dtype: float32",))
    shutil.rmtree("predictions")
    _change("learning_rate", "0.003 ", "0.004 ")  # of section tune
    merged = merge(Path("kept"), params)
    n_tuned = sum(cell.family == "tuned" for cell in grid_cells(params))
    assert dict(merged.refused) == {"tune.learning_rate: 0.003 there, 0.004 here": n_tuned}
    assert files.read_scores("predictions", TUNED) is None


def test_what_a_model_knew_by_heart_goes_along_for_the_same_model_alone(run: Path, params: Params) -> None:
    params = params.model_copy(update={"memory": params.memory.model_copy(update={"domains": ("movie",)})})
    found = {"checks": {"title of an item": {"n": 200, "exact": 0}}}
    files.write_json(paths.memorised_file("movie"), found)
    keep(Path("kept"), params, FAMILIES)
    paths.memorised_file("movie").unlink()
    _change("max_length", "512 ", "256 ")  # of section llm
    merge(Path("kept"), params)
    assert not paths.memorised_file("movie").exists()
    _change("max_length", "256 ", "512 ")
    merge(Path("kept"), params)
    assert files.read_json(paths.memorised_file("movie")) == found
    assert not (run / "kept" / "memorised-book.json").exists()


def test_cells_of_other_test_rows_or_without_a_record_are_refused(run: Path, params: Params) -> None:
    keep(Path("kept"), params, FAMILIES)
    records = read_records(Path("kept"))
    one, other = [key for key in records if key[1] == "runs"][:2]
    records[one]["test_sha256"] = "0" * 64
    del records[other]
    write_records(Path("kept"), ({"root": root, **record} for (_, root), record in records.items()))
    shutil.rmtree("predictions")
    assert dict(merge(Path("kept"), params).refused) == {f"other rows of {one[0].test_domain}": 1, "no record": 1}


def test_a_folder_of_which_no_cell_fits_is_refused_and_changes_no_result(run: Path, params: Params) -> None:
    keep(Path("kept"), params, ["tuned"])
    shutil.rmtree("predictions/tuned")
    _change("learning_rate", "0.003 ", "0.004 ")  # of section tune
    before = (run / "results" / METRICS).read_bytes()
    done = CliRunner().invoke(app, ["merge", "kept"])
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1] == "error: kept: no cell fits this run"
    assert (run / "results" / METRICS).read_bytes() == before


@pytest.mark.parametrize("first", [None, float("nan"), "no row"])
def test_a_cell_that_lacks_a_score_is_refused_and_stays_to_be_taken(run: Path, params: Params, first: Any) -> None:
    keep(Path("kept"), params, ["control"])
    table = pq.read_table(run / "kept" / SCORES)
    scores = pa.array([None if first == "no row" else first, *table["score"].to_pylist()[1:]], pa.float64())
    changed = table.set_column(table.schema.get_field_index("score"), "score", scores)
    pq.write_table(changed.slice(1) if first == "no row" else changed, run / "kept" / SCORES)
    shutil.rmtree("predictions")
    merged = merge(Path("kept"), params)
    assert dict(merged.refused) == {"not one finite score for each row of movie": 1}
    pq.write_table(table, run / "kept" / SCORES)
    assert merge(Path("kept"), params).n_taken == 1


def test_a_damaged_folder_is_one_clear_line(run: Path, params: Params) -> None:
    with pytest.raises(MissingArtifactError, match=r"nowhere/scores\.parquet"):
        merge(Path("nowhere"), params)
    keep(Path("kept"), params, FAMILIES)
    write_records(Path("kept"), [{"root": "runs"}])
    with pytest.raises(DataError, match=r"records.parquet: row 0: no record of a cell"):
        merge(Path("kept"), params)
    for damage in (lambda path: pq.write_table(pa.table({"other": [1]}), path), lambda path: path.write_bytes(b"no")):
        damage(run / "kept" / RECORDS)
        with pytest.raises(SchemaError, match=r"records.parquet: not a (whole )?table"):
            merge(Path("kept"), params)
    table = pq.read_table(run / "kept" / SCORES).drop_columns(["score"])
    pq.write_table(table, run / "kept" / SCORES)
    with pytest.raises(SchemaError, match=r"scores.parquet: not a table of cells"):
        merge(Path("kept"), params)


def test_what_decides_a_cell_is_what_its_stages_declare() -> None:
    stages = pipeline_stages(REPOSITORY)
    tuned, rule = deciding_keys(TUNED, stages), deciding_keys(Cell("control", "random", "book", "book", 0, 0), stages)
    assert {"tune.learning_rate", "instruct.data", "lora", "llm", "grid.weights_seed", "domains.movie"} <= set(tuned)
    assert not any(key.startswith(("grid.n_shots", "grid.seeds", "domains.book")) for key in tuned)
    assert "instruct.data" not in deciding_keys(Cell("tuned", "rt-movie", "movie", "movie", 16, 0), stages)
    assert "domains.book" in rule
    assert not any(key.startswith(("llm", "tune")) for key in rule)
    moved = Cell("tuned", "rt-movie", "movie", "book", 16, 0)
    assert {"domains.movie", "domains.book"} <= set(deciding_keys(moved, stages))
    on_both = replace(moved, method="tallrec-both", train_domain="both")
    assert {"domains", "grid.domains"} <= set(deciding_keys(on_both, stages))
    asked = Cell("icl", "icl-gpt-4o-mini-released", "movie", "movie", 0, 0)
    assert "icl.models.gpt-4o-mini" in deciding_keys(asked, stages)
