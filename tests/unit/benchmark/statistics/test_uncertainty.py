"""Spreads: of users, of seeds, of both; against scipy's own tests where there is one."""

import numpy as np
import pytest
from scipy import stats

from benchmark.statistics.uncertainty import (
    Spread,
    joined,
    margin,
    over_seeds,
    over_users,
    p_below,
    p_value,
    pooled_variance,
)


def test_over_users_is_a_t_test_where_all_users_count_the_same() -> None:
    influence = np.random.default_rng(0).normal(0.1, 1, 12)
    spread = over_users(influence, 12)
    expected = stats.ttest_1samp(influence, 0)
    assert spread is not None
    assert p_value(influence.mean(), spread) == pytest.approx(expected.pvalue, rel=1e-9)
    assert margin(spread, 0.9) == pytest.approx(expected.confidence_interval(0.9).high - influence.mean(), rel=1e-9)


def test_over_users_leaves_out_whom_the_metric_is_not_about() -> None:
    influence = np.array([0.2, np.nan, 0.6, 0.4])
    assert over_users(influence, 3) == over_users(influence[[0, 2, 3]], 3)
    assert over_users(np.array([0.2, np.nan]), 2) is None
    assert over_users(np.full(3, np.nan), 0.0) is None


def test_unequal_users_have_fewer_degrees_of_freedom_and_never_less_than_one() -> None:
    influence = np.array([0.2, 0.6, 0.4])
    assert [over_users(influence, n).dof for n in (2.5, 1.2)] == [1.5, 1.0]  # type: ignore[union-attr]


def test_pooled_variance_weighs_methods_by_their_degrees_of_freedom() -> None:
    groups = [[1.0, 3.0], [2.0, 2.0, 5.0], [7.0]]
    assert pooled_variance(groups) == Spread((2.0 * 1 + 3.0 * 2) / 3, 3)
    assert pooled_variance([[1.0], []]) is None


def test_the_larger_of_own_and_pooled_variance_counts() -> None:
    quiet, wild, pool = [0.5, 0.5], [0.4, 0.6], Spread(0.01, 6)
    assert over_seeds(quiet, pool) == (Spread(0.005, 6), True)
    assert over_seeds(wild, pool) == (Spread(pytest.approx(0.01), 1), False)
    assert over_seeds(quiet, None) == (Spread(0.0, 1), False)


def test_joined_spreads_follow_welch() -> None:
    rng = np.random.default_rng(5)
    left, right = rng.normal(0, 1, 4), rng.normal(0.5, 3, 7)
    spread = joined([Spread(left.var(ddof=1) / 4, 3), Spread(right.var(ddof=1) / 7, 6)])
    expected = stats.ttest_ind(left, right, equal_var=False)
    value = float(left.mean() - right.mean())
    assert p_value(value, spread) == pytest.approx(expected.pvalue, rel=1e-9)
    less = stats.ttest_ind(left, right, equal_var=False, alternative="less")
    assert p_below(value, spread) == pytest.approx(less.pvalue, rel=1e-9)
    assert value + margin(spread, 0.9) == pytest.approx(expected.confidence_interval(0.9).high, rel=1e-9)


def test_a_part_without_variance_changes_nothing_and_a_tiny_one_is_no_division_by_zero() -> None:
    alone = Spread(0.5, 7)
    assert joined([alone, Spread(0.0, 1)]) == alone
    assert joined([Spread(0.0, 4), Spread(0.0, 9)]) == Spread(0.0, 4)
    assert joined([Spread(1e-300, 3), Spread(1e-300, 3)]).dof == pytest.approx(6)


def test_without_noise_any_difference_is_certain() -> None:
    assert [p_below(value, Spread(0.0, 5)) for value in (-1e-9, 0.0, 1e-9)] == [0.0, 1.0, 1.0]
    assert [p_value(value, Spread(0.0, 5)) for value in (-1e-9, 0.0, 1e-9)] == [0.0, 1.0, 0.0]
