"""The labels of a test set, which no method reads, and scores in their order."""

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.artifacts.files import read_labels, read_samples
from benchmark.artifacts.paths import labels_file, test_file
from benchmark.errors import DataError


@dataclass(frozen=True)
class TestRows:
    """The rows of a test set with their labels: sequences in the order of the sample ids."""

    __test__ = False  # no class of tests, whatever pytest makes of its name

    sample_ids: tuple[str, ...]
    users: tuple[str, ...]
    liked: tuple[bool, ...]
    shares: tuple[float, ...]
    """Share of likes in the history, in [0, 1]; -1 for an empty one."""

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, of ids, users and labels: runs that share it can be compared user by user."""
        return hashlib.sha256(repr((self.sample_ids, self.users, self.liked)).encode()).hexdigest()

    @functools.cached_property
    def is_liked(self) -> NDArray[np.bool_]:
        """The labels as an array, shape (n_rows,)."""
        return np.array(self.liked, dtype=np.bool_)

    @functools.cached_property
    def user_numbers(self) -> NDArray[np.int64]:
        """The users as numbers from 0, in the order of their names; shape (n_rows,)."""
        return np.unique(np.array(self.users), return_inverse=True)[1].astype(np.int64)

    @functools.cached_property
    def share_numbers(self) -> NDArray[np.int64]:
        """Rows with the same share of likes have the same number; shape (n_rows,)."""
        return np.unique(np.array(self.shares), return_inverse=True)[1].astype(np.int64)


def read_test_rows(test_domain: str) -> TestRows:
    """The samples of a test set joined with their labels by sample id.

    Raises:
        MissingArtifactError: the domain is not prepared.
        DataError: a test sample has no label, or a label no test sample.
    """
    samples = {sample.sample_id: sample for sample in read_samples(test_file(test_domain))}
    path = labels_file(test_domain)
    labels = read_labels(path)
    if stray := sorted(samples.keys() ^ labels.keys()):
        raise DataError(f"{path}: {len(stray)} ids are in the labels or the test samples alone, e.g. {stray[0]!r}")
    ids = tuple(sorted(samples))
    histories = [[event.liked for event in samples[i].history] for i in ids]
    shares = tuple(sum(likes) / len(likes) if likes else -1.0 for likes in histories)
    return TestRows(ids, tuple(samples[i].user_id for i in ids), tuple(labels[i] for i in ids), shares)


def in_order(scores: Mapping[str, float], rows: TestRows) -> NDArray[np.float64] | None:
    """Scores by sample id as an array, shape (n_rows,), in the order of `rows`.

    None if they are not exactly one finite score a test sample.
    """
    if set(scores) != set(rows.sample_ids):
        return None
    values = np.array([scores[sample_id] for sample_id in rows.sample_ids], dtype=np.float64)
    return values if np.isfinite(values).all() else None
