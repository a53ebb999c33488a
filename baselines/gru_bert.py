"""GRU-BERT as TALLRec compares with it: GRU4Rec whose steps begin with the item's text, encoded by BERT.

Reference: the paper names it and gives 4 layers of 1024 units; no code was released. Of what it leaves open, this takes
the likeliest reading: the encoder is frozen, and its vector stands beside the item's own embedding, at the input alone.
The score is still that of an output row of the target.
"""

from baselines.gru import Gru
from baselines.model import Inputs, Model

READS_TEXT = True


def model(inputs: Inputs, *, hidden_size: int, n_layers: int) -> Model:
    """GRU4Rec that reads text.

    Args:
        inputs: what it is built for.
        hidden_size: units a layer.
        n_layers: stacked GRU layers.
    """
    return Model(Gru(inputs.replicas, inputs.n_in, hidden_size, n_layers), hidden_size, reads_text=READS_TEXT)
