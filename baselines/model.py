"""What a model file gives: an encoder of histories, and a term of the loss if it has one of its own."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from baselines.replicas import Replicas

Penalty = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
"""(states (R, n, state_size), output rows (R, n_items, state_size + 1), targets (R, n), counts, n_others) -> (R,).

Counts (R, n_items) are the training rows of a replica with that target: 0 for the targets of other replicas, which are
not its business. n_others (R, 1) is the number of items to validate on that are no training target of the replica."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What an encoder has to know to be built."""

    replicas: Replicas
    n_in: int
    """Width of a step: the text of the item where there is one, its embedding, the like flag as the last coordinate."""
    length: int
    """Steps of a history."""


@dataclass(frozen=True, slots=True)
class Model:
    """A conventional recommender without its head."""

    encoder: nn.Module
    """Steps (R, length, n, n_in), oldest first -> states (R, n, state_size)."""
    state_size: int
    penalty: Penalty | None = None
    reads_text: bool = False
    """Whether a step begins with the text vector of its item."""
