"""The protocol, audited: what splits share, how test rows hang together, and how many labels a K-shot result uses."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

from benchmark.artifacts import files, paths
from benchmark.config.params import Params
from benchmark.schema import Labelled, Sample, reveals
from benchmark.statistics.labels import TestRows

AUDIT_JSON = Path("results/audit.json")
SIDES = ("llm", "conventional")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A prepared domain with its test labels."""

    splits: Mapping[str, Sequence[Labelled]]
    """`train`, `valid` and `test`, in file order."""
    targets_drawn: Mapping[int, Sequence[frozenset[str]]]
    """Training targets of each few-shot draw, by K."""
    target_times: Mapping[str, Sequence[str]] | None
    """First and last day of the targets of each split; None where the reader found no timestamps."""


def read_prepared(domain: str, truth: TestRows, params: Params) -> Prepared:
    """The rows of a domain, its draws and what its reader noted of time.

    Raises:
        MissingArtifactError: the domain is not prepared or a draw is missing.
    """
    folder = paths.prepared_folder(domain)
    label_of = dict(zip(truth.sample_ids, truth.liked, strict=True))
    train, valid = (files.read_labelled(folder / f"{split}.parquet") for split in ("train", "valid"))
    test = [Labelled(sample, label_of[sample.sample_id]) for sample in files.read_samples(folder / "test.parquet")]
    target_of = {row.sample.sample_id: row.sample.target_item_id for row in train}
    drawn: dict[int, list[frozenset[str]]] = {}
    for n_shots in params.grid.n_shots:
        for seed in params.grid.every_seed:
            ids = files.read_json(paths.draw_folder(domain, n_shots, seed) / "draw.json")["ids"]
            # Where both sides share their rows, they are one draw.
            for rows in {frozenset(ids[side]) for side in SIDES}:
                targets = frozenset(target_of[sample_id] for sample_id in rows)
                drawn.setdefault(n_shots, []).append(targets)
    notes = files.read_json(folder / "stats.json")["notes"]
    return Prepared({"train": train, "valid": valid, "test": test}, drawn, notes.get("target_times"))


def audit(prepared: Prepared, max_valid_samples: int | None) -> dict[str, Any]:
    """The findings on one domain, as `results/audit.json` holds them.

    Counts are of rows or users, shares are in [0, 1].

    Args:
        prepared: the domain.
        max_valid_samples: validation rows that rec-tuning looks at, `tune.max_valid_samples`; None = all.
    """
    splits = prepared.splits
    test = splits["test"]
    n_valid = len(splits["valid"])
    return {
        "splits": {name: _describe(rows) for name, rows in splits.items()},
        "overlap": {f"{a}-{b}": _overlap(splits[a], splits[b]) for a, b in combinations(splits, 2)},
        "test_targets_ever_a_training_target": {
            "all rows": _share_seen(test, [frozenset(row.sample.target_item_id for row in splits["train"])]),
            **{f"K={n_shots}": _share_seen(test, draws) for n_shots, draws in prepared.targets_drawn.items()},
        },
        "adjacent_test_rows": max(len(test) - 1, 0),
        "adjacent_test_rows_that_reveal_a_label": sum(reveals(*pair) for pair in pairwise(test)),
        "test_labels_in_a_test_history": _n_revealed(test),
        "labels_to_choose_a_checkpoint": {
            "conventional": n_valid,
            "tuned": n_valid if max_valid_samples is None else min(n_valid, max_valid_samples),
        },
        "target_times": prepared.target_times and {name: list(times) for name, times in prepared.target_times.items()},
        "test_is_later_than_training": _is_later(prepared.target_times),
    }


def _describe(rows: Sequence[Labelled]) -> dict[str, Any]:
    n_rows_of = Counter(row.sample.user_id for row in rows)
    return {
        "rows": len(rows),
        "users": len(n_rows_of),
        "most_rows_of_a_user": max(n_rows_of.values()),
        "like_rate": sum(row.liked for row in rows) / len(rows),
    }


def _overlap(first: Sequence[Labelled], second: Sequence[Labelled]) -> dict[str, int]:
    contents = {_content(row.sample) for row in first}
    return {
        "users": len({row.sample.user_id for row in first} & {row.sample.user_id for row in second}),
        "rows": sum(_content(row.sample) in contents for row in second),
    }


def _content(sample: Sample) -> tuple[object, ...]:
    """What a row asks, whoever asks it: user ids of a released prompt are not known.

    Of plain values, which are compared several times faster than interactions.
    """
    history = sample.history
    return (*[event.item_id for event in history], *[event.liked for event in history], sample.target_item_id)


def _share_seen(test: Sequence[Labelled], draws: Sequence[frozenset[str]]) -> float:
    """Share of the test rows whose target was a training target, mean over the draws."""
    shares = [sum(row.sample.target_item_id in targets for row in test) / len(test) for targets in draws]
    return sum(shares) / len(shares)


def _n_revealed(test: Sequence[Labelled]) -> int:
    """Test rows whose target and label stand in the history of a test row of the same user."""
    told: dict[str, set[tuple[str, bool]]] = {}
    for row in test:
        told.setdefault(row.sample.user_id, set()).update([(e.item_id, e.liked) for e in row.sample.history])
    return sum((row.sample.target_item_id, row.liked) in told[row.sample.user_id] for row in test)


def _is_later(times: Mapping[str, Sequence[str]] | None) -> bool | None:
    """Whether every test target is later than every training target; None where times are not known."""
    return None if times is None else times["test"][0] > times["train"][-1]
