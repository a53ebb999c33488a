"""Warnings about validations at chance or far from the test, and about answers that are never given."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmark.artifacts.files import write_json
from benchmark.artifacts.provenance import run_file
from benchmark.schema import Cell
from benchmark.statistics.results import MetricRow
from benchmark.verdicts.doubts import doubts

CELL = Cell("tuned", "rt-movie", "movie", "movie", 16, 0)


def row(auc: float | None = 0.7, low: float = 0.65, high: float = 0.75, cell: Cell = CELL) -> MetricRow:
    if auc is None:
        return MetricRow(cell, "missing")
    return MetricRow(cell, "ok", auc, low, high, {}, 16, 1000)


def doubts_of(rows: list[MetricRow]) -> list[str]:
    """Doubts with what chance reaches as the record says."""
    return doubts(rows, lambda _, record: record["chance_auc"])


@pytest.fixture
def record(repository: Path) -> Any:
    """Writes what stage `tune` notes about a cell."""
    return lambda cell=CELL, **values: write_json(run_file(cell, "runs/tune"), values)


def test_no_record_no_doubt(repository: Path) -> None:
    assert doubts_of([row()]) == []


@pytest.mark.parametrize(
    ("best", "is_doubted"),
    [(0.7, False), (0.77, False), (0.785, False), (0.81, True), (0.6, False), (0.58, True)],
)
def test_a_validation_far_from_the_test_is_named(record: Any, best: float, is_doubted: bool) -> None:
    # The margins reach from 0.615 to 0.785, and a gross difference is one of more than 0.1.
    record(best_auc=best, chance_auc=0.535)
    cells = f"1 of the tuned cells: {CELL} ({100 * best:.1f} against 70.0)."
    expected = f"disagree by more than 10 and the margins of both in {cells}"
    found = doubts_of([row()])
    assert len(found) == is_doubted
    assert all(expected in line for line in found)


def test_a_difference_within_wide_margins_is_none(record: Any) -> None:
    record(best_auc=0.85, chance_auc=0.6)
    assert doubts_of([row(0.7, 0.5, 0.9)]) == []


def test_a_curve_at_chance_is_named_whatever_the_test_says(record: Any) -> None:
    record(best_auc=0.53, chance_auc=0.535)
    (found,) = doubts_of([row()])
    assert found == (
        f"The validation AUC (x100) never left chance in 1 of the tuned cells: {CELL} (53.0, chance up to 53.5)."
    )


def test_of_many_cells_a_few_are_named_and_all_are_counted(record: Any) -> None:
    many = [replace(CELL, seed=seed) for seed in range(5)]
    for cell in many:
        record(cell, best_auc=0.53, chance_auc=0.535)
    (found,) = doubts_of([row(cell=cell) for cell in many])
    assert found.startswith("The validation AUC (x100) never left chance in 5 of the tuned cells: ")
    assert [str(cell) in found for cell in many] == [True, True, True, False, False]
    assert found.endswith("; and 2 more.")


def test_only_a_test_on_the_tuned_domain_is_compared(record: Any) -> None:
    record(best_auc=0.9, chance_auc=0.535)
    other = Cell("tuned", "rt-movie", "movie", "book", 16, 0)
    record(other, best_auc=0.9, chance_auc=0.535)
    assert doubts_of([row(0.5, 0.45, 0.55, other), row(None)]) == []


def test_a_model_that_gives_neither_answer_is_named(repository: Path) -> None:
    cells = [Cell("icl", f"icl-base-{prompt}", "book", "book", 0, 0) for prompt in ("gpt", "paper", "alpaca")]
    for cell, mass in zip(cells, (1e-5, 0.01, None), strict=True):
        write_json(run_file(cell), {} if mass is None else {"answer_mass": mass})
    (found,) = doubts_of([row(cell=cell) for cell in cells])
    assert found == (
        "In 1 of the cells the model gives both answers together less than 1% of the probability, so that its score is "
        f"no opinion: {cells[0]} (1e-05)."
    )


def test_cells_whose_prompts_had_no_room_are_named_with_their_count(repository: Path) -> None:
    cells = [Cell("icl", f"icl-base-{prompt}", "book", "book", 2, 0) for prompt in ("gpt", "paper", "alpaca")]
    for cell, n_truncated in zip(cells, (12, 0, None), strict=True):
        write_json(run_file(cell), {} if n_truncated is None else {"n_truncated": n_truncated})
    (found,) = doubts_of([row(cell=cell) for cell in cells])
    assert found == (
        "In 1 of the cells prompts were longer than the model has positions for, so that demonstrations or the oldest "
        f"of the history were left out: {cells[0]} (12 of 1000)."
    )


def test_a_baseline_whose_validation_is_at_chance_is_named_apart(record: Any) -> None:
    cells = [Cell("baseline", "sasrec-shared", "book", "book", 16, seed) for seed in (0, 1, 2)]
    for cell, best in zip(cells, (0.31, 0.7, 0.9), strict=True):
        write_json(run_file(cell), {"valid_auc": best, "chance_auc": 0.53, "n_updates": 100})
    record(best_auc=0.52, chance_auc=0.53)
    found = doubts_of([row(cell=cell) for cell in [*cells, CELL]])
    assert found == [
        f"The validation AUC (x100) never left chance in 1 of the cells of baselines: "
        f"{cells[0]} (31.0, chance up to 53.0).",
        f"The validation AUC (x100) never left chance in 1 of the tuned cells: {CELL} (52.0, chance up to 53.0).",
        "Validation and test AUC (x100) disagree by more than 10 and the margins of both in 1 of the cells of "
        f"baselines: {cells[2]} (90.0 against 70.0).",
    ]
    # On further users there is no validation.
    further = replace(cells[0], test_domain="book-extended")
    write_json(run_file(further), {"valid_auc": 0.31, "chance_auc": 0.53, "n_updates": 100})
    assert doubts_of([row(cell=further)]) == []
