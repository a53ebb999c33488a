"""Training that ends with the same weights on every processor and with any number of threads.

Processors add in different orders, and a training of hundreds of updates doubles such differences until they decide
what the model has learned. Here all is computed in double precision, and after each update the weights are rounded to a
grid that is about 10^11 times as coarse as double precision is: the differences vanish before they can grow.
"""

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import LlamaForCausalLM, TrainerCallback

GRID = 2.0**-16
"""Distance of neighbouring weights: far below the steps of the optimizer, and held exactly by float32 up to 256."""


def in_double_precision(model: LlamaForCausalLM, seed: int) -> LlamaForCausalLM:
    """A copy of `model` that computes nothing in single precision, with new random weights on the grid.

    transformers' own layers norm and rotate in float32 whatever the precision of the weights is.

    Args:
        model: a LLaMA with the default rotary embedding; it gives the shape.
        seed: decides the weights; numpy draws them, whose numbers are the same everywhere.
    """
    exact: Any = copy.deepcopy(model).double()
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for parameter in exact.parameters():
            if parameter.ndim > 1:  # the others are norms, which start at 1
                drawn = rng.normal(scale=exact.config.initializer_range, size=tuple(parameter.shape))
                parameter.copy_(torch.from_numpy(drawn))
    for layer in exact.model.layers:
        layer.input_layernorm = _norm(layer.input_layernorm)
        layer.post_attention_layernorm = _norm(layer.post_attention_layernorm)
    exact.model.norm = _norm(exact.model.norm)
    exact.model.rotary_emb = _Rotary(exact.config)
    round_weights(exact)
    return exact


def round_weights(model: nn.Module) -> None:
    """Round all weights to the grid, in place."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(_rounded(parameter, GRID))


class RoundedWeights(TrainerCallback):
    """Rounds the weights after each update."""

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **keywords: Any) -> None:
        """Called between the update and the removal of its gradients."""
        del args, state, control
        round_weights(keywords["model"])


def _rounded(values: Tensor, grid: float) -> Tensor:
    return (values / grid).round() * grid


def _norm(norm: Any) -> nn.RMSNorm:
    """The norm of torch, which keeps the precision it is given, for LlamaRMSNorm; its weight has the same name."""
    exact = nn.RMSNorm(norm.weight.numel(), eps=norm.variance_epsilon, dtype=norm.weight.dtype)
    exact.weight = norm.weight
    return exact


class _Rotary(nn.Module):
    """LLaMA's rotary embedding in double precision, and rounded: libraries differ in the last bit of a cosine."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        width = config.hidden_size // config.num_attention_heads
        places = torch.arange(0, width, 2, dtype=torch.float64)
        self.frequencies = nn.Buffer(config.rope_parameters["rope_theta"] ** (-places / width), persistent=False)

    def forward(self, x: Tensor, position_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Cosine and sine by position, each of shape (1, n_positions, width of a head)."""
        del x
        angles = (position_ids[..., None] * self.frequencies).repeat(1, 1, 2)
        return _rounded(angles.cos(), GRID**1.5), _rounded(angles.sin(), GRID**1.5)
