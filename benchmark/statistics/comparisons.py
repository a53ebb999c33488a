"""The differences that the report's table shows, paired by users, with p-values corrected within each table."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.schema import EXTENDED, Cell
from benchmark.statistics.estimates import Estimate, Estimates, Terms
from benchmark.statistics.results import csv_bytes

DIFFERENCES_CSV = Path("results/differences.csv")
SIDE_COLUMNS = ("family", "method", "train_domain", "n_shots")
COLUMNS = (
    *("metric", "test_domain"),
    *(f"{side}_{name}" for side in ("left", "right") for name in SIDE_COLUMNS),
    *("difference", "low", "high", "standard_error", "dof", "p_value", "p_adjusted"),
)
OTHERS = ("baseline", "control", "external")
"""Families that TALLRec is compared with."""
COMPARED = ("auc", "equal_share_auc", "uauc")
"""Metrics of which differences are told."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two groups of one test set, compared by one metric."""

    left: Cell
    right: Cell
    metric: str

    @property
    def terms(self) -> Terms:
        """Left minus right."""
        return {self.left: 1.0, self.right: -1.0}


@dataclass(frozen=True, slots=True)
class Difference:
    """Left minus right, the mean over seeds of each."""

    pair: Pair
    estimate: Estimate
    p_adjusted: float | None
    """Corrected for all pairs of its metric and test set; None without a spread."""


def table_pairs(groups: Iterable[Cell]) -> list[Pair]:
    """The pairs of the report's table: each row of the main table against TALLRec and against `liked_share`."""
    known = [group for group in groups if not group.test_domain.endswith(EXTENDED)]
    pairs: list[Pair] = []
    for left in known:
        is_main = left.family == "tuned" and left.method == f"tallrec-{left.test_domain}"
        for right in known:
            if right.test_domain != left.test_domain or left == right or right.family not in OTHERS:
                continue
            against_tallrec = is_main and right.n_shots in (0, left.n_shots)
            against_rule = left.family in ("baseline", "tuned", "external") and right.method == "liked_share"
            if against_tallrec or against_rule:
                pairs += [Pair(left, right, metric) for metric in COMPARED]
    return list(dict.fromkeys(pairs))


def compare(estimates: Estimates, pairs: Sequence[Pair]) -> list[Difference]:
    """The differences of the pairs that are known, in order; each table (metric, test set) is corrected by itself."""
    found = {pair: one for pair in pairs if (one := estimates.difference(pair.left, pair.right, pair.metric))}
    tables: dict[tuple[str, str], list[Pair]] = defaultdict(list)
    for pair, estimate in found.items():
        if estimate.spread:
            tables[pair.metric, pair.left.test_domain].append(pair)
    corrected: dict[Pair, float] = {}
    for members in tables.values():
        p_values = [found[pair].p_value or 0.0 for pair in members]
        adjusted = estimates.adjusted([(pair.terms, pair.metric) for pair in members], p_values)
        corrected |= dict(zip(members, adjusted, strict=True))
    return [Difference(pair, estimate, corrected.get(pair)) for pair, estimate in found.items()]


def differences_csv(differences: Iterable[Difference], confidence: float) -> bytes:
    """`results/differences.csv`, in the order given."""
    lines: list[tuple[object, ...]] = []
    for one in differences:
        pair, estimate = one.pair, one.estimate
        sides = [getattr(side, name) for side in (pair.left, pair.right) for name in SIDE_COLUMNS]
        spread = estimate.spread
        numbers = (estimate.value, *(estimate.interval(confidence) or (None, None)))
        errors = (spread.standard_error, spread.dof) if spread else (None, None)
        lines.append((pair.metric, pair.left.test_domain, *sides, *numbers, *errors, estimate.p_value, one.p_adjusted))
    return csv_bytes(COLUMNS, lines)
