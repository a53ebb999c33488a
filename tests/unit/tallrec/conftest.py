"""What tests of several rooms need."""

import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast


@contextmanager
def limited(n_bytes: int) -> Iterator[None]:
    """The kernel refuses to write more to a file, as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def files_no_larger_than() -> Callable[[int], AbstractContextManager[None]]:
    """Called with a number of bytes, a context in which no file can hold more."""
    return limited


@pytest.fixture
def saved_base(
    new_tiny_model: "Callable[..., LlamaForCausalLM]", tokenizer: "PreTrainedTokenizerFast", tmp_path: Path
) -> Path:
    """A base model of 64 hidden units; the kernels of bitsandbytes ask for so many."""
    from tallrec.models.loading import save_base
    from tallrec.models.origin import file_digests, write_origin

    save_base(new_tiny_model(64), tokenizer, tmp_path / "base")
    write_origin(tmp_path / "base", "tiny", None, file_digests(tmp_path / "base"))
    return tmp_path / "base"
