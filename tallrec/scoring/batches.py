"""Prompts grouped into batches of about one length."""

from collections.abc import Iterator, Sequence


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
