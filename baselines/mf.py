"""Matrix factorisation: the product of a vector of the user and one of the target, plus the bias of the target.

Paper: Koren, Bell and Volinsky, Matrix Factorization Techniques for Recommender Systems, Computer 2009.
Reference: `baseline_train_mf_ood.py` of zyang1580/CoLLM at 48042b1, whose MF has no bias and 256 factors.
Differs: the loss and the training are those of all baselines here. The one step of a history is the user, so that the
output row of a target is its vector.
"""

from torch import Tensor, nn

from baselines.model import Inputs, Model

HEADS = ("per_item",)
"""Another head would be another model."""
READS_USER = True


class LastStep(nn.Module):
    """Steps (R, 1, n, n_in) -> states (R, n, n_in): the vector of the user."""

    def forward(self, steps: Tensor) -> Tensor:
        """The one there is."""
        return steps[:, -1]


def model(inputs: Inputs) -> Model:
    """The state is the user."""
    return Model(LastStep(), inputs.n_in)
