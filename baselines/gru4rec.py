"""GRU4Rec as TALLRec compares with it: a recurrent network over the history, and a logit for each item.

Paper: Hidasi et al., Session-based Recommendations with Recurrent Neural Networks, ICLR 2016.
Reference: the baseline scripts of SAI990323/TALLRec at 30b8a5e, with their values in `params.yaml`.
Differs from GRU4Rec: trained on like and dislike of one target, without sampled negatives; the like flag of
each interaction is an input; four layers. Differs from the scripts: see `baselines/items.py`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from baselines.items import ItemLogits, item_embedding
from baselines.training import Training, fit
from benchmark.schema import FewShotTask, Prediction


class Gru4Rec(nn.Module):
    """Item embedding and like flag of each interaction -> GRU -> logit of the target."""

    def __init__(self, item_ids: Sequence[str], seed: int, hidden_size: int, n_layers: int) -> None:
        super().__init__()
        self.embedding = item_embedding(item_ids, hidden_size - 1, seed)  # the flag is the last coordinate
        self.gru = nn.GRU(hidden_size, hidden_size, n_layers, batch_first=True)
        self.logits = ItemLogits(item_ids, hidden_size, seed)

    def forward(self, history: Tensor, liked: Tensor, target: Tensor) -> Tensor:
        """History (n, length), liked (n, length) and target (n,) -> logits (n,)."""
        steps = torch.cat([self.embedding(history), liked.unsqueeze(-1)], dim=-1)  # (n, length, hidden_size)
        states, _ = self.gru(steps)  # (n, length, hidden_size), of the top layer
        return self.logits(states[:, -1], target)


def predict(task: FewShotTask, training: Training, *, hidden_size: int, n_layers: int) -> list[Prediction]:
    """Scores in (0, 1) for every test sample.

    Args:
        task: the cell to run.
        training: values of the training loop.
        hidden_size: width of the GRU and of its input: an item embedding of one less, and the like flag.
        n_layers: stacked GRU layers.

    Raises:
        DataError: there is no training row, or the validation rows do not have both labels.
    """
    return fit(lambda item_ids: Gru4Rec(item_ids, task.seed, hidden_size, n_layers), task, training)
