"""GRU4Rec as TALLRec compares with it: a recurrent network over the history, and a logit for each item.

Paper: Hidasi et al., Session-based Recommendations with Recurrent Neural Networks, ICLR 2016.
Reference: the baseline scripts of SAI990323/TALLRec at 30b8a5e, with their values in `params.yaml`.
Differs from GRU4Rec: trained on like and dislike of one target, without sampled negatives; the like flag of
each interaction is an input; four layers.
"""

from baselines.gru import Gru
from baselines.model import Inputs, Model


def model(inputs: Inputs, *, hidden_size: int, n_layers: int) -> Model:
    """The state is that of the top layer after the last step.

    Args:
        inputs: what it is built for.
        hidden_size: units a layer.
        n_layers: stacked GRU layers.
    """
    return Model(Gru(inputs.replicas, inputs.n_in, hidden_size, n_layers), hidden_size)
