"""Rows of a test set as arrays, and scores brought into their order."""

import numpy as np

from benchmark.statistics.labels import TestRows, in_order

ROWS = TestRows(("a", "b", "c"), ("u10", "u2", "u10"), (True, False, True), (0.3, -1.0, 0.3))


def test_users_and_shares_are_numbered_in_their_order() -> None:
    assert ROWS.user_numbers.tolist() == [0, 1, 0]  # by name: u10 before u2
    assert ROWS.share_numbers.tolist() == [1, 0, 1]
    assert ROWS.is_liked.tolist() == [True, False, True]


def test_shares_that_are_equal_as_fractions_are_equal() -> None:
    shares = (3 / 10, 6 / 20, sum([True] * 3 + [False] * 7) / 10, 0.0, -1.0)
    rows = TestRows(tuple("abcde"), ("u",) * 5, (True,) * 5, shares)
    assert rows.share_numbers.tolist() == [2, 2, 2, 1, 0]


def test_the_digest_tells_ids_users_and_labels() -> None:
    other = [
        TestRows(("a", "b", "d"), ROWS.users, ROWS.liked, ROWS.shares),
        TestRows(ROWS.sample_ids, ("u10", "u2", "u3"), ROWS.liked, ROWS.shares),
        TestRows(ROWS.sample_ids, ROWS.users, (True, False, False), ROWS.shares),
    ]
    assert len({rows.digest for rows in (ROWS, *other)}) == 4
    assert TestRows(ROWS.sample_ids, ROWS.users, ROWS.liked, ROWS.shares).digest == ROWS.digest


def test_scores_are_brought_into_the_order_of_the_rows_or_refused() -> None:
    found = in_order({"c": 3.0, "b": 1.0, "a": 2.0}, ROWS)
    assert found is not None
    assert found.tolist() == [2.0, 1.0, 3.0]
    assert in_order({"a": 1.0, "b": 2.0}, ROWS) is None
    assert in_order({"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}, ROWS) is None
    for wrong in (np.nan, np.inf):
        assert in_order({"a": 1.0, "b": 2.0, "c": wrong}, ROWS) is None
