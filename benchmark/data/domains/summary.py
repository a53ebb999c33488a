"""What a prepared domain is like: sizes, like rates, and what its splits share."""

from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise
from typing import Any

from benchmark.data.domains import DomainData
from benchmark.schema import Labelled, item_ids, reveals


def describe(data: DomainData) -> dict[str, Any]:
    """The content of `stats.json`: each split and pair of splits, a further test set, and the reader's notes.

    Shares and rates are in [0, 1], or None for an empty split; an overlap counts users or target items, each
    once.
    """
    train_targets = {row.sample.target_item_id for row in data.splits["train"]}
    return {
        "splits": {split: _describe_split(rows) for split, rows in data.splits.items()},
        "overlap": {
            f"{first}-{second}": _overlap(data.splits[first], data.splits[second])
            for first, second in combinations(data.splits, 2)
        },
        "test_targets_seen_in_training": _share(
            [row.sample.target_item_id in train_targets for row in data.splits["test"]]
        ),
        **({"extended": _describe_split(data.extended)} if data.extended else {}),
        "notes": data.notes,
    }


def _describe_split(rows: Sequence[Labelled]) -> dict[str, Any]:
    lengths = [len(row.sample.history) for row in rows]
    return {
        "rows": len(rows),
        "users": len({row.sample.user_id for row in rows}),
        "items": len(item_ids(row.sample for row in rows)),
        "like_rate": _share([row.liked for row in rows]),
        "history_like_rate": _share([event.liked for row in rows for event in row.sample.history]),
        "history_length": _range(lengths),
        "targets_in_own_history": sum(
            any(event.item_id == row.sample.target_item_id for event in row.sample.history) for row in rows
        ),
        "adjacent_rows": max(len(rows) - 1, 0),
        "adjacent_rows_with_the_answer_before": sum(reveals(*pair) for pair in pairwise(rows)),
    }


def _overlap(first: Sequence[Labelled], second: Sequence[Labelled]) -> Mapping[str, int]:
    users = {row.sample.user_id for row in first} & {row.sample.user_id for row in second}
    targets = {row.sample.target_item_id for row in first} & {row.sample.target_item_id for row in second}
    return {"users": len(users), "targets": len(targets)}


def _share(values: Sequence[bool]) -> float | None:
    return sum(values) / len(values) if values else None


def _range(lengths: Sequence[int]) -> dict[str, float | None]:
    if not lengths:
        return {"min": None, "mean": None, "max": None}
    return {"min": min(lengths), "mean": sum(lengths) / len(lengths), "max": max(lengths)}
