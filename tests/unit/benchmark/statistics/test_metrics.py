"""The four metrics of a cell, on rows with users and histories."""

import numpy as np
import plain_statistics as plain
import pytest

from benchmark.errors import MetricError
from benchmark.statistics.auc import roc_auc
from benchmark.statistics.labels import TestRows
from benchmark.statistics.metrics import METRICS, OTHERS, measured


def rows_of(n_rows: int = 120, n_users: int = 6, seed: int = 0) -> TestRows:
    """Users who differ in how much they like; histories of ten or fewer, some empty."""
    rng = np.random.default_rng(seed)
    users = np.concatenate([np.arange(n_users), rng.integers(n_users, size=n_rows - n_users)])
    rate = rng.uniform(0.2, 0.8, n_users)[users]
    lengths = rng.choice([0, 5, 10, 10, 10], n_rows)
    shares = np.divide(rng.binomial(lengths, rate), lengths, out=np.full(n_rows, -1.0), where=lengths > 0)
    return TestRows(
        tuple(f"s{row:03d}" for row in range(n_rows)),
        tuple(f"u{user}" for user in users),
        tuple((rng.random(n_rows) < rate).tolist()),
        tuple(shares.tolist()),
    )


def test_the_metrics_are_named_in_the_order_of_their_columns() -> None:
    assert list(METRICS) == ["auc", "equal_share_auc", "uauc", "uauc_by_pairs"]
    assert OTHERS == ("equal_share_auc", "uauc", "uauc_by_pairs")


def test_each_metric_is_that_of_its_definition() -> None:
    rows, scores = rows_of(), np.random.default_rng(1).integers(0, 20, 120) / 10
    found = {name: one.value for name, one in measured(rows, scores).items() if one}
    plain_rows = list(zip(rows.liked, scores.tolist(), rows.user_numbers.tolist(), [0] * 120, strict=True))
    by_share = [(*row[:3], share) for row, share in zip(plain_rows, rows.share_numbers.tolist(), strict=True)]
    assert found["auc"] == pytest.approx(roc_auc(rows.liked, scores), abs=1e-12)
    assert found["auc"] == pytest.approx(plain.auc(plain_rows), abs=1e-12)
    assert found["equal_share_auc"] == pytest.approx(plain.auc(by_share), abs=1e-12)
    aucs = [one[0] for one in plain.aucs_of_users(plain_rows) if one]
    assert found["uauc"] == pytest.approx(sum(aucs) / len(aucs), abs=1e-12)
    within = plain.pairs_in_order(plain_rows, between=False)
    assert found["uauc_by_pairs"] == pytest.approx(within[0] / within[1], abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_the_rule_has_exactly_one_half_at_equal_share_and_no_spread(seed: int) -> None:
    """As the control scores: the share, and one half for an empty history."""
    rows = rows_of(seed=seed)
    scores = np.array([0.5 if share < 0 else share for share in rows.shares])
    found = measured(rows, scores)["equal_share_auc"]
    assert found is not None
    assert found.value == 0.5
    assert found.influence.tolist() == [0.5] * 6
    # Whatever grows with the share alone has it too.
    assert measured(rows, np.exp(3 * scores))["equal_share_auc"] is not None
    assert measured(rows, np.exp(3 * scores))["equal_share_auc"].value == 0.5  # type: ignore[union-attr]


def test_what_is_added_to_the_rule_is_seen_at_equal_share() -> None:
    rows = rows_of(n_rows=400)
    rule = np.array([0.5 if share < 0 else share for share in rows.shares])
    added = rule + 0.05 * (np.array(rows.liked) - 0.5)
    found = measured(rows, added)["equal_share_auc"]
    assert found is not None
    assert found.value == 1.0


def test_an_empty_history_is_compared_with_empty_ones_alone() -> None:
    rows = TestRows(tuple("abcd"), tuple("uvwx"), (True, False, True, False), (-1.0, -1.0, 0.5, 0.5))
    found = measured(rows, np.array([0.9, 0.8, 0.1, 0.2]))["equal_share_auc"]
    assert found is not None
    assert found.value == 0.5  # one of two pairs


def test_what_is_not_defined_is_none() -> None:
    rows = TestRows(("a", "b"), ("u", "v"), (True, False), (0.1, 0.2))
    found = measured(rows, np.array([0.9, 0.8]))
    assert found["auc"] is not None
    assert found["auc"].value == 1.0
    assert [found[name] for name in OTHERS] == [None, None, None]


@pytest.mark.parametrize(
    ("rows", "scores", "message"),
    [
        (TestRows(("a", "b"), ("u", "v"), (True, False), (0.1, 0.2)), [0.1, np.nan], "1 of 2 scores are not finite"),
        (TestRows(("a", "b"), ("u", "v"), (True, True), (0.1, 0.2)), [0.1, 0.2], "2 liked of 2"),
        (TestRows(("a", "b"), ("u", "v"), (True, False), (0.1, 0.2)), [0.1], "one score a label"),
    ],
)
def test_scores_that_cannot_be_measured_are_errors(rows: TestRows, scores: list[float], message: str) -> None:
    with pytest.raises(MetricError, match=message):
        measured(rows, np.array(scores))
