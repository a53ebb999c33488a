"""How much each user moves a metric: the jackknife of pairs between users, and within-user means.

All metrics here count won pairs of a liked and a disliked row. Rows of one user hang together, so a user is the unit:
the influence of a user is the pseudo-value that the jackknife gives them, and the variance of a metric is the variance
of the influences over the number of users.

Source:
    The jackknife: Tukey 1958. Pairs of one user are left out of it, since a user who is drawn twice in a bootstrap is
    compared with themselves, which biases the variance of few users; docs/decisions/015 has the coverage measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.statistics.auc import Bools, Floats, Integers


@dataclass(frozen=True, slots=True)
class Measured:
    """A metric of one cell, and what each user adds to it."""

    value: float
    influence: Floats
    """Shape (n_users,), users sorted by name; NaN for users whom the metric is not about. All NaN where there are too
    few users to say how uncertain the value is."""
    n_effective: float
    """Users that would be as uncertain if all had equally many rows: 1 / sum of squared shares of rows."""


def won_pairs(liked: Bools, scores: Floats, group: Integers) -> tuple[Floats, Floats]:
    """Pairs of each row with the rows of the other label in its group: how many are in order, and how many there are.

    Args:
        liked: shape (n_rows,), at least one row.
        scores: shape (n_rows,), finite; higher = more likely liked.
        group: shape (n_rows,), numbers; rows of different groups are never compared.

    Returns:
        Two arrays of shape (n_rows,). A pair is in order if the liked row has the higher score; a tie counts one half.
    """
    order = np.lexsort((scores, group))
    sorted_group, sorted_scores, is_liked = group[order], scores[order], liked[order]
    n_rows = len(order)
    new_group = np.concatenate([[True], sorted_group[1:] != sorted_group[:-1]])
    new_score = new_group | np.concatenate([[True], sorted_scores[1:] != sorted_scores[:-1]])
    # Liked and disliked rows before each position, and at the ends of its run of equal scores and of its group.
    disliked_before = np.concatenate([[0], np.cumsum(~is_liked)])
    liked_before = np.concatenate([[0], np.cumsum(is_liked)])
    starts, run = np.flatnonzero(new_score), np.cumsum(new_score) - 1
    first, last = starts[run], np.append(starts[1:], n_rows)[run]
    group_starts, number = np.flatnonzero(new_group), np.cumsum(new_group) - 1
    begin, end = group_starts[number], np.append(group_starts[1:], n_rows)[number]
    below = (disliked_before[first] + disliked_before[last]) / 2 - disliked_before[begin]
    above = liked_before[end] - (liked_before[first] + liked_before[last]) / 2
    n_other = np.where(is_liked, disliked_before[end] - disliked_before[begin], liked_before[end] - liked_before[begin])
    won, pairs = np.empty(n_rows), np.empty(n_rows)
    won[order], pairs[order] = np.where(is_liked, below, above), n_other
    return won, pairs


def auc_of_pairs(liked: Bools, scores: Floats, users: Integers, strata: Integers) -> Measured | None:
    """AUC within strata: the share of pairs in order, of all pairs of a liked and a disliked row of one stratum.

    Args:
        liked: shape (n_rows,).
        scores: shape (n_rows,), finite.
        users: shape (n_rows,), numbers from 0.
        strata: shape (n_rows,), numbers; all alike for the AUC itself.

    Returns:
        None where no stratum has both labels.
    """
    won, pairs = won_pairs(liked, scores, strata)
    n_pairs = pairs[liked].sum()
    if not n_pairs:
        return None
    n_users = int(users.max()) + 1
    own_won, own_pairs = won_pairs(liked, scores, strata * n_users + users)
    won_of, pairs_of = (np.bincount(users, one, n_users) for one in (won - own_won, pairs - own_pairs))
    # A pair between two users is gone with either of them.
    left_won, left_pairs = won_of.sum() / 2 - won_of, pairs_of.sum() / 2 - pairs_of
    value = float(won[liked].sum() / n_pairs)
    if n_users < 2 or (left_pairs <= 0).any():
        return Measured(value, np.full(n_users, np.nan), 0.0)
    without = left_won / left_pairs
    whole = won_of.sum() / pairs_of.sum()
    shares = np.bincount(users, minlength=n_users) / len(users)
    return Measured(value, n_users * whole - (n_users - 1) * without, float(1 / (shares**2).sum()))


def mean_of_users(liked: Bools, scores: Floats, users: Integers) -> Measured | None:
    """The plain mean of the AUCs within users who have both labels; a user's influence is their own AUC.

    Returns:
        None where no user has both labels.
    """
    won_of, pairs_of = _within_users(liked, scores, users)
    nobody = np.full(len(pairs_of), np.nan)
    aucs = np.divide(won_of, pairs_of, out=nobody.copy(), where=pairs_of > 0)
    n_judged = int((pairs_of > 0).sum())
    if not n_judged:
        return None
    return Measured(float(np.nanmean(aucs)), aucs if n_judged > 1 else nobody, float(n_judged))


def mean_of_users_by_pairs(liked: Bools, scores: Floats, users: Integers) -> Measured | None:
    """The share of pairs within users that are in order, of all such pairs: users weigh by their pairs.

    Returns:
        None where no user has both labels.
    """
    won_of, pairs_of = _within_users(liked, scores, users)
    is_judged = pairs_of > 0
    if not is_judged.any():
        return None
    value, n_judged = float(won_of.sum() / pairs_of.sum()), int(is_judged.sum())
    influence = np.full(len(pairs_of), np.nan)
    if n_judged > 1:
        without = (won_of.sum() - won_of[is_judged]) / (pairs_of.sum() - pairs_of[is_judged])
        influence[is_judged] = n_judged * value - (n_judged - 1) * without
    return Measured(value, influence, float(pairs_of.sum() ** 2 / (pairs_of**2).sum()))


def _within_users(liked: Bools, scores: Floats, users: Integers) -> tuple[Floats, Floats]:
    """Pairs of each user's own rows: how many are in order, and how many there are; shape (n_users,) each."""
    n_users = int(users.max()) + 1
    won, pairs = (
        np.bincount(users[liked], one[liked], n_users).astype(np.float64) for one in won_pairs(liked, scores, users)
    )
    return won, pairs


def mean_over_seeds(seeds: Sequence[Measured]) -> Measured:
    """The mean of one metric over the seeds of a method; all of the same test rows.

    Influences are rounded to the 32 bits of `influence.parquet`, so that those in memory and in the file are the same.
    """
    influence = np.mean(np.stack([one.influence for one in seeds]), axis=0).astype(np.float32).astype(np.float64)
    return Measured(float(np.mean([one.value for one in seeds])), influence, seeds[0].n_effective)
