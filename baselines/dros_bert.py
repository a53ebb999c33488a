"""DROS-BERT as TALLRec compares with it: GRU-BERT with the robust term of DROS. No code was released."""

from dataclasses import replace

from baselines import dros
from baselines.model import Inputs, Model

HEADS = ("per_item",)
"""The robust term is about output rows."""


def model(inputs: Inputs, *, hidden_size: int, n_layers: int, alpha: float, beta: float, gamma: float) -> Model:
    """DROS that reads text.

    Args:
        inputs: what it is built for.
        hidden_size: units a layer.
        n_layers: stacked GRU layers.
        alpha: weight of the robust term.
        beta: its temperature.
        gamma: power of the popularity of an item.
    """
    robust = dros.model(inputs, hidden_size=hidden_size, n_layers=n_layers, alpha=alpha, beta=beta, gamma=gamma)
    return replace(robust, reads_text=True)
