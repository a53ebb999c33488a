"""Micro-batches of an update: how many, padded, regrouped by length, and the share of a process."""

import math
from collections.abc import Sequence

import torch
from torch.nn.utils.rnn import pad_sequence

from benchmark.errors import ConfigError
from tallrec.training.rows import IGNORED
from tallrec.training.schedule import Schedule


def micro_batches(schedule: Schedule, n_rows: int, n_processes: int = 1) -> tuple[int, int]:
    """Rows of a micro-batch in one process, no more than the schedule allows, and micro-batches an update.

    Together they are the batch exactly. Only where one batch holds all rows may the last micro-batch be shorter.

    Raises:
        ConfigError: the batch cannot be divided evenly among the processes.
    """
    batch_size = min(schedule.batch_size, n_rows)
    if batch_size % n_processes:
        raise ConfigError(f"tune.n_processes: {n_processes} does not divide the {batch_size} rows of an update")
    share = batch_size // n_processes
    n_micro_batches = math.ceil(share / schedule.micro_batch_size)
    while batch_size < n_rows and share % n_micro_batches:
        n_micro_batches += 1
    return math.ceil(share / n_micro_batches), n_micro_batches


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
