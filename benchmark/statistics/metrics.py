"""The metrics: each is a column of `results/metrics.csv`, of `metrics.json`, and of the report.

Adding one is one function and one entry of `METRICS`; it re-runs no method.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from benchmark.errors import MetricError
from benchmark.statistics.auc import Floats, checked
from benchmark.statistics.influence import Measured, auc_of_pairs, mean_of_users, mean_of_users_by_pairs
from benchmark.statistics.labels import TestRows


@dataclass(frozen=True, slots=True)
class Metric:
    """A number that one cell gets from its labels, scores and users."""

    title: str
    """Heading of its column on the page."""
    meaning: str
    """What it is, for the note below the table; no full stop."""
    measure: Callable[[TestRows, Floats], Measured | None]
    """Of the rows of a test set and their scores, shape (n_rows,), finite, on any scale, higher = more likely liked.
    The value lies in [0, 1], higher is better, the same in any order of the rows; None where it is not defined."""


def auc(rows: TestRows, scores: Floats) -> Measured | None:
    """P(score of a liked target item > score of a disliked one); a tie counts one half."""
    return auc_of_pairs(rows.is_liked, scores, rows.user_numbers, np.zeros(len(scores), dtype=np.int64))


def equal_share_auc(rows: TestRows, scores: Floats) -> Measured | None:
    """AUC of pairs of rows whose histories have the same share of likes: what a score adds to that rule."""
    return auc_of_pairs(rows.is_liked, scores, rows.user_numbers, rows.share_numbers)


def uauc(rows: TestRows, scores: Floats) -> Measured | None:
    """Within-user AUC: the plain mean of the AUCs of all users who have both labels.

    Source:
        The UAUC of CoLLM (arXiv 2310.19488) and its released code, which takes the unweighted mean.
    """
    return mean_of_users(rows.is_liked, scores, rows.user_numbers)


def uauc_by_pairs(rows: TestRows, scores: Floats) -> Measured | None:
    """Within-user AUC where each pair counts the same, so that users with many rows count more."""
    return mean_of_users_by_pairs(rows.is_liked, scores, rows.user_numbers)


METRICS: Mapping[str, Metric] = {
    "auc": Metric("AUC", "share of pairs of a liked and a disliked row that are in order", auc),
    "equal_share_auc": Metric(
        "AUC at equal share",
        "the same among rows with the same share of likes in the history, so that this rule has 50",
        equal_share_auc,
    ),
    "uauc": Metric("UAUC", "mean over users who have both labels; scores of different users are never compared", uauc),
    "uauc_by_pairs": Metric("UAUC by pairs", "the same, each pair counting alike", uauc_by_pairs),
}
"""The metrics by the names of their columns, in the order of the columns."""
OTHERS = tuple(name for name in METRICS if name != "auc")


def measured(rows: TestRows, scores: Floats) -> dict[str, Measured | None]:
    """Every metric of one cell, by name.

    Args:
        rows: of its test set.
        scores: shape (n_rows,), in their order.

    Raises:
        MetricError: a score is not finite, one label alone is there, or a value is not in [0, 1].
    """
    checked(rows.is_liked, scores)
    found = {name: metric.measure(rows, scores) for name, metric in METRICS.items()}
    for name, one in found.items():
        if one is not None and not 0 <= one.value <= 1:
            raise MetricError(f"metric {name!r}: expected a value in [0, 1], got {one.value}")
    return found
