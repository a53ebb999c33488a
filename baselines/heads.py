"""Heads: the state of a history and a target item -> logit. The head, not the encoder, decides the paper's table.

- `per_item` (released): an output row and bias an item. A target that was never a training target has an untrained
  row, whatever the history says.
- `tied`: the dot product of the projected state with the target's input embedding.
- `shared`: a small network over state and target embedding, the same for all items, so that what it learns about
  histories holds for targets it has never seen.
"""

from abc import abstractmethod

import torch
from torch import Tensor, nn

from baselines.items import InitialRows, embeddings, logit_rows
from baselines.replicas import Linear, Replicas

SHARED_SIZE = 64
"""ours: hidden units of the shared head, as many as the encoders have."""


class Head(nn.Module):
    """A head; `READS` says what its target rows are: `logit` rows of its own, or the input `embedding`s."""

    READS: str

    @abstractmethod
    def forward(self, states: Tensor, targets: Tensor) -> Tensor:
        """States (R, n, state_size) and target rows (R, n, row_size) -> logits (R, n)."""


class PerItem(Head):
    """The released head."""

    READS = "logit"

    def forward(self, states: Tensor, targets: Tensor) -> Tensor:
        """Row times state, and the bias in the last column."""
        return (states * targets[..., :-1]).sum(-1) + targets[..., -1]


class Tied(Head):
    """The state, projected to the size of an embedding, times the target's embedding."""

    READS = "embedding"

    def __init__(self, replicas: Replicas, state_size: int, item_size: int) -> None:
        super().__init__()
        self.project = Linear(replicas, state_size, item_size)

    def forward(self, states: Tensor, targets: Tensor) -> Tensor:
        """The dot product."""
        return (self.project(states) * targets).sum(-1)


class Shared(Head):
    """One hidden layer over state and target embedding."""

    READS = "embedding"

    def __init__(self, replicas: Replicas, state_size: int, item_size: int) -> None:
        super().__init__()
        self.hidden = Linear(replicas, state_size + item_size, SHARED_SIZE)
        self.output = Linear(replicas, SHARED_SIZE, 1)

    def forward(self, states: Tensor, targets: Tensor) -> Tensor:
        """The network's one output."""
        return self.output(self.hidden(torch.cat([states, targets], dim=-1)).relu()).squeeze(-1)


HEADS = ("per_item", "tied", "shared")


def head(name: str, replicas: Replicas, state_size: int, item_size: int) -> Head:
    """The head called `name`, one of `HEADS`."""
    match name:
        case "per_item":
            return PerItem()
        case "tied":
            return Tied(replicas, state_size, item_size)
        case "shared":
            return Shared(replicas, state_size, item_size)
        case _:
            raise ValueError(f"head {name!r} is not one of {', '.join(HEADS)}")


def initial_rows(reads: str, state_size: int, item_size: int) -> InitialRows:
    """Initial values of the rows that a head reads for a target."""
    return logit_rows(state_size) if reads == "logit" else embeddings(item_size)
