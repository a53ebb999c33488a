"""Layers that hold one set of weights a replica, so that all seeds and weight decays of a model train in one run.

A replica is one training run: it has a seed, and everything random in it (initial values, dropout, batches) comes
from a generator of its own, in a fixed order. So a replica gets the same numbers alone and in company; only the
rounding of matrix products may differ. The first dimension of every weight and every activation is the replica, R.
"""

from collections.abc import Sequence
from math import sqrt

import torch
from torch import Tensor, nn

from benchmark.seeding import derive_seed


class Replicas:
    """The generators of the replicas.

    Args:
        seeds: seed of each replica; two with one seed draw the same numbers.
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        self.seeds = tuple(seeds)
        self._generators = [torch.Generator().manual_seed(derive_seed("baseline", seed)) for seed in seeds]

    def __len__(self) -> int:
        return len(self.seeds)

    def normal(self, sd: float, *shape: int) -> Tensor:
        """N(0, sd^2); shape (R, *shape)."""
        return torch.stack([torch.randn(shape, generator=generator) * sd for generator in self._generators])

    def uniform(self, bound: float, *shape: int) -> Tensor:
        """U(-bound, bound); shape (R, *shape)."""
        draws = [torch.rand(shape, generator=generator) for generator in self._generators]
        return (torch.stack(draws) * 2 - 1) * bound

    def permutations(self, n_rows: int, n_first: int) -> Tensor:
        """The first `n_first` of a permutation of `n_rows` rows; shape (R, n_first)."""
        return torch.stack([torch.randperm(n_rows, generator=g)[:n_first] for g in self._generators])


class Linear(nn.Module):
    """A linear layer with bias, with torch's initial values: U(-b, b) with b = 1 / sqrt(n_in)."""

    def __init__(self, replicas: Replicas, n_in: int, n_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(replicas.uniform(1 / sqrt(n_in), n_in, n_out))
        self.bias = nn.Parameter(replicas.uniform(1 / sqrt(n_in), 1, n_out))

    def forward(self, x: Tensor) -> Tensor:
        """(R, n, n_in) -> (R, n, n_out)."""
        return torch.baddbmm(self.bias, x, self.weight)


class LayerNorm(nn.Module):
    """Layer normalisation over the last dimension, with a gain and a bias a replica."""

    def __init__(self, replicas: Replicas, size: int) -> None:
        super().__init__()
        self.size = size
        self.gain = nn.Parameter(torch.ones(len(replicas), 1, size))
        self.bias = nn.Parameter(torch.zeros(len(replicas), 1, size))

    def forward(self, x: Tensor) -> Tensor:
        """(R, n, size) -> the same shape."""
        return nn.functional.layer_norm(x, (self.size,)) * self.gain + self.bias


class Dropout(nn.Module):
    """Inverted dropout, each replica with its own draws; nothing in evaluation mode."""

    def __init__(self, replicas: Replicas, rate: float) -> None:
        super().__init__()
        self.replicas, self.rate = replicas, rate

    def forward(self, x: Tensor) -> Tensor:
        """(R, ...) -> the same shape."""
        if not self.training or self.rate == 0:
            return x
        kept = self.replicas.uniform(1.0, *x.shape[1:]) >= 2 * self.rate - 1
        return x * kept * (1 / (1 - self.rate))
