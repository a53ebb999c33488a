"""Texts to token ids: training rows with their loss mask."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from benchmark.errors import DataError
from tallrec.token_sequences import n_shared, tokens_of

IGNORED = -100
"""Label of a position without loss (the convention of transformers)."""


def encode_row(
    tokenizer: PreTrainedTokenizerBase,
    prompt: str,
    answer: str,
    *,
    loss: str,
    max_length: int,
    add_special_tokens: bool = True,
) -> dict[str, list[int]]:
    """A training row: the ids of prompt, answer and end of text, with the loss on all of them or on the answer.

    The answer begins at the first token that the prompt alone would not have there, which is never behind the token
    that scores are read off (`tallrec.prompts.answer_tokens`). A row longer than `max_length` is cut at the left, so
    that the answer stays.

    Raises:
        DataError: the tokenizer has no end of text.
    """
    end = tokenizer.eos_token_id
    if end is None:
        raise DataError("tokenizer: it has no end of text (`eos_token`), so a model cannot learn where an answer ends")
    alone, ids = tokens_of(tokenizer, [prompt, prompt + answer], add_special_tokens=add_special_tokens)["input_ids"]
    if ids[-1] != end:  # some tokenizers write it themselves
        ids = [*ids, end]
    n_prompt = n_shared(alone, ids)
    labels = list(ids) if loss == "all_tokens" else [IGNORED] * n_prompt + ids[n_prompt:]
    return {"input_ids": ids[-max_length:], "labels": labels[-max_length:]}


class Rows(torch.utils.data.Dataset[dict[str, Any]]):
    """Encoded rows as a data set of torch."""

    def __init__(self, rows: Sequence[dict[str, list[int]]]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.rows[index]
