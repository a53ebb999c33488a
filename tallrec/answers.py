"""Answer tokens, read off the tokenizer, and the score of a sample from the logits at the answer position."""

from dataclasses import dataclass

import torch
from transformers import PreTrainedTokenizerBase

from benchmark.errors import DataError
from tallrec.prompts import ANSWERS


@dataclass(frozen=True, slots=True)
class AnswerTokens:
    """Token ids of the first token of "Yes." and of "No." where an answer begins."""

    yes: int
    no: int


def answer_tokens(tokenizer: PreTrainedTokenizerBase, prompt: str) -> AnswerTokens:
    """Resolve the answer tokens in context: what follows the tokens of `prompt` when an answer is appended.

    Raises:
        DataError: appending an answer changes the tokens of the prompt, or both answers begin with the same token.
    """
    prefix = tokenizer(prompt)["input_ids"]
    found: dict[bool, int] = {}
    for liked, answer in ANSWERS.items():
        whole = tokenizer(prompt + answer)["input_ids"]
        if whole[: len(prefix)] != prefix or len(whole) == len(prefix):
            raise DataError(f"tokenizer: {answer!r} after a prompt changes the tokens of the prompt itself")
        found[liked] = whole[len(prefix)]
    if found[True] == found[False]:
        raise DataError(f"tokenizer: both answers begin with token {found[True]}, so they cannot be told apart")
    return AnswerTokens(yes=found[True], no=found[False])


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
