"""DROS-BERT as TALLRec compares with it: GRU-BERT with the robust term of DROS. No code was released."""

from baselines.gru import Gru
from baselines.model import Inputs, Model
from baselines.robust import robust_term

HEADS = ("per_item",)
"""The robust term is about output rows."""
READS_TEXT = True


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
    encoder = Gru(inputs.replicas, inputs.n_in, hidden_size, n_layers)
    return Model(encoder, hidden_size, robust_term(alpha, beta, gamma), READS_TEXT)
