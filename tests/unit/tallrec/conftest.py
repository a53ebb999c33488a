"""What tests of several rooms need."""

import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest


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
