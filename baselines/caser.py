"""Caser as TALLRec compares with it: convolutions over the history as an image of steps and coordinates.

Paper: Tang and Wang, Personalized Top-N Sequential Recommendation via Convolutional Sequence Embedding, WSDM 2018.
Reference: the baseline scripts of SAI990323/TALLRec at 30b8a5e, with their values in `params.yaml`.
Differs from Caser: no user embedding, no layer between the convolutions and the head; the like flag is an input.
"""

from math import sqrt

import torch
from torch import Tensor, nn

from baselines.model import Inputs, Model
from baselines.replicas import Dropout, Product

INITIAL_BIAS = 0.1
"""released: biases of the convolutions."""


class Caser(nn.Module):
    """Horizontal filters of several heights with a maximum over time, and one vertical filter."""

    def __init__(self, inputs: Inputs, heights: tuple[int, ...], n_filters: int, dropout: float) -> None:
        super().__init__()
        replicas, n_replicas = inputs.replicas, len(inputs.replicas)
        self.heights, self.n_filters = heights, n_filters
        self.horizontal = nn.ParameterList(
            # Xavier's normal values, as for a convolution with one input channel
            replicas.normal(sqrt(2 / (h * inputs.n_in * (1 + n_filters))), h, inputs.n_in, n_filters)
            for h in heights
        )
        self.horizontal_bias = nn.Parameter(torch.full((n_replicas, 1, len(heights) * n_filters), INITIAL_BIAS))
        self.vertical = nn.Parameter(replicas.normal(sqrt(1 / inputs.length), inputs.length, 1, 1))
        self.vertical_bias = nn.Parameter(torch.full((n_replicas, 1, 1), INITIAL_BIAS))
        self.dropout = Dropout(replicas, dropout)

    def forward(self, steps: Tensor) -> Tensor:
        """Steps (R, length, n, n_in) -> states (R, n, len(heights) * n_filters + n_in)."""
        n_replicas, length, n, n_in = steps.shape
        # One product of every step with every row of every filter; a filter sums its rows over neighbouring steps.
        rows = torch.cat(
            [w.transpose(1, 2).flatten(2) for w in self.horizontal], dim=2
        )  # (R, n_in, sum(h) * n_filters)
        products = Product.apply(steps.reshape(n_replicas, length * n, n_in), rows).view(n_replicas, length, n, -1)
        found, first = [], 0
        for height in self.heights:
            own = products[..., first : first + height * self.n_filters].split(self.n_filters, dim=3)
            n_places = length - height + 1
            responses = own[0][:, :n_places]
            for offset, part in enumerate(own[1:], start=1):
                responses = responses + part[:, offset : offset + n_places]
            found.append(responses.amax(1))  # the ReLU does not change which place has the maximum
            first += height * self.n_filters
        horizontal = (torch.cat(found, dim=2) + self.horizontal_bias).relu()
        vertical = ((steps * self.vertical).sum(1) + self.vertical_bias).relu()
        return self.dropout(torch.cat([horizontal, vertical], dim=2))


def model(inputs: Inputs, *, heights: tuple[int, ...], n_filters: int, dropout: float) -> Model:
    """The state joins the responses of all filters.

    Args:
        inputs: what it is built for.
        heights: steps that a horizontal filter spans, one size each.
        n_filters: horizontal filters a height.
        dropout: rate on the state.
    """
    return Model(Caser(inputs, heights, n_filters, dropout), len(heights) * n_filters + inputs.n_in)
