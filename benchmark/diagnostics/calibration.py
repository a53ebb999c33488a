"""Log-loss and calibration of the methods whose scores are probabilities of a like.

Most scores are not. The released score of a language model lies between 0.27 and 0.73 by construction (a softmax
of two probabilities), a control may count or sum; a metric that asks for probabilities would judge the scale of
these and not what they know.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.schema import LANGUAGE_MODELS, Cell
from benchmark.statistics.auc import Floats
from benchmark.statistics.results import KEY_COLUMNS

CALIBRATION_CSV = Path("results/calibration.csv")
CALIBRATION_COLUMNS = (*KEY_COLUMNS, "probability", "log_loss", "expected_calibration_error")
RELIABILITY_CSV = Path("results/reliability.csv")
RELIABILITY_COLUMNS = (*KEY_COLUMNS, "low", "high", "n_samples", "mean_probability", "like_rate")
N_BINS = 10
"""Bins of equal width, the convention of the expected calibration error."""

SHARES = ("liked_share", "item_mean")
"""Controls whose score is a share of likes."""

TEXT_SCORES = (0.0, 0.5, 1.0)
"""All that a language model gets whose answers are read as text: no, neither, yes."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Samples whose probability lies in one bin."""

    low: float
    """The bin is [low, high), the last one closed."""
    high: float
    n_samples: int
    mean_probability: float
    like_rate: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far probabilities can be taken at their word."""

    log_loss: float | None
    """Mean negative natural logarithm of the probability of the answer; None where an answer had probability 0."""
    expected_error: float
    """Expected calibration error, in [0, 1]: mean distance of probability and like rate over bins, weighted by size."""
    bins: tuple[Bin, ...]
    """Those that hold a sample, from low to high."""


def probabilities(cell: Cell, scores: Floats, scoring: str) -> tuple[str, Floats] | None:
    """Which probability the scores of a cell stand for, and its values, shape (n_samples,); None if for none.

    A baseline of another kind may give scores outside [0, 1], which are none.

    Args:
        cell: whose scores they are.
        scores: shape (n_samples,), as the method gave them.
        scoring: `fidelity.scoring`, the rule behind the score of a language model.
    """
    if cell.family == "baseline" and ((scores >= 0) & (scores <= 1)).all():
        return "sigmoid of the target's logit", scores
    if cell.family == "control" and cell.method in SHARES:
        return "share of likes", scores
    is_text = bool(np.isin(scores, TEXT_SCORES).all())
    if cell.family in LANGUAGE_MODELS and scoring == "logit_difference" and not is_text:
        return "P(Yes) / (P(Yes) + P(No))", 1 / (1 + np.exp(-np.clip(scores, -700, 700)))
    return None


def calibration(labels: Sequence[bool], probability: Floats) -> Calibration:
    """Log-loss, expected calibration error and reliability bins.

    Args:
        labels: shape (n_samples,); True = liked.
        probability: shape (n_samples,), in [0, 1].

    Source:
        Naeini et al. 2015 and Guo et al. 2017 for the expected calibration error.
    """
    liked = np.asarray(labels, dtype=np.bool_)
    of_answer = np.where(liked, probability, 1 - probability)
    log_loss = float(-np.log(of_answer).mean()) if (of_answer > 0).all() else None
    place = np.minimum((probability * N_BINS).astype(np.int64), N_BINS - 1)
    bins = tuple(
        Bin(
            low=number / N_BINS,
            high=(number + 1) / N_BINS,
            n_samples=int((place == number).sum()),
            mean_probability=float(probability[place == number].mean()),
            like_rate=float(liked[place == number].mean()),
        )
        for number in np.unique(place).tolist()
    )
    error = sum(one.n_samples * abs(one.mean_probability - one.like_rate) for one in bins) / len(liked)
    return Calibration(log_loss, error, bins)
