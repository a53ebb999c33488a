"""What the records of a run say against its results, which are shown all the same, with a warning.

A validation that was never better than chance, or that the test disagrees with; and answers that the model never
gives, so that the score is made of what is left of the probability; and prompts for which the model has no room.
"""

from collections.abc import Iterator, Sequence

from benchmark.artifacts.files import read_json
from benchmark.artifacts.provenance import run_file
from benchmark.statistics.results import MetricRow

GROSS = 0.1
"""Difference of validation and test AUC that calls for a look, beyond the margins of both."""
UNANSWERED = 0.01
"""Mean probability of both answers together below which a score is no opinion."""
N_NAMED = 3
"""Cells that a sentence names; of more, the first ones and how many follow."""


def doubts(rows: Sequence[MetricRow]) -> list[str]:
    """One sentence a kind of doubt, with the cells concerned; the validation of several domains is not judged."""
    at_chance: list[str] = []
    disagreeing: list[str] = []
    for row, best, chance in _validated(rows):
        if best <= chance:
            at_chance.append(f"{row.cell} ({best:.3f}, chance up to {chance:.3f})")
        elif _disagree(row, best, chance):
            disagreeing.append(f"{row.cell} ({best:.3f} against {row.auc:.3f})")
    found: list[str] = []
    if at_chance:
        found.append(
            f"The validation AUC never left chance in {len(at_chance)} of the tuned cells: {_listed(at_chance)}."
        )
    if disagreeing:
        found.append(
            f"Validation and test AUC disagree by more than {GROSS} and the margins of both in {len(disagreeing)} of "
            f"the tuned cells: {_listed(disagreeing)}."
        )
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
        if row.cell.family in ("icl", "tuned") and path.exists():
            value = read_json(path).get(name)
            if value is not None:
                yield row, value


def _listed(cells: Sequence[str]) -> str:
    more = [f"and {len(cells) - N_NAMED} more"] if len(cells) > N_NAMED else []
    return "; ".join([*cells[:N_NAMED], *more])


def _validated(rows: Sequence[MetricRow]) -> Iterator[tuple[MetricRow, float, float]]:
    """Rows of tuned cells with the best validation AUC on the same domain, and what chance reaches there."""
    for row in rows:
        path = run_file(row.cell, "runs/tune")
        if row.cell.family == "tuned" and row.cell.train_domain == row.cell.test_domain and path.exists():
            record = read_json(path)
            if record.get("best_auc") is not None:
                yield row, record["best_auc"], record["chance_auc"]


def _disagree(row: MetricRow, best: float, chance: float) -> bool:
    if row.auc is None or row.auc_low is None or row.auc_high is None:
        return False
    margin = chance - 0.5
    is_outside = not row.auc_low - margin <= best <= row.auc_high + margin
    return is_outside and abs(best - row.auc) > GROSS
