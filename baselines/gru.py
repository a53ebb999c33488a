"""A stack of gated recurrent units for many replicas at once, with the gradient written out.

The equations are those of `torch.nn.GRU`, which has no replica dimension. What autograd would do in a thousand small
steps is done here in a few matrix products over all time steps.
"""

from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn

from baselines.replicas import Replicas


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
        # The recurrent bias of r and z joins that of the input; that of c is multiplied by r.
        bias = b_in + torch.cat([b_rec[..., : 2 * size], torch.zeros_like(b_rec[..., 2 * size :])], dim=-1)
        gates = torch.bmm(steps.reshape(n_replicas, length * n, n_in), w_in).add_(bias)
        gates = gates.view(n_replicas, length, n, 3 * size)  # becomes r, z, c of each step, in place
        remembered = steps.new_empty(n_replicas, length, n, size)  # what r is applied to
        states = steps.new_empty(n_replicas, length, n, size)
        before = torch.zeros_like(states[:, 0])
        for t in range(length):
            if t:
                recurrent = torch.bmm(before, w_rec)
                gates[:, t, :, : 2 * size].add_(recurrent[..., : 2 * size])
                torch.add(recurrent[..., 2 * size :], b_rec[..., 2 * size :], out=remembered[:, t])
            else:
                remembered[:, t] = b_rec[..., 2 * size :]
            reset, update = gates[:, t, :, : 2 * size].sigmoid_().split(size, dim=-1)
            candidate = _tanh_(gates[:, t, :, 2 * size :].addcmul_(reset, remembered[:, t]))
            before = torch.lerp(candidate, before, update, out=states[:, t])
        ctx.save_for_backward(steps, w_in, w_rec, gates, remembered, states)
        return states

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        steps, w_in, w_rec, gates, remembered, states = ctx.saved_tensors
        (grad_states,) = grad_outputs
        n_replicas, length, n, n_in = steps.shape
        size = w_rec.shape[1]
        to_input = torch.empty_like(gates)  # gradient at the gates, before their nonlinearity
        to_recurrent = torch.empty_like(gates)
        w_rec_transposed = w_rec.transpose(1, 2).contiguous()
        carried = torch.zeros_like(states[:, 0])
        for t in reversed(range(length)):
            grad = carried + grad_states[:, t]
            reset, update, candidate = gates[:, t].split(size, dim=-1)
            before = states[:, t - 1] if t else torch.zeros_like(candidate)
            d_candidate = (1 - candidate * candidate).mul_(grad).mul_(1 - update)
            d_update = (before - candidate).mul_(grad).mul_(update * (1 - update))
            d_reset = (d_candidate * remembered[:, t]).mul_(reset * (1 - reset))
            torch.cat([d_reset, d_update, d_candidate], dim=-1, out=to_input[:, t])
            torch.cat([d_reset, d_update, d_candidate * reset], dim=-1, out=to_recurrent[:, t])
            if t:
                carried = torch.bmm(to_recurrent[:, t], w_rec_transposed).addcmul_(grad, update)
        flat_input = to_input.view(n_replicas, length * n, 3 * size)
        flat_before = states[:, :-1].reshape(n_replicas, (length - 1) * n, size)
        flat_recurrent = to_recurrent[:, 1:].reshape(n_replicas, (length - 1) * n, 3 * size)
        d_steps = torch.bmm(flat_input, w_in.transpose(1, 2)).view_as(steps) if ctx.needs_input_grad[0] else None
        return (
            d_steps,
            torch.bmm(steps.reshape(n_replicas, length * n, n_in).transpose(1, 2), flat_input),
            flat_input.sum(1, keepdim=True),
            torch.bmm(flat_before.transpose(1, 2), flat_recurrent),
            to_recurrent.sum((1, 2)).unsqueeze(1),
        )
