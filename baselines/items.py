"""What a model has one row of for each item: input embeddings and output rows.

The released models hold a row for every item of the catalogue, drawn in the order of the catalogue. Here
the rows are restricted to the items of a task; the initial values of a row come from a generator of its
own, seeded by item and seed. So they do not depend on which other items there are, and a score does not
depend on the other test samples. A row outside the task would get no gradient and meet no score: leaving it
out changes nothing.
"""

from collections.abc import Callable, Sequence
from math import sqrt

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from benchmark.seeding import derive_seed

NO_ITEM = 0
"""Row that stands for the absence of an interaction; the row of `item_ids[i]` is i + 1."""

EMBEDDING_SD = 0.01
"""released: item embeddings start as N(0, 0.01)."""


def item_embedding(item_ids: Sequence[str], size: int, seed: int) -> nn.Embedding:
    """Embeddings (len(item_ids) + 1, size), N(0, 0.01); row `NO_ITEM` is zero and stays zero."""
    rows = _rows(item_ids, "embedding", seed, lambda generator: generator.normal(0.0, EMBEDDING_SD, size))
    return nn.Embedding.from_pretrained(rows, freeze=False, padding_idx=NO_ITEM)


class ItemLogits(nn.Module):
    """A linear layer with bias whose outputs are the items, read only at the target.

    An item that is never a training target keeps untrained weights, whatever the history: this is why the
    released models stay near chance on few shots.
    """

    def __init__(self, item_ids: Sequence[str], state_size: int, seed: int) -> None:
        super().__init__()
        bound = 1 / sqrt(state_size)  # initial values of torch's linear layer, for weights and bias alike
        rows = _rows(item_ids, "logit", seed, lambda generator: generator.uniform(-bound, bound, state_size + 1))
        self.weight = nn.Parameter(rows[:, :-1].contiguous())
        self.bias = nn.Parameter(rows[:, -1:].contiguous())

    def forward(self, state: Tensor, target: Tensor) -> Tensor:
        """State (n, state_size) and rows of the targets (n,) -> logits (n,)."""
        return (state * embedding(target, self.weight)).sum(-1) + embedding(target, self.bias).squeeze(-1)


def _rows(item_ids: Sequence[str], role: str, seed: int, draw: Callable[[np.random.Generator], np.ndarray]) -> Tensor:
    rows = [draw(np.random.default_rng(derive_seed(role, item_id, seed))) for item_id in item_ids]
    return torch.from_numpy(np.stack([np.zeros_like(rows[0]), *rows])).float()
