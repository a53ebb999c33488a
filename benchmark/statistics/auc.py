"""AUC and within-user AUC."""

from collections.abc import Sequence
from dataclasses import dataclass
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
    ranking = ranked(liked, values, np.zeros(len(values), dtype=np.int64))
    return float(weighted_auc(ranking, np.ones((1, 1)))[0])


def user_auc(labels: Sequence[bool] | Bools, scores: Sequence[float] | Floats, users: Sequence[str]) -> float | None:
    """Within-user AUC (UAUC): the plain mean of the AUCs of all users who have both labels.

    Each such user counts the same, however many samples they have. Knowing how lenient a user is gives
    nothing, since scores of different users are never compared.

    Args:
        labels: shape (n_samples,); True = liked.
        scores: shape (n_samples,), finite.
        users: shape (n_samples,), the user of each sample.

    Returns:
        UAUC in [0, 1]; None where no user has both labels, as with one sample a user.

    Raises:
        MetricError: as `roc_auc`.

    Source:
        The UAUC of CoLLM (arXiv 2310.19488) and its released code, which takes the unweighted mean.
    """
    aucs = user_aucs(labels, scores, users)
    return float(np.nanmean(aucs)) if np.isfinite(aucs).any() else None


def user_aucs(labels: Sequence[bool] | Bools, scores: Sequence[float] | Floats, users: Sequence[str]) -> Floats:
    """The AUC within each user, sorted by name: shape (n_users,), NaN for a user with one label.

    Raises:
        MetricError: as `roc_auc`.
    """
    liked, values = checked(labels, scores)
    user_of_row, n_users = numbered(users, len(values))
    order = np.lexsort((values, user_of_row))
    user, sorted_scores, is_liked = user_of_row[order], values[order], liked[order]
    # Equal scores of one user form one group, as in `weighted_auc`.
    is_first = np.concatenate([[True], (user[1:] != user[:-1]) | (sorted_scores[1:] != sorted_scores[:-1])])
    starts = np.flatnonzero(is_first)
    n_liked = np.add.reduceat(is_liked.astype(np.float64), starts)
    n_disliked = np.add.reduceat((~is_liked).astype(np.float64), starts)
    user = user[starts]
    liked_of, disliked_of = (np.bincount(user, counts, minlength=n_users) for counts in (n_liked, n_disliked))
    of_users_before = np.cumsum(disliked_of) - disliked_of
    below = np.cumsum(n_disliked) - n_disliked / 2 - of_users_before[user]
    won = np.bincount(user, n_liked * below, minlength=n_users)
    n_pairs = liked_of * disliked_of
    return np.divide(won, n_pairs, out=np.full(n_users, np.nan), where=n_pairs > 0)


@dataclass(frozen=True, slots=True)
class Ranking:
    """Liked and disliked rows, each from the lowest score to the highest."""

    user_of_liked: Integers
    user_of_disliked: Integers
    n_below: Integers
    """For each liked row: how many disliked rows have a lower score."""
    n_not_above: Integers | None
    """How many have a lower or an equal one; None where no score is equal."""


def ranked(liked: Bools, scores: Floats, user_of_row: Integers) -> Ranking:
    """The rows in the order of their scores."""
    order = np.argsort(scores, kind="stable")
    sorted_scores, is_liked, user = scores[order], liked[order], user_of_row[order]
    n_below, n_not_above = (
        np.searchsorted(sorted_scores[~is_liked], sorted_scores[is_liked], side) for side in ("left", "right")
    )
    is_tied = bool((n_below < n_not_above).any())
    return Ranking(user[is_liked], user[~is_liked], n_below, n_not_above if is_tied else None)


def weighted_auc(ranking: Ranking, times_drawn: Floats) -> Floats:
    """AUC where each row weighs as often as its user was drawn, for each of `times_drawn`; NaN without a class."""
    liked_weight = times_drawn.take(ranking.user_of_liked, axis=1)
    disliked_weight = times_drawn.take(ranking.user_of_disliked, axis=1)
    up_to = np.zeros((len(times_drawn), disliked_weight.shape[1] + 1))  # weight of the first 0, 1, ... disliked rows
    np.cumsum(disliked_weight, axis=1, out=up_to[:, 1:])
    below = up_to.take(ranking.n_below, axis=1)
    if ranking.n_not_above is not None:  # a tie counts one half
        below = (below + up_to.take(ranking.n_not_above, axis=1)) / 2
    won = np.einsum("ij,ij->i", liked_weight, below)
    n_pairs = liked_weight.sum(axis=1) * up_to[:, -1]
    return np.divide(won, n_pairs, out=np.full(len(won), np.nan), where=n_pairs > 0)


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


def numbered(users: Sequence[str], n_samples: int) -> tuple[Integers, int]:
    """The users as numbers from 0, and how many there are.

    Raises:
        MetricError: there is not one user a sample.
    """
    if len(users) != n_samples:
        raise MetricError(f"expected one user a sample, got {len(users)} users and {n_samples} samples")
    names, user_of_row = np.unique(np.asarray(users), return_inverse=True)
    return user_of_row.astype(np.int64), len(names)
