"""Layers that hold one set of weights a replica, so that all seeds and weight decays of a model train in one run.

A replica is one training run: it has a seed, and everything random in it (initial values, dropout, batches) comes
from a generator of its own, in a fixed order. So a replica gets the same numbers alone and in company; only the
rounding of matrix products may differ. The first dimension of every weight and every activation is the replica, R.
"""

from collections.abc import Sequence
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.seeding import derive_seed

LARGE = 1 << 21
"""Multiplications a replica from which on oneDNN is faster than MKL, torch's own way: on CPUs of AMD up to twice."""
# Torch has oneDNN's product in float32 for its compiler alone, so a build may lack it.
_linear: Any = getattr(torch.ops.mkldnn, "_linear_pointwise", None) if torch.backends.mkldnn.is_available() else None


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


def product(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """(R, n, k), (R, k, m) and, to be added to each row, (R, 1, m) -> (R, n, m); without a gradient."""
    n_replicas, n, k = a.shape
    m = b.shape[2]
    if _linear is None or a.dtype != torch.float32 or a.device.type != "cpu" or n * k * m < LARGE:
        return torch.bmm(a, b) if bias is None else torch.baddbmm(bias, a, b)
    if not (b[0].is_contiguous() or b[0].t().is_contiguous()):
        b = b.contiguous()  # for others the operator has no fast way
    found = a.new_empty(n_replicas, n, m)
    for replica in range(n_replicas):
        added = None if bias is None else bias[replica, 0]
        found[replica] = _linear(a[replica], b[replica].t(), added, "none", [], "")
    return found


class Product(torch.autograd.Function):
    """`product` with its gradient."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
        """`product`; biases (R, 1, m) are learned like the matrices."""
        ctx.save_for_backward(a, b)
        ctx.has_bias = bias is not None
        return product(a, b, bias)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        """Two products more."""
        a, b = ctx.saved_tensors
        (grad,) = grad_outputs
        d_a = product(grad, b.transpose(1, 2)) if ctx.needs_input_grad[0] else None
        return d_a, product(a.transpose(1, 2), grad), grad.sum(1, keepdim=True) if ctx.has_bias else None


class Linear(nn.Module):
    """A linear layer with bias, with torch's initial values: U(-b, b) with b = 1 / sqrt(n_in)."""

    def __init__(self, replicas: Replicas, n_in: int, n_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(replicas.uniform(1 / sqrt(n_in), n_in, n_out))
        self.bias = nn.Parameter(replicas.uniform(1 / sqrt(n_in), 1, n_out))

    def forward(self, x: Tensor) -> Tensor:
        """(R, n, n_in) -> (R, n, n_out)."""
        return Product.apply(x, self.weight, self.bias)


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
