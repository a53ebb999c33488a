"""What the validation of a tuning says against its result: it was never better than chance, or the test disagrees.

Stage `tune` notes both validation numbers in `runs/tune/`. Neither finding makes a result invalid, so that it is shown
with a warning.
"""

from collections.abc import Iterator, Sequence

from benchmark.files import read_json
from benchmark.provenance import run_file
from benchmark.results import MetricRow

GROSS = 0.1
"""Difference of validation and test AUC that calls for a look, beyond the margins of both."""
N_NAMED = 3
"""Cells that a sentence names; of more, the first ones and how many follow."""


def doubts(rows: Sequence[MetricRow]) -> list[str]:
    """One sentence a kind of doubt, with the cells concerned. A cell tuned on several domains is not judged."""
    at_chance: list[str] = []
    disagreeing: list[str] = []
    for row, best, chance in _validated(rows):
        if best <= chance:
            at_chance.append(f"{row.cell} ({best:.3f}, chance up to {chance:.3f})")
        elif _disagree(row, best, chance):
            disagreeing.append(f"{row.cell} ({best:.3f} against {row.auc:.3f})")
    found: list[str] = []
    if at_chance:
        found.append(f"The validation AUC of {len(at_chance)} tuned cells never left chance: {_listed(at_chance)}.")
    if disagreeing:
        found.append(
            f"Validation and test AUC of {len(disagreeing)} tuned cells disagree by more than {GROSS} and the margins "
            f"of both: {_listed(disagreeing)}."
        )
    return found


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
