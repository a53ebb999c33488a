"""The score of a sample from the logits at the answer position."""

import torch

from tallrec.prompts.answer_tokens import AnswerTokens


def answer_scores(logits: torch.Tensor, tokens: AnswerTokens, scoring: str) -> torch.Tensor:
    """Scores from the logits at the answer position; higher = more likely liked.

    Args:
        logits: shape (n_samples, vocabulary), any float type.
        tokens: the answer tokens.
        scoring: `double_softmax` is the released rule: softmax over the vocabulary, then softmax over the two
            probabilities, so samples rank by P(Yes) - P(No). `logit_difference` ranks by their odds.

    Returns:
        Shape (n_samples,), float64.

    Source:
        evaluate.py at c1db29ce for the double softmax.
    """
    logits = logits.double()
    if scoring == "logit_difference":
        return logits[:, tokens.yes] - logits[:, tokens.no]
    probabilities = logits.softmax(dim=-1)[:, [tokens.yes, tokens.no]]
    return probabilities.softmax(dim=-1)[:, 0]
