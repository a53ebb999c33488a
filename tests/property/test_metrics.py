"""Properties of the metrics."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from benchmark.statistics.auc import roc_auc, user_auc, user_aucs
from benchmark.statistics.resampling import resampled_auc, resampled_user_auc

ROWS = st.lists(st.tuples(st.booleans(), st.integers(-20, 20), st.sampled_from("abcd")), min_size=2, max_size=40)


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
    labels, scores, users = _both(rows)
    shift_of = dict(zip("abcd", shifts, strict=True))
    shifted = scores + np.array([shift_of[user] for user in users])
    assert user_auc(labels, shifted, users) == user_auc(labels, scores, users)


@given(ROWS)
def test_the_auc_within_a_user_is_the_auc_of_their_rows(rows: list[tuple[bool, int, str]]) -> None:
    labels, scores, users = _both(rows)
    found = user_aucs(labels, scores, users)
    for user, auc in zip(sorted(set(users)), found, strict=True):
        mine = np.array([other == user for other in users])
        if 0 < labels[mine].sum() < mine.sum():
            assert auc == roc_auc(labels[mine], scores[mine])
        else:
            assert np.isnan(auc)


@given(ROWS, st.integers(0, 2**32 - 1))
def test_methods_share_their_resamples(rows: list[tuple[bool, int, str]], seed: int) -> None:
    labels, scores, users = _both(rows)
    assume(len(set(users)) > 1)
    settings = {"n_resamples": 20, "seed": seed}
    together = resampled_auc(labels, [scores, -scores, scores], users, **settings)
    np.testing.assert_array_equal(together[0], resampled_auc(labels, [scores], users, **settings)[0])
    np.testing.assert_array_equal(together[0], together[2])
    np.testing.assert_allclose(together[0] + together[1], np.where(np.isnan(together[0]), np.nan, 1.0))
    within = resampled_user_auc(labels, [scores, -scores], users, **settings)
    if within is not None:
        np.testing.assert_allclose(within[0] + within[1], np.where(np.isnan(within[0]), np.nan, 1.0))
