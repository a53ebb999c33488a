"""Files that cannot be written or read: the errors of each library, as one line."""

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError

from benchmark.errors import DataError, reason_of

UNREADABLE = (SafetensorError, OSError, RuntimeError, ValueError, TypeError, KeyError, AttributeError)
"""What safetensors, PEFT and transformers raise of files that are broken or of another model."""


@contextmanager
def writing(folder: Path) -> Generator[None]:
    """Turn the failures of the writers in the block, of which each library has its own, into one line.

    Raises:
        DataError: the disk is full, or `folder` cannot be written for another reason.
    """
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        if isinstance(error, torch.distributed.DistError) or "gloo" in str(error):
            raise  # another process of this tuning has ended, which says nothing about the disk
        free = shutil.disk_usage(folder.parent).free / 1e6
        raise DataError(f"{folder}: cannot be written, {free:.1f} MB free: {reason_of(error)}") from error
