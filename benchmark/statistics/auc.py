"""The plain AUC, of all rows alike; `influence` has it by users, and within them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import MetricError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Integers = NDArray[np.int64]


def roc_auc(labels: Sequence[bool] | Bools, scores: Sequence[float] | Floats) -> float:
    """P(score of a liked target item > score of a disliked one); a tie counts one half.

    Args:
        labels: shape (n_samples,); True = liked.
        scores: shape (n_samples,), finite, on any scale; higher = more likely liked.

    Returns:
        AUC in [0, 1]. The report prints it times 100, as the paper does.

    Raises:
        MetricError: the lengths differ, a score is not finite, or only one class is present.
    """
    liked, values = checked(labels, scores)
    of_liked, of_disliked = values[liked], np.sort(values[~liked])
    below, not_above = (np.searchsorted(of_disliked, of_liked, side) for side in ("left", "right"))
    return int((below + not_above).sum()) / (2 * len(of_liked) * len(of_disliked))


def checked(labels: Sequence[bool] | Bools, scores: Sequence[float] | Floats) -> tuple[Bools, Floats]:
    """Labels and scores as arrays, shape (n_samples,) each.

    Raises:
        MetricError: as `roc_auc`.
    """
    liked: NDArray[Any] = np.asarray(labels)
    values = np.asarray(scores, dtype=np.float64)
    if liked.shape != values.shape or values.ndim != 1:
        raise MetricError(f"expected one score a label, got {liked.shape} labels and {values.shape} scores")
    if not np.isin(liked, (0, 1)).all():
        raise MetricError("a label is neither True nor False")
    if not np.isfinite(values).all():
        raise MetricError(f"{int((~np.isfinite(values)).sum())} of {len(values)} scores are not finite")
    if not 0 < int(liked.sum()) < len(values):
        raise MetricError(f"AUC needs liked and disliked samples, got {int(liked.sum())} liked of {len(values)}")
    return liked.astype(np.bool_), values
