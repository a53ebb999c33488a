"""What a model has kept of a data set, as counts and differences from a control, with intervals.

Nothing here names a title, a user or an item, so that it may be published.
"""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

import numpy as np
import scipy.special  # pyright: ignore[reportMissingTypeStubs]

from benchmark.statistics.auc import Bools, Floats
from benchmark.statistics.influence import Measured, auc_of_pairs
from benchmark.statistics.uncertainty import margin, over_users

STARS = np.arange(1, 6)
# scipy has no types. Whatever passes through this name is `Any`.
_special: Any = scipy.special

Ends = tuple[float, float] | None
"""Of an interval; None where too little tells."""


def share_interval(n_hits: int, n: int, confidence: float) -> tuple[float, float]:
    """The interval of a share of independent rows; none of 200 may still be up to 1.8 %, at a confidence of 0.95.

    Args:
        n_hits: rows of the kind, 0 to n.
        n: rows, at least 1.
        confidence: in (0, 1).

    Source:
        Clopper and Pearson 1934.
    """
    tail = (1 - confidence) / 2
    low = float(_special.betaincinv(n_hits, n - n_hits + 1, tail)) if n_hits else 0.0
    high = float(_special.betaincinv(n_hits + 1, n - n_hits, 1 - tail)) if n_hits < n else 1.0
    return low, high


def completions_judged(
    exact: Bools, other_exact: Bools, log_p: Floats, other_log_p: Floats, confidence: float
) -> dict[str, Any]:
    """How many answers the model writes exactly, and how much likelier they are than behind another prompt.

    Args:
        exact: shape (n,), whether greedy decoding writes the answer.
        other_exact: whether it writes the same answer behind the prompt of another question.
        log_p: shape (n,), mean log-probability of the tokens of the answer.
        other_log_p: the same of the same answer behind the prompt of another question.
        confidence: of the intervals, in (0, 1).
    """
    gain = log_p - other_log_p
    return {
        **_exactness(exact, other_exact, confidence),
        "measure": "log-probability of a token",
        "value": float(log_p.mean()),
        "control": float(other_log_p.mean()),
        "difference": float(gain.mean()),
        "difference_interval": _interval(Measured(float(gain.mean()), gain, float(len(gain))), confidence),
    }


def ratings_judged(
    probabilities: Floats,
    other_probabilities: Floats,
    stars: Sequence[int],
    shown: Sequence[Sequence[int]],
    liked_above: float,
    confidence: float,
) -> dict[str, Any]:
    """How well the expected rating tells likes, beside the same with another item and the mean of the shown ratings.

    Args:
        probabilities: of 1 to 5 stars, shape (n, 5); one row a user.
        other_probabilities: the same where the last line has another item.
        stars: the ratings, 1 to 5.
        shown: the ratings in the prompt, oldest first.
        liked_above: a rating above this is a like.
        confidence: of the intervals, in (0, 1).

    Returns:
        `value`, `control` and what is of them are None where all ratings are likes, or none is.
    """
    truth = np.asarray(stars)
    scores: dict[str, Floats] = {
        "value": probabilities @ STARS,
        "control": other_probabilities @ STARS,
        "rule": np.array([fmean(row) for row in shown]),
    }
    rule = np.array([np.bincount(row, minlength=6).argmax() for row in shown])  # of equally frequent ones the lowest
    found = {name: _auc(truth > liked_above, values) for name, values in scores.items()}
    judged: dict[str, Any] = {
        **_exactness(_chosen(probabilities) == truth, _chosen(other_probabilities) == truth, confidence),
        "rule_exact": int((rule == truth).sum()),
        "n_liked": int((truth > liked_above).sum()),
        "measure": "AUC of likes",
    }
    for name, one in found.items():
        judged[name] = None if one is None else one.value
        judged[f"{name}_interval"] = _interval(one, confidence)
    for name, other in (("difference", "control"), ("difference_to_rule", "rule")):
        gain = _difference(found["value"], found[other])
        judged[name] = None if gain is None else gain.value
        judged[f"{name}_interval"] = _interval(gain, confidence)
    return judged


def _exactness(exact: Bools, other_exact: Bools, confidence: float) -> dict[str, Any]:
    n, n_exact = len(exact), int(exact.sum())
    return {
        "n": n,
        "exact": n_exact,
        "exact_interval": share_interval(n_exact, n, confidence),
        "control_exact": int(other_exact.sum()),
    }


def _chosen(probabilities: Floats) -> Any:
    return STARS[probabilities.argmax(axis=1)]


def _auc(liked: Bools, scores: Floats) -> Measured | None:
    """Each row is a user of its own."""
    places = np.arange(len(scores), dtype=np.int64)
    return auc_of_pairs(liked, scores, places, np.zeros_like(places))


def _difference(one: Measured | None, other: Measured | None) -> Measured | None:
    if one is None or other is None:
        return None
    return Measured(one.value - other.value, one.influence - other.influence, one.n_effective)


def _interval(found: Measured | None, confidence: float) -> Ends:
    spread = None if found is None else over_users(found.influence, found.n_effective)
    if found is None or spread is None:
        return None
    half = margin(spread, confidence)
    return found.value - half, found.value + half
