"""What the records of a run say against its results, which are shown all the same, with a warning.

A validation that was never better than chance, or that the test disagrees with; and answers that the model never
gives, so that the score is made of what is left of the probability; and prompts for which the model has no room.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from benchmark.artifacts.files import read_json
from benchmark.artifacts.provenance import run_file
from benchmark.schema import LANGUAGE_MODELS, Cell
from benchmark.statistics.results import MetricRow

ChanceOf = Callable[[Cell, Mapping[str, Any]], float]
"""What chance reaches in the validations of a cell, whose record is given."""
FAMILIES = {"tuned": "tuned cells", "baseline": "cells of baselines"}
"""Families that choose a checkpoint, as a sentence names their cells."""

GROSS = 0.1
"""Difference of validation and test AUC that calls for a look, beyond the margins of both."""
UNANSWERED = 0.01
"""Mean probability of both answers together below which a score is no opinion."""
N_NAMED = 3
"""Cells that a sentence names; of more, the first ones and how many follow."""


def doubts(rows: Sequence[MetricRow], chance_of: ChanceOf) -> list[str]:
    """One sentence a kind of doubt, with the cells concerned; the validation of several domains is not judged.

    Args:
        rows: the results.
        chance_of: what chance reaches in the validations of a cell.
    """
    at_chance: dict[str, list[str]] = defaultdict(list)
    disagreeing: dict[str, list[str]] = defaultdict(list)
    for row, best, chance in _validated(rows, chance_of):
        if best <= chance:
            at_chance[row.cell.family].append(f"{row.cell} ({100 * best:.1f}, chance up to {100 * chance:.1f})")
        elif row.auc is not None and _disagree(row, best, chance):
            disagreeing[row.cell.family].append(f"{row.cell} ({100 * best:.1f} against {100 * row.auc:.1f})")
    found = [
        f"The validation AUC (x100) never left chance in {len(cells)} of the {FAMILIES[family]}: {_listed(cells)}."
        for family, cells in at_chance.items()
    ]
    found += [
        f"Validation and test AUC (x100) disagree by more than {100 * GROSS:g} and the margins of both in "
        f"{len(cells)} of the {FAMILIES[family]}: {_listed(cells)}."
        for family, cells in disagreeing.items()
    ]
    unanswered = [f"{row.cell} ({mass:.1g})" for row, mass in _recorded(rows, "answer_mass") if mass < UNANSWERED]
    if unanswered:
        found.append(
            f"In {len(unanswered)} of the cells the model gives both answers together less than {UNANSWERED:.0%} of "
            f"the probability, so that its score is no opinion: {_listed(unanswered)}."
        )
    truncated = [f"{row.cell} ({n} of {row.n_samples})" for row, n in _recorded(rows, "n_truncated") if n]
    if truncated:
        found.append(
            f"In {len(truncated)} of the cells prompts were longer than the model has positions for, so that "
            f"demonstrations or the oldest of the history were left out: {_listed(truncated)}."
        )
    return found


def _recorded(rows: Sequence[MetricRow], name: str) -> Iterator[tuple[MetricRow, float]]:
    """Rows of language models with a value of their records, where it is there."""
    for row in rows:
        path = run_file(row.cell)
        if row.cell.family in LANGUAGE_MODELS and path.exists():
            value = read_json(path).get(name)
            if value is not None:
                yield row, value


def _listed(cells: Sequence[str]) -> str:
    more = [f"and {len(cells) - N_NAMED} more"] if len(cells) > N_NAMED else []
    return "; ".join([*cells[:N_NAMED], *more])


def _validated(rows: Sequence[MetricRow], chance_of: ChanceOf) -> Iterator[tuple[MetricRow, float, float]]:
    """Rows that chose a checkpoint, with its validation AUC on the same domain, and what chance reaches there."""
    for row in rows:
        if row.cell.family not in FAMILIES or row.cell.train_domain != row.cell.test_domain:
            continue
        is_tuned = row.cell.family == "tuned"
        path = run_file(row.cell, "runs/tune") if is_tuned else run_file(row.cell)
        if path.exists():
            record = read_json(path)
            best = record.get("best_auc" if is_tuned else "valid_auc")
            if best is not None:
                yield row, best, chance_of(row.cell, record)


def _disagree(row: MetricRow, best: float, chance: float) -> bool:
    if row.auc is None or row.auc_low is None or row.auc_high is None:
        return False
    margin = chance - 0.5
    is_outside = not row.auc_low - margin <= best <= row.auc_high + margin
    return is_outside and abs(best - row.auc) > GROSS
