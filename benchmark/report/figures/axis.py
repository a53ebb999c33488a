"""What every figure is made of: an axis in tenths of AUC, and results as marks on it."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from benchmark.report.tables.form import points
from benchmark.statistics.results import Summary


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled position on an axis."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A result: a dot with its interval."""

    x: float
    y: float
    low: float
    high: float
    label: str
    """In words, as for the text alternative."""


def axis(values: Iterable[float], first: float, last: float) -> tuple[Callable[[float], float], tuple[Tick, ...]]:
    """A linear axis in tenths of AUC around `values` and 0.5: its scale and its ticks."""
    known = [0.5, *values]
    low = max(0, math.floor(min(known) * 10 - 0.2))
    high = min(10, max(low + 2, math.ceil(max(known) * 10 + 0.2)))

    def scale(auc: float) -> float:
        return round(first + (last - first) * (auc * 10 - low) / (high - low), 1)

    return scale, tuple(Tick(scale(tenth / 10), str(10 * tenth)) for tenth in range(low, high + 1))


def ends(summary: Summary) -> tuple[float, float]:
    """The interval of a result; the value itself where there is none."""
    return summary.interval or (summary.auc, summary.auc)


def in_words(summary: Summary) -> str:
    """The value and its interval, times 100."""
    low, high = ends(summary)
    return points(summary.auc, 1) + (f" [{points(low, 1)}, {points(high, 1)}]" if summary.interval else "")
