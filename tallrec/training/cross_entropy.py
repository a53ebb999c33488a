"""Cross entropy over a large vocabulary in bfloat16, its gradient computed beside it a few positions at a time.

torch's `linear_cross_entropy` sums either in bfloat16, which leaves three digits of the loss, or in float32 with every
product computed twice. The method is that of Liger (arXiv 2410.10989, section 3.2).
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


class SummedCrossEntropy(torch.autograd.Function):
    """Sum of the cross entropies of `hidden @ weight.T + bias`, in float32; differentiable by `hidden` alone."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, n_at_a_time: int
    ) -> Tensor:
        """Loss, and at once its gradient.

        Args:
            ctx: of autograd.
            hidden: shape (n, width).
            weight: shape (vocabulary, width), without a gradient of its own.
            bias: shape (vocabulary,).
            targets: shape (n,), token ids.
            n_at_a_time: positions whose logits exist together.
        """
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        gradient = torch.empty_like(hidden)
        parts = zip(hidden.split(n_at_a_time), targets.split(n_at_a_time), gradient.split(n_at_a_time), strict=True)
        for states, right, of_states in parts:
            logits = functional.linear(states, weight, bias).float()
            normaliser = logits.logsumexp(dim=-1, keepdim=True)
            chosen = right[:, None]
            total += (normaliser - logits.gather(1, chosen)).sum()
            surplus = logits.sub_(normaliser).exp_()  # probabilities, in the memory of the logits
            surplus.scatter_add_(1, chosen, -torch.ones_like(chosen, dtype=surplus.dtype))
            of_states.copy_(surplus.to(weight.dtype) @ weight)
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """The gradient of `forward`, times that of what was made of the sum."""
        (gradient,) = ctx.saved_tensors
        return (gradient * gradients[0]).to(gradient.dtype), None, None, None, None
