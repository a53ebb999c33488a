"""Properties of the metrics."""

import numpy as np
import plain_statistics as plain
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from benchmark.statistics.auc import roc_auc
from benchmark.statistics.influence import auc_of_pairs, mean_of_users, mean_of_users_by_pairs

ROWS = st.lists(st.tuples(st.booleans(), st.integers(-20, 20), st.sampled_from("abcd")), min_size=2, max_size=40)
STRATA = st.lists(st.integers(0, 2), min_size=40, max_size=40)


def _numbers(
    rows: list[tuple[bool, int, str]], strata: list[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    labels, scores, users = _both(rows)
    return labels, scores, np.unique(users, return_inverse=True)[1], np.array(strata[: len(rows)])


def _both(rows: list[tuple[bool, int, str]]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    labels = np.array([liked for liked, _, _ in rows])
    assume(labels.any() and not labels.all())
    return labels, np.array([float(score) for _, score, _ in rows]), [user for _, _, user in rows]


@given(ROWS)
def test_auc_equals_the_one_of_scikit_learn(rows: list[tuple[bool, int, str]]) -> None:
    labels, scores, _ = _both(rows)
    assert roc_auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


@given(ROWS, st.randoms(use_true_random=False))
def test_auc_does_not_depend_on_order_or_scale(rows: list[tuple[bool, int, str]], shuffle: object) -> None:
    labels, scores, _ = _both(rows)
    order = list(range(len(rows)))
    shuffle.shuffle(order)  # type: ignore[attr-defined]
    assert roc_auc(labels[order], np.exp(scores[order] / 10)) == roc_auc(labels, scores)


@given(ROWS)
def test_turning_scores_round_turns_auc_round(rows: list[tuple[bool, int, str]]) -> None:
    labels, scores, _ = _both(rows)
    assert roc_auc(labels, -scores) == pytest.approx(1 - roc_auc(labels, scores), abs=1e-12)


@given(ROWS, st.lists(st.integers(-1000, 1000), min_size=4, max_size=4))
def test_uauc_does_not_see_a_shift_of_a_whole_user(rows: list[tuple[bool, int, str]], shifts: list[int]) -> None:
    labels, scores, users, _ = _numbers(rows, [])
    found, shifted = (mean_of_users(labels, values, users) for values in (scores, scores + np.array(shifts)[users]))
    assert (found and found.value) == (shifted and shifted.value)


@given(ROWS)
def test_the_auc_within_a_user_is_the_auc_of_their_rows(rows: list[tuple[bool, int, str]]) -> None:
    labels, scores, users, _ = _numbers(rows, [])
    found = mean_of_users(labels, scores, users)
    of_both = [user for user in np.unique(users) if len(set(labels[users == user])) == 2]
    expected = [roc_auc(labels[users == user], scores[users == user]) for user in of_both]
    assert (found is None) == (not expected)
    if found is not None:
        assert found.value == pytest.approx(np.mean(expected), abs=1e-12)
        assert len(expected) == 1 or found.influence[of_both].tolist() == expected


@given(ROWS, STRATA)
def test_influences_are_those_of_leaving_out_users_one_by_one(
    rows: list[tuple[bool, int, str]], strata: list[int]
) -> None:
    numbers = _numbers(rows, strata)
    found = auc_of_pairs(*numbers)
    plain_rows = list(zip(*(column.tolist() for column in numbers), strict=True))
    assert (found is None) == (plain.auc(plain_rows) is None)
    if found is None:
        return
    assert found.value == pytest.approx(plain.auc(plain_rows), abs=1e-12)
    expected = plain.pseudo_values(plain_rows) if len(found.influence) > 1 else None
    if expected is None:
        assert np.isnan(found.influence).all()
    else:
        assert found.influence == pytest.approx(expected, abs=1e-9)


@given(ROWS, STRATA)
def test_turned_scores_turn_every_influence_round(rows: list[tuple[bool, int, str]], strata: list[int]) -> None:
    labels, scores, users, groups = _numbers(rows, strata)
    for one, turned in (
        (auc_of_pairs(labels, scores, users, groups), auc_of_pairs(labels, -scores, users, groups)),
        (mean_of_users(labels, scores, users), mean_of_users(labels, -scores, users)),
        (mean_of_users_by_pairs(labels, scores, users), mean_of_users_by_pairs(labels, -scores, users)),
    ):
        assert (one is None) == (turned is None)
        if one is not None and turned is not None:
            assert one.value + turned.value == pytest.approx(1, abs=1e-12)
            whole = np.where(np.isnan(one.influence), np.nan, 1.0)
            assert one.influence + turned.influence == pytest.approx(whole, abs=1e-9, nan_ok=True)


@given(ROWS, STRATA)
def test_copies_of_all_rows_change_no_influence(rows: list[tuple[bool, int, str]], strata: list[int]) -> None:
    numbers = _numbers(rows, strata)
    one, twice = auc_of_pairs(*numbers), auc_of_pairs(*(np.tile(column, 2) for column in numbers))
    assert (one is None) == (twice is None)
    if one is not None and twice is not None:
        assert twice.value == pytest.approx(one.value, abs=1e-12)
        assert twice.influence == pytest.approx(one.influence, abs=1e-9, nan_ok=True)
        assert twice.n_effective == pytest.approx(one.n_effective, abs=1e-9)
