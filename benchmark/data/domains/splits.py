"""Positional splits, their times and the items that occur in them: what the readers of whole datasets share."""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, TypeVar

from pydantic import AfterValidator

from benchmark.artifacts.paths import SPLITS
from benchmark.config.params import Fraction
from benchmark.schema import Item, Labelled, item_ids

Row = TypeVar("Row")


def _parts_of_one(fractions: tuple[float, float, float]) -> tuple[float, float, float]:
    if min(fractions) <= 0 or not math.isclose(sum(fractions), 1):
        raise ValueError("expected three fractions above 0 that sum to 1 (train, valid, test)")
    return fractions


SplitFractions = Annotated[tuple[Fraction, Fraction, Fraction], AfterValidator(_parts_of_one)]
"""Shares of train, valid and test."""


def boundaries(n_rows: int, fractions: Sequence[float]) -> tuple[int, int]:
    """Rows before the first validation row and before the first test row, rounded down as released."""
    # 0.7 + 0.1 is a little under 0.8 in binary; without the margin a row would change sides.
    return int(n_rows * fractions[0] + 1e-9), int(n_rows * (fractions[0] + fractions[1]) + 1e-9)


def split_in_order(rows: Sequence[Row], fractions: Sequence[float]) -> dict[str, tuple[Row, ...]]:
    """The first rows are train, the next valid, the last test."""
    first, second = boundaries(len(rows), fractions)
    return dict(zip(SPLITS, (tuple(rows[:first]), tuple(rows[first:second]), tuple(rows[second:])), strict=True))


def target_times(times: Sequence[int], fractions: Sequence[float]) -> dict[str, list[str]]:
    """First and last day (UTC) of the targets of each split: shows whether the split is one in time.

    Args:
        times: of the target of each row, in the order of the split, seconds since 1970.
        fractions: of the rows in each split.
    """
    splits = split_in_order(times, fractions)
    ends = {split: (min(values), max(values)) for split, values in splits.items() if values}
    return {
        split: [datetime.fromtimestamp(end, UTC).date().isoformat() for end in both] for split, both in ends.items()
    }


def occurring(items: Mapping[str, Item], samples: Iterable[Labelled]) -> dict[str, Item]:
    """Those of `items` that are a target or stand in a history."""
    return {item_id: items[item_id] for item_id in sorted(item_ids(row.sample for row in samples))}
