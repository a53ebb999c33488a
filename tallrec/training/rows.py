"""Texts to token ids: training rows with their loss mask, prompts for scoring, and padded batches."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedTokenizerBase

from benchmark.errors import DataError

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
    alone, ids = tokenizer([prompt, prompt + answer], add_special_tokens=add_special_tokens)["input_ids"]
    if ids[-1] != end:  # some tokenizers write it themselves
        ids = [*ids, end]
    n_prompt = n_shared(alone, ids)
    labels = list(ids) if loss == "all_tokens" else [IGNORED] * n_prompt + ids[n_prompt:]
    return {"input_ids": ids[-max_length:], "labels": labels[-max_length:]}


def n_shared(first: Sequence[object], second: Sequence[object]) -> int:
    """How many tokens, or characters, two sequences begin with alike."""
    shortest = min(len(first), len(second))
    return next((place for place in range(shortest) if first[place] != second[place]), shortest)


def collate(rows: Sequence[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
    """Rows padded on the right to the longest; shape (n_rows, longest).

    There is no attention mask: attention is causal, so no real position sees the padding behind it, and padding
    carries no loss.
    """
    longest = max(len(row["input_ids"]) for row in rows)

    def padded(key: str, filler: int) -> torch.Tensor:
        return torch.tensor([row[key] + [filler] * (longest - len(row[key])) for row in rows])

    return {"input_ids": padded("input_ids", 0), "labels": padded("labels", IGNORED)}


def by_length(batches: Sequence[dict[str, torch.Tensor]]) -> list[dict[str, torch.Tensor]]:
    """The rows of the micro-batches of one update, regrouped so that each micro-batch holds rows of about one length.

    The gradient of an update is a sum over its rows, whatever their order. What follows the last label of a row has
    no part in it and is cut off.
    """
    if len(batches) < 2:
        return list(batches)
    ids, labels = ([row for batch in batches for row in batch[key]] for key in ("input_ids", "labels"))
    lengths = [int((row != IGNORED).nonzero().max()) + 1 for row in labels]
    order = sorted(range(len(lengths)), key=lambda position: -lengths[position])
    regrouped: list[dict[str, torch.Tensor]] = []
    for batch in batches:
        group, order = order[: len(batch["labels"])], order[len(batch["labels"]) :]
        regrouped.append(
            {
                key: pad_sequence([rows[at][: lengths[at]] for at in group], batch_first=True, padding_value=filler)
                for key, rows, filler in (("input_ids", ids, 0), ("labels", labels, IGNORED))
            }
        )
    return regrouped


def share_of_rows(
    batches: Sequence[dict[str, torch.Tensor]], place: int, n_processes: int
) -> list[dict[str, torch.Tensor]]:
    """Every n-th row of each micro-batch: what one of several processes computes of an update.

    A micro-batch with fewer rows than processes leaves some without one; they get a row that has no loss, since all
    of them have to take each step. What follows the last label is cut off.
    """
    shares: list[dict[str, torch.Tensor]] = []
    for batch in batches:
        share = {key: rows[place::n_processes] for key, rows in batch.items()}
        if not len(share["labels"]):
            share = {"input_ids": batch["input_ids"][:1, :2], "labels": batch["labels"][:1, :2].clone().fill_(IGNORED)}
        labelled = (share["labels"] != IGNORED).any(dim=0).nonzero()
        longest = int(labelled.max()) + 1 if len(labelled) else 2
        shares.append({key: rows[:, :longest] for key, rows in share.items()})
    return shares


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
