"""Texts to token ids: training rows with their loss mask, prompts for scoring, and padded batches."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

IGNORED = -100
"""Label of a position without loss (the convention of transformers)."""


def encode_row(
    tokenizer: PreTrainedTokenizerBase, prompt: str, answer: str, *, loss: str, max_length: int
) -> dict[str, list[int]]:
    """A training row: the ids of prompt, answer and end of text, with the loss on all of them or on the answer.

    A row longer than `max_length` is cut at the left, so that the answer stays.
    """
    prefix = tokenizer(prompt)["input_ids"]
    ids = [*tokenizer(prompt + answer)["input_ids"], tokenizer.eos_token_id]
    labels = list(ids) if loss == "all_tokens" else [IGNORED] * len(prefix) + ids[len(prefix) :]
    return {"input_ids": ids[-max_length:], "labels": labels[-max_length:]}


def encode_prompts(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str]) -> list[list[int]]:
    """Ids of each prompt."""
    return tokenizer(list(prompts))["input_ids"]


def collate(rows: Sequence[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
    """Rows padded on the right to the longest; shape (n_rows, longest).

    There is no attention mask: attention is causal, so no real position sees the padding behind it, and padding
    carries no loss.
    """
    longest = max(len(row["input_ids"]) for row in rows)

    def padded(key: str, filler: int) -> torch.Tensor:
        return torch.tensor([row[key] + [filler] * (longest - len(row[key])) for row in rows])

    return {"input_ids": padded("input_ids", 0), "labels": padded("labels", IGNORED)}


def batches_by_tokens(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Positions grouped from long to short so that rows x longest stays within `batch_tokens`; at least one row."""
    batch: list[int] = []
    for position in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        if batch and (len(batch) + 1) * lengths[batch[0]] > batch_tokens:
            yield batch
            batch = []
        batch.append(position)
    if batch:
        yield batch


class Rows(torch.utils.data.Dataset[dict[str, Any]]):
    """Encoded rows as a data set of torch."""

    def __init__(self, rows: Sequence[dict[str, list[int]]]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.rows[index]
