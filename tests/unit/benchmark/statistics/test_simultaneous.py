"""max-T: as Bonferroni where comparisons are independent, as one where they are the same, never below either bound."""

import numpy as np
import pytest

from benchmark.statistics.simultaneous import N_DRAWS, adjusted


def holm(p_values: list[float]) -> list[float]:
    """Step-down Bonferroni."""
    order = np.argsort(p_values)
    steps = np.maximum.accumulate([(len(order) - rank) * p_values[place] for rank, place in enumerate(order)])
    return np.minimum(1, steps[np.argsort(order)]).tolist()


def test_independent_comparisons_are_corrected_as_by_sidak_and_hardly_less_than_by_bonferroni() -> None:
    p_values = [0.001, 0.01, 0.04, 0.3]
    found = adjusted(p_values, np.diag([1.0, 4.0, 0.01, 2.0]), 0)
    assert found == pytest.approx([1 - (1 - p) ** 4 for p in p_values], abs=0.01)
    assert all(one <= 4 * p for one, p in zip(found, p_values, strict=True))
    assert found[0] == pytest.approx(holm(p_values)[0], abs=0.001)  # the smallest: the first step of Holm is Bonferroni


def test_the_same_comparison_told_often_is_one_comparison() -> None:
    found = adjusted([0.03] * 20, np.ones((20, 20)), 0)
    assert found == pytest.approx([0.03] * 20, abs=0.005)
    assert holm([0.03] * 20)[0] == pytest.approx(0.6)


def test_opposite_comparisons_are_the_same_one() -> None:
    assert adjusted([0.03, 0.03], np.array([[1.0, -1.0], [-1.0, 1.0]]), 0) == pytest.approx([0.03, 0.03], abs=0.005)


def test_related_comparisons_lie_between_one_and_bonferroni() -> None:
    n = 10
    covariance = np.full((n, n), 0.5) + np.diag([0.5] * n)
    (found, *_) = adjusted([0.01] * n, covariance, 0)
    assert 0.03 < found < 0.95 * (1 - 0.99**n)


def test_beyond_the_draws_it_is_bonferroni() -> None:
    found = adjusted([1e-9, 1e-9, 0.5], np.eye(3), 0)
    assert found[:2] == pytest.approx([3e-9, 3e-9], rel=1e-9)
    assert adjusted([2e-5] * 3, np.eye(3), 0)[0] <= 6.01e-5
    assert adjusted([0.0, 1.0], np.eye(2), 0) == [0.0, 1.0]


def test_it_never_falls_below_the_comparison_alone_and_is_in_order() -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(12, 5))
    p_values = sorted(rng.random(12).tolist())
    found = adjusted(p_values, root @ root.T, 1)
    assert all(p <= one <= 1 for p, one in zip(p_values, found, strict=True))
    assert found == sorted(found)


def test_a_comparison_without_noise_takes_no_part() -> None:
    covariance = np.diag([1.0, 0.0])
    assert adjusted([0.02, 1.0], covariance, 0) == pytest.approx([0.02, 1.0], abs=0.004)
    assert adjusted([1.0], np.zeros((1, 1)), 0) == [1.0]
    assert adjusted([], np.zeros((0, 0)), 0) == []


def test_draws_do_not_depend_on_how_the_root_is_chosen() -> None:
    """A covariance with equal eigenvalues has many roots; rounding in the last bit must not move a p-value."""
    rng = np.random.default_rng(3)
    covariance = np.eye(6) + 0.3
    rounded = covariance * (1 + 1e-7 * rng.normal(size=covariance.shape))
    p_values = [0.01, 0.02, 0.03, 0.04, 0.2, 0.5]
    found = adjusted(p_values, (rounded + rounded.T) / 2, 0)
    assert found == pytest.approx(adjusted(p_values, covariance, 0), abs=3 / N_DRAWS)
