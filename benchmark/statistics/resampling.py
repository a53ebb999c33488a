"""AUC and within-user AUC on resampled users, and the percentile interval made of them."""

from collections.abc import Iterator, Sequence

import numpy as np

from benchmark.errors import MetricError
from benchmark.statistics.auc import Bools, Floats, checked, numbered, ranked, user_aucs, weighted_auc

WEIGHTS_AT_ONCE = 100_000
"""Row weights held in memory together (under 1 MB, so that they stay in the cache); it changes no result."""


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
    user_of_row, n_users = numbered(users, len(labels))
    rankings = [ranked(*checked(labels, values), user_of_row) for values in scores]
    parts = [
        [weighted_auc(ranking, times_drawn) for ranking in rankings]
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
