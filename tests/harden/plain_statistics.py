"""The statistics by their definitions in plain Python loops: a witness that shares no line with what it checks."""

from collections.abc import Sequence

Row = tuple[bool, float, int, int]
"""Liked, score, user, stratum."""


def pairs_in_order(rows: Sequence[Row], between: bool | None = None) -> tuple[float, int]:
    """Pairs of a liked and a disliked row of one stratum: how many are in order (a tie: one half), and how many.

    Args:
        rows: all rows.
        between: of two users alone (True), of one user alone (False), or of both kinds (None).
    """
    won, n_pairs = 0.0, 0
    for liked, score, user, stratum in rows:
        for other_liked, other_score, other_user, other_stratum in rows:
            if not liked or other_liked or stratum != other_stratum:
                continue
            if between is None or between == (user != other_user):
                n_pairs += 1
                won += 1.0 if score > other_score else 0.5 if score == other_score else 0.0
    return won, n_pairs


def auc(rows: Sequence[Row]) -> float | None:
    """The share of pairs in order; None without a pair."""
    won, n_pairs = pairs_in_order(rows)
    return won / n_pairs if n_pairs else None


def pseudo_values(rows: Sequence[Row]) -> list[float] | None:
    """Of the AUC of pairs between users, each user left out in turn; None where nothing is left without one."""
    users = sorted({user for _, _, user, _ in rows})
    won, n_pairs = pairs_in_order(rows, between=True)
    found: list[float] = []
    for left_out in users:
        won_without, n_without = pairs_in_order([row for row in rows if row[2] != left_out], between=True)
        if not n_without:
            return None
        found.append(len(users) * won / n_pairs - (len(users) - 1) * won_without / n_without)
    return found


def standard_error(influence: Sequence[float]) -> float:
    """Of the mean of pseudo-values."""
    n = len(influence)
    mean = sum(influence) / n
    return (sum((value - mean) ** 2 for value in influence) / (n - 1) / n) ** 0.5


def effective(sizes: Sequence[float]) -> float:
    """How many equal users are as uncertain as users of these sizes."""
    return sum(sizes) ** 2 / sum(size**2 for size in sizes)


def aucs_of_users(rows: Sequence[Row]) -> list[tuple[float, int] | None]:
    """AUC and pairs of each user; None for one with one label."""
    found: list[tuple[float, int] | None] = []
    for user in sorted({user for _, _, user, _ in rows}):
        won, n_pairs = pairs_in_order([(liked, score, one, 0) for liked, score, one, _ in rows if one == user])
        found.append((won / n_pairs, n_pairs) if n_pairs else None)
    return found
