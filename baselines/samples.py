"""Samples as tensors."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmark.schema import Sample

UNKNOWN_LABEL = 0.5
"""Like flag of an empty history, which has no interaction to repeat."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Rows of some replicas; the first dimension is 1 where all replicas have the same rows."""

    history: Tensor
    """(R, length, n), int64: rows of the items, oldest first; 0 also where there is no interaction."""
    liked: Tensor
    """(R, length, n), float32: 1 liked, 0 not, 0.5 no interaction."""
    target: Tensor
    """(R, n), int64: rows of the targets."""
    exists: Tensor | None
    """(R, length, n), float32: 0 where there is no interaction; None if every history has one."""

    @staticmethod
    def stacked(parts: Sequence["Encoded"]) -> "Encoded":
        """The rows of each replica, equally many, brought together."""
        exists = [part.exists for part in parts]
        given = [torch.ones_like(part.liked) if part.exists is None else part.exists for part in parts]
        return Encoded(
            torch.cat([part.history for part in parts]),
            torch.cat([part.liked for part in parts]),
            torch.cat([part.target for part in parts]),
            None if all(one is None for one in exists) else torch.cat(given),
        )

    def batch(self, rows: Tensor) -> "Encoded":
        """Of each replica its own rows (R, n_batch)."""
        steps = rows.unsqueeze(1).expand(-1, self.history.shape[1], -1)
        return Encoded(
            self.history.gather(2, steps),
            self.liked.gather(2, steps),
            self.target.gather(1, rows),
            None if self.exists is None else self.exists.gather(2, steps),
        )

    def split(self, n: int) -> Iterator["Encoded"]:
        """Parts of at most `n` rows."""
        for first in range(0, self.target.shape[1], n):
            part = slice(first, first + n)
            exists = None if self.exists is None else self.exists[..., part]
            yield Encoded(self.history[..., part], self.liked[..., part], self.target[..., part], exists)


def encode(samples: Sequence[Sample], items: Sequence[str], targets: Sequence[str], length: int) -> Encoded:
    """Samples as one replica's rows: the newest `length` interactions, shorter histories repeat their last one.

    Args:
        samples: what to encode.
        items: names of the rows of history items.
        targets: names of the rows of targets.
        length: interactions of a history.
    """
    row_of = {item_id: row for row, item_id in enumerate(items)}
    target_of = {item_id: row for row, item_id in enumerate(targets)}
    history, liked, is_empty = [], [], False
    for sample in samples:
        events = [(row_of[event.item_id], float(event.liked)) for event in sample.history[-length:]]
        is_empty = is_empty or not events
        padded = events + [events[-1] if events else (0, UNKNOWN_LABEL)] * (length - len(events))
        history.append([row for row, _ in padded])
        liked.append([flag for _, flag in padded])
    shape = (1, len(samples), length)
    flags = torch.tensor(liked, dtype=torch.float32).view(shape).transpose(1, 2).contiguous()
    return Encoded(
        torch.tensor(history, dtype=torch.int64).view(shape).transpose(1, 2).contiguous(),
        flags,
        torch.tensor([[target_of[sample.target_item_id] for sample in samples]], dtype=torch.int64),
        (flags != UNKNOWN_LABEL).float() if is_empty else None,
    )


def items_in_histories(samples: Sequence[Sample]) -> list[str]:
    """Items of all histories, sorted; a nameless one if there is none, so that row 0 can be read."""
    return sorted({event.item_id for sample in samples for event in sample.history}) or [""]


def targets_of(samples: Sequence[Sample]) -> list[str]:
    """Target items, sorted."""
    return sorted({sample.target_item_id for sample in samples})
