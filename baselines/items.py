"""What a model has one row of for each item: input embeddings and output rows.

The released models hold a row for every item of the catalogue. Here only the items of a task have one, which changes no
score: a row that no sample reads meets no score. Of the rest, a row that no training row reads gets no gradient; under
Adam with coupled decay it moves all the same, and alike in all models, whatever they learn. So there are two kinds:

- *learned* rows (`ItemRows.learned`), of the items in the training rows, one set a replica;
- *idle* rows (`IdleRows`), of the items to be scored, one set a seed and decay, shared by all replicas that have them.

The initial values of a row are hashed from role, item and seed, so they do not depend on which other items there are.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from math import sqrt

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.seeding import derive_seed

EMBEDDING_SD = 0.01
"""released: item embeddings start as N(0, 0.01)."""
VALUES_AT_ONCE = 1 << 17
"""Idle values advanced together: few enough to stay in the cache of a core."""

InitialRows = Callable[[Sequence[str], int], Tensor]
"""(item ids, seed) -> rows (n_items, size)."""


def embeddings(size: int) -> InitialRows:
    """Rows of `size` values from N(0, 0.01)."""

    def rows(item_ids: Sequence[str], seed: int) -> Tensor:
        first, second = (_uniform(f"embedding {half}", item_ids, seed, size) for half in (1, 2))
        normal = np.sqrt(-2 * np.log(first)) * np.cos(2 * np.pi * second)  # Box-Muller
        return torch.from_numpy((normal * EMBEDDING_SD).astype(np.float32))

    return rows


def logit_rows(state_size: int) -> InitialRows:
    """Rows of weights and, last, a bias: U(-b, b) with b = 1 / sqrt(state_size), as in torch's linear layer."""

    def rows(item_ids: Sequence[str], seed: int) -> Tensor:
        uniform = _uniform("logit", item_ids, seed, state_size + 1)
        return torch.from_numpy(((uniform * 2 - 1) / sqrt(state_size)).astype(np.float32))

    return rows


def _uniform(role: str, item_ids: Sequence[str], seed: int, size: int) -> NDArray[np.float64]:
    """Values in (0, 1], hashed from role, item, seed and column; shape (n_items, size)."""
    salt = derive_seed("item rows", role, seed).to_bytes(8, "little")
    digests = b"".join(hashlib.blake2b(i.encode(), digest_size=8, key=salt).digest() for i in item_ids)
    keys = np.frombuffer(digests, dtype=np.uint64)
    columns = np.arange(1, size + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = keys[:, None] + columns[None, :]  # SplitMix64 from here on; it wraps around on purpose
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    return ((mixed >> np.uint64(11)).astype(np.float64) + 1) / 2**53


class IdleRows:
    """Rows under Adam with coupled decay and no other gradient, as they are after any number of updates.

    Args:
        item_ids: the items.
        initial: their initial values.
        conditions: (seed, weight decay) of each set of rows.
        learning_rate: of Adam.
    """

    def __init__(
        self,
        item_ids: Sequence[str],
        initial: InitialRows,
        conditions: Sequence[tuple[int, float]],
        learning_rate: float,
    ) -> None:
        starts: Mapping[int, Tensor] = {seed: initial(item_ids, seed) for seed, _ in conditions}
        self.values = torch.stack([starts[seed] for seed, _ in conditions])
        """(n_conditions, n_items, size)."""
        self._optimizers: list[torch.optim.Optimizer] = []
        no_gradient = torch.zeros(VALUES_AT_ONCE)
        for values, (_, decay) in zip(self.values, conditions, strict=True):
            for part in values.view(-1).split(VALUES_AT_ONCE) if decay else ():
                part.grad = no_gradient[: len(part)]
                self._optimizers.append(torch.optim.Adam([part], learning_rate, weight_decay=decay, fused=True))
        self.n_updates = 0

    def advance(self, n_updates: int) -> None:
        """Go on to the values after `n_updates` updates from the start."""
        for optimizer in self._optimizers:
            for _ in range(self.n_updates, n_updates):
                optimizer.step()
        self.n_updates = n_updates


class ItemRows(nn.Module):
    """Learned rows of the items in the training rows, one set a replica.

    Args:
        item_ids: the items in the training rows.
        initial: initial values of all rows.
        seeds: seed of each replica.
    """

    def __init__(self, item_ids: Sequence[str], initial: InitialRows, seeds: Sequence[int]) -> None:
        super().__init__()
        self.index = {item_id: row for row, item_id in enumerate(item_ids)}
        starts = {seed: initial(item_ids, seed) for seed in set(seeds)}
        self.learned = nn.Parameter(torch.stack([starts[seed] for seed in seeds]))
        """(R, n_items, size)."""
        self._asked: Sequence[str] | None = None

    def look_up(self, rows: Tensor) -> Tensor:
        """Rows (R, ...) of learned items, each replica its own -> (R, ..., size)."""
        n_replicas, n_items, size = self.learned.shape
        first = torch.arange(n_replicas).view(-1, *[1] * (rows.dim() - 1)) * n_items
        return nn.functional.embedding(rows + first, self.learned.view(-1, size))

    def put_learned(self, item_ids: Sequence[str], table: Tensor) -> None:
        """Write the learned rows over those of the same items in `table`.

        Args:
            item_ids: the items of `table`.
            table: rows (R, n_items, size), changed in place.
        """
        if item_ids is not self._asked:  # a search worth keeping: the same items are asked for at each validation
            both = [(place, self.index[item_id]) for place, item_id in enumerate(item_ids) if item_id in self.index]
            self._asked, self._both = item_ids, torch.tensor(both, dtype=torch.int64).view(-1, 2)
        places, rows = self._both.unbind(1)
        table[:, places] = self.learned.detach()[:, rows]
