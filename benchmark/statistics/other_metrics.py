"""The metrics beside AUC: each is a column of `results/metrics.csv`, of `metrics.json`, and of the report.

Adding one is one function and one entry of `OTHER_METRICS`; it re-runs no method. AUC has parts of its own elsewhere:
the interval in the same row, the verdicts, the regression gate. Of the others, UAUC alone has intervals and paired
differences (`comparisons`), and so UAUC alone may decide a claim.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmark.errors import MetricError
from benchmark.statistics.auc import Floats, user_auc


@dataclass(frozen=True, slots=True)
class OtherMetric:
    """A number that one cell gets from its labels, scores and users."""

    title: str
    """Heading of its column on the page."""
    meaning: str
    """What it is, for the note below the table; no full stop."""
    value: Callable[[Sequence[bool], Floats, Sequence[str]], float | None]
    """Of labels (True = liked), scores (finite, any scale, higher = more likely liked) and users, each of shape
    (n_samples,), both labels among them. In [0, 1], higher is better, the same in any order of the rows; None where it
    is not defined."""


OTHER_METRICS: Mapping[str, OtherMetric] = {
    "uauc": OtherMetric(
        title="UAUC",
        meaning="mean over users who have both labels; scores of different users are never compared",
        value=user_auc,
    ),
}
"""The metrics by the names of their columns, in the order of the columns."""


def other_metrics(labels: Sequence[bool], scores: Floats, users: Sequence[str]) -> dict[str, float | None]:
    """Every metric of `OTHER_METRICS` for one cell, by name.

    Args:
        labels: shape (n_samples,); True = liked.
        scores: shape (n_samples,), finite.
        users: shape (n_samples,), the user of each sample.

    Raises:
        MetricError: a value is not in [0, 1]; or as the metric itself.
    """
    found: dict[str, float | None] = {}
    for name, metric in OTHER_METRICS.items():
        value = metric.value(labels, scores, users)
        if value is not None and not 0 <= value <= 1:
            raise MetricError(f"metric {name!r}: expected a value in [0, 1], got {value}")
        found[name] = None if value is None else float(value)
    return found
