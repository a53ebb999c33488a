"""The distributionally robust term of DROS, which pulls logits to 0 and 1, each item by its popularity.

Paper: Yang et al., A Generic Learning Framework for Sequential Recommendation with Distribution Shifts, SIGIR 2023.
Reference: the book script of SAI990323/TALLRec at 30b8a5e. There the term pulls the logit of the target to 1 even where
the target is disliked, all others to 0, and sums over the whole catalogue.
Differs from the script: of the catalogue only the training targets and the targets to validate on are in the sum, and
the latter with a logit of 0 and without a gradient. Their initial logits are small, and their gradient in the script is
about 1e-5 of their value or less. With fewer items in the sum the term weighs more than in the script.
"""

import torch
from torch import Tensor

from baselines.model import Penalty


def robust_term(alpha: float, beta: float, gamma: float) -> Penalty:
    """Alpha times the mean over rows of log( sum_{j != t} exp(p_j y_j^2 / beta) + exp(p_t (y_t - 1)^2 / beta) ).

    y_j is the logit of item j, t the target, and p_j = ((n_j + 1) / sum_k (n_k + 1))^gamma with n_j the number of
    training rows whose target is j.
    """

    def penalty(states: Tensor, rows: Tensor, targets: Tensor, counts: Tensor, n_others: Tensor) -> Tensor:
        logits = torch.baddbmm(rows[..., -1].unsqueeze(1), states, rows[..., :-1].transpose(1, 2))  # (R, n, n_items)
        is_own = (counts > 0).to(logits)
        total = ((counts + 1) * is_own).sum(1, keepdim=True) + n_others
        popularity = ((counts + 1) / total) ** gamma  # (R, n_items)
        terms = (popularity.unsqueeze(1) * logits**2 / beta).exp() * is_own.unsqueeze(1)
        at_target = terms.gather(2, targets.unsqueeze(2)).squeeze(2)
        target_logits = logits.gather(2, targets.unsqueeze(2)).squeeze(2)
        pulled = (popularity.gather(1, targets) * (target_logits - 1) ** 2 / beta).exp()
        return alpha * (terms.sum(2) - at_target + pulled + n_others).log().mean(1)

    return penalty
