"""The report on models behind an address: how many answers could not be read, and what they cost."""

from pathlib import Path

import pytest

from benchmark.artifacts import files
from benchmark.artifacts.provenance import run_file
from benchmark.report.inputs import read_inputs
from benchmark.report.tables.form import DASH
from benchmark.report.tables.in_context import icl_table
from benchmark.report.tables.results import OTHER_TITLES
from benchmark.schema import Cell
from benchmark.stages import evaluate

CELL = Cell("icl", "icl-alpaca-released", "movie", "movie", 0, 0)


@pytest.mark.parametrize(("dollars", "shown"), [(1.234, "1.23"), (None, DASH)])
def test_what_became_of_the_answers_is_shown(finished_run: Path, dollars: float | None, shown: str) -> None:
    assert evaluate.main([]) == 0
    assert icl_table(read_inputs(), "movie").columns == ("demonstrations", "AUC", *OTHER_TITLES)
    record = {"share_refused": 0.125, "share_unparsable": 0.25, "dollars": dollars}
    files.write_json(run_file(CELL), record)
    inputs = read_inputs()
    table = icl_table(inputs, "movie")
    assert table.columns == ("demonstrations", "AUC", *OTHER_TITLES, "refused", "unparsable", "dollars")
    (row,) = table.rows
    assert [entry.text for entry in row.entries[-3:]] == ["12.5 %", "25.0 %", shown]
    assert icl_table(inputs, "book").columns == ("demonstrations", "AUC", *OTHER_TITLES)
