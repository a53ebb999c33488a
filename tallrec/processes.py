"""Processes that tune one adapter together, one a GPU: which of them this one is, and what they tell each other.

All functions also serve a process that is alone; then nothing is sent.
"""

import os
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import distributed

Value = TypeVar("Value")


@contextmanager
def joined() -> Generator[None]:
    """Within this context this process knows the others that the same launch started, by its environment variables.

    A block that raises leaves without a farewell: the others may wait for something else, and the launcher ends them.
    """
    # Else accelerate sets the number of threads, which is a value of `params.yaml`.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        distributed.init_process_group("cpu:gloo,cuda:nccl")
    else:
        distributed.init_process_group("gloo")
    yield
    distributed.barrier()
    distributed.destroy_process_group()


def n_processes() -> int:
    """How many tune together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def place() -> int:
    """Which of them this one is, from 0 on."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def is_first() -> bool:
    """Whether this is the one that writes files, records and progress."""
    return place() == 0


def wait_for_all() -> None:
    """Return when every process has come here."""
    if n_processes() > 1:
        distributed.barrier()


def from_first(compute: Callable[[], Value]) -> Value:
    """What `compute` returns in the first process, which alone calls it."""
    if n_processes() == 1:
        return compute()
    sent = [compute() if is_first() else None]
    distributed.broadcast_object_list(sent)
    value: Any = sent[0]
    return value


def own_share(values: Sequence[Value]) -> Sequence[Value]:
    """Every n-th of `values`: the share of this process."""
    return values[place() :: n_processes()]


def gathered(share: Sequence[Value]) -> list[Value]:
    """The shares of all processes (`own_share`), put together again, in every process."""
    if n_processes() == 1:
        return list(share)
    shares: list[Any] = [None] * n_processes()
    distributed.all_gather_object(shares, list(share))
    together: list[Any] = [None] * sum(map(len, shares))
    for start, found in enumerate(shares):
        together[start :: n_processes()] = found
    return together
