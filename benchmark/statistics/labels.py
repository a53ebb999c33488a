"""The labels of the test samples of a domain, which `evaluate` alone reads, and scores brought into their order."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.artifacts.files import read_labels, read_users
from benchmark.artifacts.paths import labels_file, test_file
from benchmark.errors import DataError


@dataclass(frozen=True, slots=True)
class TrueLabels:
    """The labels of the test samples of a domain: three sequences in the order of the sample ids."""

    sample_ids: tuple[str, ...]
    users: tuple[str, ...]
    liked: tuple[bool, ...]


def read_test_labels(test_domain: str) -> TrueLabels:
    """The samples of a test set joined with their labels by sample id.

    Raises:
        MissingArtifactError: the domain is not prepared.
        DataError: a test sample has no label, or a label no test sample.
    """
    users = read_users(test_file(test_domain))
    path = labels_file(test_domain)
    labels = read_labels(path)
    if stray := sorted(users.keys() ^ labels.keys()):
        raise DataError(f"{path}: {len(stray)} ids are in the labels or the test samples alone, e.g. {stray[0]!r}")
    sample_ids = tuple(sorted(users))
    return TrueLabels(sample_ids, tuple(users[i] for i in sample_ids), tuple(labels[i] for i in sample_ids))


def in_order(scores: Mapping[str, float], truth: TrueLabels) -> NDArray[np.float64] | None:
    """Scores by sample id as an array, shape (n_samples,), in the order of `truth`.

    None if they are not exactly one finite score a test sample.
    """
    if set(scores) != set(truth.sample_ids) or not all(math.isfinite(score) for score in scores.values()):
        return None
    return np.array([scores[sample_id] for sample_id in truth.sample_ids], dtype=np.float64)
