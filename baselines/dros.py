"""DROS as TALLRec compares with it: GRU4Rec with a distributionally robust term in the loss.

Paper: Yang et al., A Generic Learning Framework for Sequential Recommendation with Distribution Shifts, SIGIR 2023.
Reference: the book script of SAI990323/TALLRec at 30b8a5e, with its values in `params.yaml`; see `baselines/robust.py`.
"""

from baselines.gru import Gru
from baselines.model import Inputs, Model
from baselines.robust import robust_term

HEADS = ("per_item",)
"""The robust term is about output rows."""


def model(inputs: Inputs, *, hidden_size: int, n_layers: int, alpha: float, beta: float, gamma: float) -> Model:
    """GRU4Rec with the robust term.

    Args:
        inputs: what it is built for.
        hidden_size: units a layer.
        n_layers: stacked GRU layers.
        alpha: weight of the term.
        beta: its temperature, the radius of robustness.
        gamma: power of the popularity of an item among the training targets.
    """
    encoder = Gru(inputs.replicas, inputs.n_in, hidden_size, n_layers)
    return Model(encoder, hidden_size, robust_term(alpha, beta, gamma))
