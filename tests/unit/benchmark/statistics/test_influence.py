"""Influences of users against a witness in plain Python, which leaves one user out after the other."""

from collections.abc import Sequence

import numpy as np
import plain_statistics as plain
import pytest

from benchmark.statistics.auc import roc_auc
from benchmark.statistics.influence import (
    Measured,
    auc_of_pairs,
    mean_of_users,
    mean_of_users_by_pairs,
    mean_over_seeds,
    won_pairs,
)


def arrays(rows: Sequence[plain.Row]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Liked, scores, users, strata."""
    liked, scores, users, strata = zip(*rows, strict=True)
    return np.array(liked), np.array(scores, dtype=float), np.array(users), np.array(strata)


def random_rows(seed: int, n_users: int = 7, n_rows: int = 60, n_strata: int = 1) -> list[plain.Row]:
    """Rows of unequal users with equal scores among them, in no order."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.ones(n_users))
    users = np.concatenate([np.arange(n_users), rng.choice(n_users, n_rows - n_users, p=shares)])
    rates = rng.beta(1, 1, n_users)
    columns = (
        rng.random(n_rows) < rates[users],
        rng.integers(-4, 5, n_rows) / 4 + rates[users].round(1),
        rng.permutation(users),
        rng.integers(n_strata, size=n_rows),
    )
    return list(zip(*(column.tolist() for column in columns), strict=True))


@pytest.mark.parametrize("n_strata", [1, 4])
@pytest.mark.parametrize("seed", range(25))
def test_leaving_users_out_one_by_one_gives_the_same(seed: int, n_strata: int) -> None:
    rows = random_rows(seed, n_strata=n_strata)
    found = auc_of_pairs(*arrays(rows))
    assert found is not None
    assert found.value == pytest.approx(plain.auc(rows), abs=1e-12)
    expected = plain.pseudo_values(rows)
    assert expected is not None
    assert found.influence == pytest.approx(expected, abs=1e-9)
    sizes = [sum(user == one for _, _, user, _ in rows) for one in sorted({user for _, _, user, _ in rows})]
    assert found.n_effective == pytest.approx(plain.effective(sizes), abs=1e-9)


@pytest.mark.parametrize("seed", range(10))
def test_won_pairs_count_every_pair_from_both_sides(seed: int) -> None:
    rows = random_rows(seed, n_strata=3)
    liked, scores, _, strata = arrays(rows)
    won, pairs = won_pairs(liked, scores, strata)
    expected_won, expected_pairs = plain.pairs_in_order(rows)
    for side in (liked, ~liked):
        assert won[side].sum() == expected_won
        assert pairs[side].sum() == expected_pairs


@pytest.mark.parametrize("seed", range(10))
def test_within_users_the_plain_mean_and_the_mean_by_pairs(seed: int) -> None:
    rows = random_rows(seed)
    liked, scores, users, _ = arrays(rows)
    aucs = plain.aucs_of_users(rows)
    judged = [one for one in aucs if one]
    mean, by_pairs = mean_of_users(liked, scores, users), mean_of_users_by_pairs(liked, scores, users)
    assert mean is not None
    assert by_pairs is not None
    assert mean.value == pytest.approx(sum(auc for auc, _ in judged) / len(judged), abs=1e-12)
    assert mean.influence == pytest.approx([one[0] if one else np.nan for one in aucs], abs=1e-12, nan_ok=True)
    assert mean.n_effective == len(judged)
    n_pairs, won = sum(n for _, n in judged), sum(auc * n for auc, n in judged)
    assert by_pairs.value == pytest.approx(won / n_pairs, abs=1e-12)
    left_out = [
        len(judged) * won / n_pairs - (len(judged) - 1) * (won - one[0] * one[1]) / (n_pairs - one[1])
        if one
        else np.nan
        for one in aucs
    ]
    assert by_pairs.influence == pytest.approx(left_out, abs=1e-9, nan_ok=True)
    assert by_pairs.n_effective == pytest.approx(plain.effective([n for _, n in judged]), abs=1e-9)


def uauc(users: list[int], liked: list[bool], scores: list[float]) -> float | None:
    found = mean_of_users(np.array(liked), np.array(scores), np.array(users))
    return found and found.value


def test_within_users_by_hand() -> None:
    users, liked = [0] * 4 + [1] * 2 + [2] * 2, [True, False, False, False, True, False, True, True]
    scores = [0.9, 0.1, 0.2, 0.3, 0.1, 0.2, 0.5, 0.6]
    assert uauc(users, liked, scores) == (1.0 + 0.0) / 2  # the last user has one label and no AUC
    assert uauc([0, 1], [True, False], [0.2, 0.1]) is None


def test_within_users_nothing_is_gained_by_knowing_how_lenient_a_user_is() -> None:
    liked, scores = [True, True, True, False, True, False, False, False], [0.75] * 4 + [0.25] * 4
    assert roc_auc(liked, scores) == 0.75
    assert uauc([0] * 4 + [1] * 4, liked, scores) == 0.5


def test_the_value_is_the_auc_of_all_pairs_and_not_of_those_between_users() -> None:
    rows = random_rows(3)
    liked, scores, users, strata = arrays(rows)
    found = auc_of_pairs(liked, scores, users, strata)
    won, n_pairs = plain.pairs_in_order(rows, between=True)
    assert found is not None
    assert found.value == pytest.approx(roc_auc(liked, scores), abs=1e-12)
    assert found.value != pytest.approx(won / n_pairs, abs=1e-3)


def test_users_who_are_alike_have_no_spread() -> None:
    rows = [(liked, score, user, 0) for user in range(5) for liked, score in ((True, 0.9), (False, 0.2), (True, 0.1))]
    found = auc_of_pairs(*arrays(rows))
    assert found is not None
    assert np.ptp(found.influence) == pytest.approx(0, abs=1e-12)
    assert found.n_effective == pytest.approx(5)


@pytest.mark.parametrize(
    ("rows", "value"),
    [
        pytest.param([(True, 0.5, 0, 0), (False, 0.1, 0, 0), (False, 0.7, 0, 0)], 0.5, id="one user"),
        pytest.param([(True, 0.5, 0, 0), (False, 0.1, 1, 0)], 1.0, id="two users: without one of them no pair is left"),
        pytest.param(
            [(True, 0.5, 0, 0), (True, 0.4, 0, 0), (False, 0.1, 1, 0), (False, 0.6, 2, 0)],
            0.5,
            id="one user has all likes",
        ),
    ],
)
def test_too_few_users_have_a_value_and_no_influence(rows: list[plain.Row], value: float) -> None:
    found = auc_of_pairs(*arrays(rows))
    assert found is not None
    assert found.value == value
    assert np.isnan(found.influence).all()
    assert plain.pseudo_values(rows) is None or len(found.influence) == 1


def test_a_user_who_likes_everything_has_an_influence_on_the_auc_and_none_on_the_uauc() -> None:
    rows = [*random_rows(0), (True, 0.9, 7, 0), (True, 0.3, 7, 0)]
    liked, scores, users, strata = arrays(rows)
    auc, uauc = auc_of_pairs(liked, scores, users, strata), mean_of_users(liked, scores, users)
    assert auc is not None
    assert uauc is not None
    assert np.isfinite(auc.influence).all()
    assert np.isnan(uauc.influence[7])


def test_a_stratum_with_one_label_or_one_user_adds_no_spread() -> None:
    rows = random_rows(1, n_users=6)
    alone = [(True, 0.3, 0, 1), (False, 0.4, 0, 1), (True, 0.9, 3, 2), (True, 0.1, 4, 2)]
    found, without = auc_of_pairs(*arrays([*rows, *alone])), auc_of_pairs(*arrays(rows))
    assert found is not None
    assert without is not None
    assert found.influence == pytest.approx(without.influence, abs=1e-12)
    assert found.value != without.value  # its one pair counts


def test_where_no_pair_is_there_the_metric_is_not_defined() -> None:
    liked, users = np.array([True, False]), np.array([0, 1])
    assert auc_of_pairs(liked, np.array([0.1, 0.2]), users, np.array([0, 1])) is None
    assert mean_of_users(liked, np.array([0.1, 0.2]), users) is None
    assert mean_of_users_by_pairs(liked, np.array([0.1, 0.2]), users) is None


def test_one_judged_user_has_a_value_and_no_influence() -> None:
    liked, scores, users = np.array([True, False, True]), np.array([1.0, 0.0, 2.0]), np.array([0, 0, 1])
    for found in (mean_of_users(liked, scores, users), mean_of_users_by_pairs(liked, scores, users)):
        assert found is not None
        assert found.value == 1
        assert np.isnan(found.influence).all()


def test_the_mean_over_seeds_has_the_mean_influence_in_the_numbers_of_the_file() -> None:
    seeds = [Measured(value, np.array([value, 0.1, np.nan]), 2.0) for value in (0.25, 0.75)]
    found = mean_over_seeds(seeds)
    assert (found.value, found.n_effective) == (0.5, 2.0)
    assert found.influence.tolist()[:2] == [0.5, float(np.float32(0.1))]
    assert np.isnan(found.influence[2])
