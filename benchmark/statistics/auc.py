"""AUC, within-user AUC, and both on resampled users. Every number of the tables is made here."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import MetricError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Integers = NDArray[np.int64]

WEIGHTS_AT_ONCE = 100_000
"""Row weights held in memory together (under 1 MB, so that they stay in the cache); it changes no result."""


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
    ranking = _ranked(liked, values, np.zeros(len(values), dtype=np.int64))
    return float(_weighted_auc(ranking, np.ones((1, 1)))[0])


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
    liked, values = _checked(labels, scores)
    user_of_row, n_users = _numbered(users, len(values))
    order = np.lexsort((values, user_of_row))
    user, ranked, answers = user_of_row[order], values[order], liked[order]
    # Equal scores of one user form one group, as in `_weighted_auc`.
    is_first = np.concatenate([[True], (user[1:] != user[:-1]) | (ranked[1:] != ranked[:-1])])
    starts = np.flatnonzero(is_first)
    n_liked = np.add.reduceat(answers.astype(np.float64), starts)
    n_disliked = np.add.reduceat((~answers).astype(np.float64), starts)
    user = user[starts]
    liked_of, disliked_of = (np.bincount(user, counts, minlength=n_users) for counts in (n_liked, n_disliked))
    of_users_before = np.cumsum(disliked_of) - disliked_of
    below = np.cumsum(n_disliked) - n_disliked / 2 - of_users_before[user]
    won = np.bincount(user, n_liked * below, minlength=n_users)
    n_pairs = liked_of * disliked_of
    return np.divide(won, n_pairs, out=np.full(n_users, np.nan), where=n_pairs > 0)


def percentile_interval(resampled: Floats, confidence: float) -> tuple[float, float]:
    """The percentile interval of a metric on resamples, shape (n_resamples,); NaN ones are left out.

    Raises:
        MetricError: fewer than half of the resamples are defined.
    """
    defined = resampled[np.isfinite(resampled)]
    if 2 * len(defined) < len(resampled):
        raise MetricError(f"only {len(defined)} of {len(resampled)} resamples of users have both classes")
    low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def resampled_auc(
    labels: Sequence[bool] | Bools,
    scores: Sequence[Sequence[float] | Floats] | Floats,
    users: Sequence[str],
    *,
    n_resamples: int,
    seed: int,
) -> Floats:
    """AUC of several methods on the same resamples of users, so that their differences are paired.

    Rows of one user are far from independent, so rows are never resampled alone. With one row a user both are the same.

    Args:
        labels: shape (n_samples,); True = liked.
        scores: shape (n_methods, n_samples), finite.
        users: shape (n_samples,), the user of each sample.
        n_resamples: resamples of as many users as there are, who enter with all their rows.
        seed: of the resamples.

    Returns:
        Shape (n_methods, n_resamples); NaN where a resample has one class.

    Raises:
        MetricError: as `roc_auc`; or there is one user alone.
    """
    user_of_row, n_users = _numbered(users, len(labels))
    rankings = [_ranked(*_checked(labels, values), user_of_row) for values in scores]
    parts = [
        [_weighted_auc(ranking, times_drawn) for ranking in rankings]
        for times_drawn in _resamples(n_resamples, n_users, len(labels), seed)
    ]
    return np.concatenate([np.stack(part) for part in parts], axis=1)


def resampled_user_auc(
    labels: Sequence[bool] | Bools,
    scores: Sequence[Sequence[float] | Floats] | Floats,
    users: Sequence[str],
    *,
    n_resamples: int,
    seed: int,
) -> Floats | None:
    """UAUC of several methods on the resamples of `resampled_auc`: the mean over the users drawn.

    Returns:
        Shape (n_methods, n_resamples), NaN where no drawn user has both labels; None where no user has.

    Raises:
        MetricError: as `resampled_auc`.
    """
    aucs = np.stack([user_aucs(labels, values, users) for values in scores])  # (n_methods, n_users)
    is_judged = np.isfinite(aucs[0])
    if not is_judged.any():
        return None
    parts: list[Floats] = []
    for times_drawn in _resamples(n_resamples, aucs.shape[1], len(labels), seed):
        drawn = times_drawn[:, is_judged]
        n_drawn = drawn.sum(axis=1)
        sums = aucs[:, is_judged] @ drawn.T
        parts.append(np.divide(sums, n_drawn, out=np.full(sums.shape, np.nan), where=n_drawn > 0))
    return np.concatenate(parts, axis=1)


def _resamples(n_resamples: int, n_users: int, n_samples: int, seed: int) -> Iterator[Floats]:
    """How often each user is drawn, in parts of shape (n_at_once, n_users)."""
    if n_users < 2:
        raise MetricError(f"an interval over users needs at least 2 users, got {n_users}")
    generator = np.random.default_rng(seed)
    n_at_once = max(1, WEIGHTS_AT_ONCE // max(n_users, n_samples))
    for start in range(0, n_resamples, n_at_once):
        yield _resample(generator, min(n_at_once, n_resamples - start), n_users)


def _resample(generator: np.random.Generator, n_resamples: int, n_users: int) -> Floats:
    """How often each user is drawn: shape (n_resamples, n_users)."""
    drawn = generator.integers(n_users, size=(n_resamples, n_users))
    drawn += n_users * np.arange(n_resamples)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=n_resamples * n_users)
    return counts.reshape(n_resamples, n_users).astype(np.float64)


@dataclass(frozen=True, slots=True)
class _Ranking:
    """Liked and disliked rows, each from the lowest score to the highest."""

    user_of_liked: Integers
    user_of_disliked: Integers
    n_below: Integers
    """For each liked row: how many disliked rows have a lower score."""
    n_not_above: Integers | None
    """How many have a lower or an equal one; None where no score is equal."""


def _ranked(liked: Bools, scores: Floats, user_of_row: Integers) -> _Ranking:
    order = np.argsort(scores, kind="stable")
    ranked, answers, user = scores[order], liked[order], user_of_row[order]
    n_below, n_not_above = (np.searchsorted(ranked[~answers], ranked[answers], side) for side in ("left", "right"))
    is_tied = bool((n_below < n_not_above).any())
    return _Ranking(user[answers], user[~answers], n_below, n_not_above if is_tied else None)


def _weighted_auc(ranking: _Ranking, times_drawn: Floats) -> Floats:
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
