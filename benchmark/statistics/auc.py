"""The plain AUC, of all rows alike, and what it is by chance; `influence` has it by users, and within them."""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import MetricError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Integers = NDArray[np.int64]
ONE_SIDED = 0.025
"""How often the best look exceeds the bound, at most, of a score that knows nothing of what users like."""


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


def chance_auc(labels: Sequence[bool], users: Sequence[str], n_looks: int = 1) -> float:
    """The AUC that the best of `n_looks` looks exceeds in at most one of 40 runs, by scores that know nothing.

    Such a score may be the same for all rows of a user, whose order is then random: with few users that reaches further
    than random scores of single rows. The larger of both counts: they are the same where each row has a user of its
    own, and one user alone has no order.

    Args:
        labels: of the validation rows; both are there.
        users: of the same rows.
        n_looks: validations of which the best is taken. They count as independent, so that the bound is high.

    Source:
        The variance of the share of pairs in order when whole users are permuted, in closed form; Bonferroni for looks.
    """
    numbers = np.unique(np.asarray(users), return_inverse=True)[1]
    is_liked = np.asarray(labels, dtype=np.bool_)
    liked, disliked = (np.bincount(numbers, one).astype(np.float64) for one in (is_liked, ~is_liked))
    n_pairs = liked.sum() * disliked.sum()
    # A pair of users adds half of d = liked_u disliked_v - liked_v disliked_u, with the sign of their order; the signs
    # of two pairs that share a user are correlated by 1/3.
    squares = ((liked**2).sum() * (disliked**2).sum() - (liked * disliked).sum() ** 2) / 2
    sums = ((liked * disliked.sum() - disliked * liked.sum()) ** 2).sum() / 4
    of_users = (squares / 6 + sums / 3) / n_pairs**2
    of_rows = (len(labels) + 1) / (12 * n_pairs)
    sd = math.sqrt(max(of_users, of_rows))
    return min(1.0, 0.5 - NormalDist().inv_cdf(ONE_SIDED / n_looks) * sd)
