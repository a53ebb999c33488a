"""AUC, within-user AUC, and an interval that resamples users. Every number of the tables is made here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import MetricError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Integers = NDArray[np.int64]

WEIGHTS_AT_ONCE = 4_000_000
"""Row weights held in memory together (32 MB); it bounds memory and changes no result."""


@dataclass(frozen=True, slots=True)
class AucInterval:
    """An AUC with a percentile interval."""

    auc: float
    low: float
    high: float


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
    liked, values = _checked(labels, scores)
    return float(_weighted_auc(liked, values, np.ones((1, len(values))))[0])


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
    liked, values = _checked(labels, scores)
    user_of_row, n_users = _numbered(users, len(values))
    n_liked = np.bincount(user_of_row, weights=liked, minlength=n_users)
    n_rows = np.bincount(user_of_row, minlength=n_users)
    judged = np.flatnonzero((n_liked > 0) & (n_liked < n_rows))
    if not len(judged):
        return None
    aucs = [roc_auc(liked[user_of_row == user], values[user_of_row == user]) for user in judged]
    return float(np.mean(aucs))


def bootstrap_interval(
    labels: Sequence[bool] | Bools,
    scores: Sequence[float] | Floats,
    users: Sequence[str],
    *,
    n_resamples: int,
    confidence: float,
    seed: int,
) -> AucInterval:
    """AUC and its percentile interval over resampled users, who enter with all their rows.

    Rows of one user are far from independent, so rows are never resampled alone. With one row a user both are
    the same.

    Args:
        labels: shape (n_samples,); True = liked.
        scores: shape (n_samples,), finite.
        users: shape (n_samples,), the user of each sample.
        n_resamples: resamples of as many users as there are; one of a single class is left out.
        confidence: in (0, 1); 0.95 gives the 2.5 % and 97.5 % quantiles.
        seed: of the resamples; the same seed gives the same interval.

    Raises:
        MetricError: as `roc_auc`; or there is one user alone; or fewer than half of the resamples have both
            classes.
    """
    liked, values = _checked(labels, scores)
    user_of_row, n_users = _numbered(users, len(values))
    if n_users < 2:
        raise MetricError(f"an interval over users needs at least 2 users, got {n_users}")
    generator = np.random.default_rng(seed)
    n_at_once = max(1, WEIGHTS_AT_ONCE // max(n_users, len(values)))
    parts: list[Floats] = []
    for start in range(0, n_resamples, n_at_once):
        times_drawn = _resample(generator, min(n_at_once, n_resamples - start), n_users)
        parts.append(_weighted_auc(liked, values, times_drawn[:, user_of_row]))
    aucs = np.concatenate(parts)
    aucs = aucs[np.isfinite(aucs)]
    if 2 * len(aucs) < n_resamples:
        raise MetricError(f"only {len(aucs)} of {n_resamples} resamples of {n_users} users have both classes")
    low, high = np.quantile(aucs, [(1 - confidence) / 2, (1 + confidence) / 2])
    return AucInterval(roc_auc(liked, values), float(low), float(high))


def _resample(generator: np.random.Generator, n_resamples: int, n_users: int) -> Floats:
    """How often each user is drawn: shape (n_resamples, n_users)."""
    drawn = generator.integers(n_users, size=(n_resamples, n_users))
    drawn += n_users * np.arange(n_resamples)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=n_resamples * n_users)
    return counts.reshape(n_resamples, n_users).astype(np.float64)


def _weighted_auc(liked: Bools, scores: Floats, weights: Floats) -> Floats:
    """AUC under each row of `weights`, shape (n_resamples, n_samples); NaN where a class has no weight."""
    order = np.argsort(scores, kind="stable")
    ranked = scores[order]
    # Equal scores form one group, so that a tie counts one half whatever the order of its rows.
    starts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))
    weights = weights[:, order]
    liked_weight = np.add.reduceat(weights * liked[order], starts, axis=1)
    disliked_weight = np.add.reduceat(weights * ~liked[order], starts, axis=1)
    below = np.cumsum(disliked_weight, axis=1) - disliked_weight / 2
    n_pairs = liked_weight.sum(axis=1) * disliked_weight.sum(axis=1)
    won = (liked_weight * below).sum(axis=1)
    return np.divide(won, n_pairs, out=np.full(len(weights), np.nan), where=n_pairs > 0)


def _checked(labels: Sequence[bool] | Bools, scores: Sequence[float] | Floats) -> tuple[Bools, Floats]:
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


def _numbered(users: Sequence[str], n_samples: int) -> tuple[Integers, int]:
    """The users as numbers from 0, and how many there are."""
    if len(users) != n_samples:
        raise MetricError(f"expected one user a sample, got {len(users)} users and {n_samples} samples")
    names, user_of_row = np.unique(np.asarray(users), return_inverse=True)
    return user_of_row.astype(np.int64), len(names)
