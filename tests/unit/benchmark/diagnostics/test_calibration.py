"""Log-loss and calibration, against scikit-learn and by hand, and which scores are probabilities at all."""

import numpy as np
import pytest
from sklearn.metrics import log_loss

from benchmark.diagnostics.calibration import calibration, probabilities
from benchmark.schema import Cell


def _cell(family: str, method: str) -> Cell:
    return Cell(family, method, "movie", "movie", 16, 0)


def test_log_loss_equals_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    labels, probability = rng.random(500) < 0.5, rng.uniform(0.01, 0.99, 500)
    assert calibration(labels.tolist(), probability).log_loss == pytest.approx(log_loss(labels, probability), abs=1e-12)


def test_a_certain_and_wrong_answer_has_no_finite_loss() -> None:
    assert calibration([True, False], np.array([0.0, 0.2])).log_loss is None
    assert calibration([True, False], np.array([1.0, 0.0])).log_loss == 0


def test_the_calibration_error_by_hand() -> None:
    # Bin [0.2, 0.3): mean 0.25, half are liked. Bin [0.9, 1]: mean 0.95, all are.
    found = calibration([True, False, True, True], np.array([0.2, 0.3 - 1e-9, 0.9, 1.0]))
    assert found.expected_error == pytest.approx((2 * 0.25 + 2 * 0.05) / 4, abs=1e-8)
    assert [(one.low, one.high, one.n_samples, one.like_rate) for one in found.bins] == [
        (0.2, 0.3, 2, 0.5),
        (0.9, 1.0, 2, 1.0),
    ]


def test_frequencies_are_calibrated_and_a_scale_that_is_squeezed_is_not() -> None:
    rng = np.random.default_rng(1)
    probability = rng.random(100_000)
    labels = (rng.random(100_000) < probability).tolist()
    assert calibration(labels, probability).expected_error < 0.01
    squeezed = np.exp(probability) / (np.exp(probability) + np.exp(1 - probability))  # the released second softmax
    assert calibration(labels, squeezed).expected_error > 0.1


def test_which_scores_are_probabilities() -> None:
    scores = np.array([-2.0, 0.0, 2.0])
    assert probabilities(_cell("tuned", "tallrec-movie"), scores, "double_softmax") is None
    assert probabilities(_cell("icl", "icl-base-released"), scores, "double_softmax") is None
    # Answers read as text: neither log-odds nor probabilities.
    assert probabilities(_cell("icl", "icl-chat-gpt"), np.array([0.0, 0.5, 1.0, 1.0]), "logit_difference") is None
    name, values = probabilities(_cell("tuned", "tallrec-movie"), scores, "logit_difference") or ("", scores)
    assert name == "P(Yes) / (P(Yes) + P(No))"
    assert values == pytest.approx([np.exp(-2) / (1 + np.exp(-2)), 0.5, np.exp(2) / (1 + np.exp(2))])
    assert probabilities(_cell("control", "item_popularity"), scores, "double_softmax") is None
    assert probabilities(_cell("control", "random"), scores, "double_softmax") is None
    assert probabilities(_cell("control", "liked_share"), scores, "double_softmax") is not None
    assert probabilities(_cell("baseline", "gru4rec"), np.array([0.0, 0.3, 1.0]), "double_softmax") is not None
    assert probabilities(_cell("baseline", "dot_product"), scores, "double_softmax") is None
