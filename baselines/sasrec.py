"""SASRec as TALLRec compares with it: one block of self-attention over the history.

Paper: Kang and McAuley, Self-Attentive Sequential Recommendation, ICDM 2018.
Reference: the baseline scripts of SAI990323/TALLRec at 30b8a5e, with their values in `params.yaml`.
Differs from SASRec, as the scripts do: keys and values are not normalised, scores are divided by the root of the whole
width, there is no output projection, the residual adds the normalised query, positions start as N(0, 1).
Only the state after the last step is read, so query, residual and feed-forward layer are computed there alone.
"""

from math import sqrt

from torch import Tensor, nn

from baselines.model import Inputs, Model
from baselines.replicas import Dropout, LayerNorm, Linear


class SasRec(nn.Module):
    """Positions, attention from the last step, and a feed-forward layer."""

    def __init__(self, inputs: Inputs, n_heads: int, dropout: float) -> None:
        super().__init__()
        replicas, size = inputs.replicas, inputs.n_in
        self.n_heads = n_heads
        self.positions = nn.Parameter(replicas.normal(1.0, inputs.length, 1, size))
        self.query, self.key, self.value = (Linear(replicas, size, size) for _ in range(3))
        self.inner, self.outer = Linear(replicas, size, size), Linear(replicas, size, size)
        self.norm_query, self.norm_attended, self.norm_forward, self.norm_state = (
            LayerNorm(replicas, size) for _ in range(4)
        )
        self.dropout = Dropout(replicas, dropout)

    def forward(self, steps: Tensor) -> Tensor:
        """Steps (R, length, n, size) -> states (R, n, size)."""
        n_replicas, length, n, size = steps.shape
        steps = self.dropout(steps + self.positions)
        last = self.norm_query(steps[:, -1])  # (R, n, size)
        flat, by_head = steps.reshape(n_replicas, length * n, size), (n_replicas, length, n, self.n_heads, -1)
        keys, values = self.key(flat).view(by_head), self.value(flat).view(by_head)
        queries = self.query(last).view(n_replicas, 1, n, self.n_heads, -1)
        weights = ((queries * keys).sum(-1, keepdim=True) / sqrt(size)).softmax(1)  # (R, length, n, n_heads, 1)
        attended = (self.dropout(weights) * values).sum(1).flatten(2) + last
        attended = self.norm_attended(attended)
        forward = self.dropout(self.outer(self.inner(attended).relu()))
        return self.norm_state(self.norm_forward(forward + attended))


def model(inputs: Inputs, *, n_heads: int, dropout: float) -> Model:
    """The state is that of the last step.

    Args:
        inputs: what it is built for.
        n_heads: attention heads; they divide the width of a step.
        dropout: rate on steps, attention weights and the feed-forward layer.
    """
    return Model(SasRec(inputs, n_heads, dropout), inputs.n_in)
