"""A stack of gated recurrent units for many replicas at once, with the gradient written out.

The equations are those of `torch.nn.GRU`, which has no replica dimension. What autograd would do in a thousand small
steps is done here in a few matrix products over all time steps.
"""

from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn

from baselines.replicas import Replicas, product

sigmoid_backward, tanh_backward = torch.ops.aten.sigmoid_backward, torch.ops.aten.tanh_backward


class Gru(nn.Module):
    """`n_layers` GRU layers of `size` units; torch's initial values, U(-b, b) with b = 1 / sqrt(size)."""

    def __init__(self, replicas: Replicas, n_in: int, size: int, n_layers: int) -> None:
        super().__init__()
        bound = 1 / sqrt(size)
        self.n_layers = n_layers
        for layer in range(n_layers):
            for name, n_rows in (("input", n_in if layer == 0 else size), ("recurrent", size)):
                setattr(self, f"{name}_weight_{layer}", nn.Parameter(replicas.uniform(bound, n_rows, 3 * size)))
                setattr(self, f"{name}_bias_{layer}", nn.Parameter(replicas.uniform(bound, 1, 3 * size)))

    def forward(self, steps: Tensor) -> Tensor:
        """Steps (R, length, n, n_in), oldest first -> states of the top layer after the last step (R, n, size)."""
        for layer in range(self.n_layers):
            weights = (getattr(self, f"{name}_{layer}") for name in WEIGHTS)
            steps = _Layer.apply(steps, *weights)
        return steps[:, -1]


WEIGHTS = ("input_weight", "input_bias", "recurrent_weight", "recurrent_bias")


def _tanh_(x: Tensor) -> Tensor:
    """Tanh in place, through the sigmoid: on a CPU several times faster, and equal within rounding."""
    return x.mul_(2).sigmoid_().mul_(2).sub_(1)


class _Layer(torch.autograd.Function):
    """One layer: reset r, update z and candidate c of each step; h' = (1 - z) c + z h.

    The gates stand in the order r, z, c along the last dimension of the weights, as in torch.
    """

    @staticmethod
    def forward(ctx: Any, steps: Tensor, w_in: Tensor, b_in: Tensor, w_rec: Tensor, b_rec: Tensor) -> Tensor:
        n_replicas, length, n, n_in = steps.shape
        size = w_rec.shape[1]
        gates = product(steps.reshape(n_replicas, length * n, n_in), w_in, b_in)
        gates = gates.view(n_replicas, length, n, 3 * size)  # becomes r, z, c of each step, in place
        states = steps.new_empty(n_replicas, length, n, size)
        remembered: list[Tensor] = []  # what r is applied to
        before = torch.zeros_like(states[:, 0])
        for t in range(length):
            recurrent = product(before, w_rec, b_rec) if t else b_rec.expand(-1, n, -1)
            remembered.append(recurrent[..., 2 * size :])
            reset, update = gates[:, t, :, : 2 * size].add_(recurrent[..., : 2 * size]).sigmoid_().split(size, dim=-1)
            candidate = _tanh_(gates[:, t, :, 2 * size :].addcmul_(reset, remembered[t]))
            before = torch.lerp(candidate, before, update, out=states[:, t])
        ctx.save_for_backward(steps, w_in, w_rec, gates, states, *remembered)
        return states

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        steps, w_in, w_rec, gates, states, *remembered = ctx.saved_tensors
        (grad_states,) = grad_outputs
        n_replicas, length, n, n_in = steps.shape
        size = w_rec.shape[1]
        # Gradients at the gates before their nonlinearity: c, r, z and, for the recurrent part, c again. So those of
        # the input are the first three blocks, and those of the recurrent part the last three.
        at_gates = steps.new_empty(n_replicas, length, n, 4 * size)
        to_input, to_recurrent = at_gates[..., : 3 * size], at_gates[..., size:]
        w_rec_transposed = w_rec.transpose(1, 2)
        carried = torch.zeros_like(states[:, 0])
        for t in reversed(range(length)):
            grad = carried.add_(grad_states[:, t])
            reset, update, candidate = gates[:, t].split(size, dim=-1)
            d_candidate, d_reset, d_update, d_remembered = at_gates[:, t].split(size, dim=-1)
            before = states[:, t - 1] if t else torch.zeros_like(candidate)
            kept = grad * update
            tanh_backward(grad - kept, candidate, grad_input=d_candidate)
            sigmoid_backward((before - candidate).mul_(grad), update, grad_input=d_update)
            sigmoid_backward(d_candidate * remembered[t], reset, grad_input=d_reset)
            torch.mul(d_candidate, reset, out=d_remembered)
            if t:
                carried = product(to_recurrent[:, t], w_rec_transposed).add_(kept)
        flat = at_gates.view(n_replicas, length * n, 4 * size)[..., : 3 * size]
        flat_before = states[:, :-1].reshape(n_replicas, (length - 1) * n, size)
        flat_recurrent = to_recurrent[:, 1:].reshape(n_replicas, (length - 1) * n, 3 * size)
        d_w_in = product(steps.reshape(n_replicas, length * n, n_in).transpose(1, 2), flat)
        rolled = w_in.roll(size, dims=2)  # in the order c, r, z
        return (
            product(flat, rolled.transpose(1, 2)).view_as(steps) if ctx.needs_input_grad[0] else None,
            d_w_in.roll(-size, dims=2),
            to_input.sum((1, 2)).unsqueeze(1).roll(-size, dims=2),
            product(flat_before.transpose(1, 2), flat_recurrent),
            to_recurrent.sum((1, 2)).unsqueeze(1),
        )
