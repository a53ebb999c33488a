"""The claims ledger of the kept runs: of real rows alone, and of runs on the same ones together."""

from pathlib import Path

import pytest

from benchmark.report.leaderboard.entry import Entry, read_entries
from benchmark.report.leaderboard.ledger import ledger
from benchmark.report.tables.form import Table
from benchmark.verdicts.paper import load_paper

REPOSITORY = Path(__file__).parents[5]
OF_RECOMMENDERS = "Conventional recommenders stay near chance in the few-shot setting, within 5 points on average."


@pytest.fixture(scope="module")
def entries() -> dict[str, Entry]:
    return {entry.folder.name: entry for entry in read_entries(REPOSITORY / "docs/results")}


def verdict(table: Table | None, sentence: str, model: str) -> str:
    assert table
    row = next(row for row in table.rows if row.name == sentence)
    return row.entries[table.columns.index(model)].badge


def test_each_model_is_judged_beside_the_recommenders_of_another_run(entries: dict[str, Entry]) -> None:
    table = ledger([*entries.values()], load_paper())
    alone = ledger([entries["gemma-3-270m"]], load_paper())
    assert table
    assert table.columns == ("Gemma 3 270M", "SmolLM2 135M Instruct")
    assert verdict(table, OF_RECOMMENDERS, "Gemma 3 270M") == "supported"
    assert verdict(alone, OF_RECOMMENDERS, "Gemma 3 270M") == "not run"
    assert [row.group for row in table.rows] == sorted(row.group for row in table.rows)
    assert all(len(row.more) == 2 for row in table.rows)


def test_runs_on_other_rows_and_generated_ones_are_left_out(entries: dict[str, Entry]) -> None:
    # `look` has the same movie rows, and another test set of further users.
    of_other_rows = ledger([entries["gemma-3-270m"], entries["look"]], load_paper())
    assert verdict(of_other_rows, OF_RECOMMENDERS, "Gemma 3 270M") == "not run"
    assert ledger([entries["smoke"], entries["real-cpu"]], load_paper()) is None


def test_the_order_of_entries_decides_nothing(entries: dict[str, Entry]) -> None:
    forth, back = (ledger(given, load_paper()) for given in ([*entries.values()], [*entries.values()][::-1]))
    assert forth
    assert back
    for row, other in zip(forth.rows, back.rows, strict=True):
        assert (row.name, row.entries, row.more) == (other.name, other.entries[::-1], other.more[::-1])
