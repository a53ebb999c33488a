"""The differences that the table shows: which pairs, corrected within their table, and as a file."""

import csv
import io

import numpy as np
import pytest

from benchmark.schema import Cell
from benchmark.statistics.comparisons import COLUMNS, COMPARED, Pair, compare, differences_csv, table_pairs
from benchmark.statistics.estimates import Estimates, Known
from benchmark.statistics.influence import Measured

TALLREC = [Cell("tuned", "tallrec-movie", "movie", "movie", k, 0) for k in (16, 64)]
OTHER = Cell("tuned", "tallrec-book", "book", "movie", 16, 0)
SASREC = Cell("baseline", "sasrec", "movie", "movie", 16, 0)
RULE = Cell("control", "liked_share", "movie", "movie", 0, 0)
ELSEWHERE = Cell("control", "liked_share", "book", "book", 0, 0)
FURTHER = [Cell(family, method, "movie", "movie-extended", k, 0) for family, method, k in (
    ("tuned", "tallrec-movie", 16), ("control", "liked_share", 0)
)]  # fmt: skip


def estimates_of(values: dict[Cell, float], metrics: tuple[str, ...] = COMPARED, n_users: int = 16) -> Estimates:
    """Methods without seeds, each with a noise over users of its own."""
    rng = np.random.default_rng(0)
    return Estimates(
        {
            (cell, metric): Known(Measured(value, rng.normal(0, 0.1, n_users), n_users), {0: value}, is_seeded=False)
            for cell, value in values.items()
            for metric in metrics
        }
    )


def test_the_table_compares_with_tallrec_and_with_the_rule_at_the_same_k() -> None:
    pairs = table_pairs([*TALLREC, OTHER, SASREC, RULE, ELSEWHERE, *FURTHER])
    assert {(pair.left, pair.right) for pair in pairs} == {
        (TALLREC[0], SASREC),
        (TALLREC[0], RULE),
        (TALLREC[1], RULE),
        (OTHER, RULE),
        (SASREC, RULE),
    }
    assert [pair.metric for pair in pairs[:3]] == list(COMPARED)
    assert len(pairs) == len(set(pairs))


def test_a_difference_is_left_minus_right_and_corrected_within_its_metric_and_test_set() -> None:
    pairs = [Pair(TALLREC[0], SASREC, "auc"), Pair(TALLREC[0], RULE, "auc"), Pair(SASREC, RULE, "uauc")]
    estimates = estimates_of({TALLREC[0]: 0.7, SASREC: 0.6, RULE: 0.72})
    found = compare(estimates, pairs)
    assert [one.pair for one in found] == pairs
    assert [one.estimate.value for one in found] == pytest.approx([0.1, -0.02, -0.12])
    alone = [one.estimate.p_value for one in found]
    assert found[2].p_adjusted == alone[2]  # the only one of its table
    for one, p in zip(found[:2], alone, strict=False):
        assert p is not None
        assert p <= (one.p_adjusted or 0) <= 2 * p
    assert found[0].p_adjusted != alone[0]


def test_pairs_that_were_not_run_are_left_out_and_one_without_a_spread_has_no_p_value() -> None:
    known = dict(estimates_of({TALLREC[0]: 0.7, RULE: 0.72}, ("auc",)).known)
    known[SASREC, "auc"] = Known(Measured(0.6, np.zeros(16), 16.0), {0: 0.6}, is_seeded=True)
    pairs = [Pair(TALLREC[0], RULE, "auc"), Pair(SASREC, RULE, "auc"), Pair(OTHER, RULE, "auc")]
    found = compare(Estimates(known), pairs)
    assert [one.pair for one in found] == pairs[:2]
    assert found[0].p_adjusted == found[0].estimate.p_value
    assert (found[1].estimate.why_unknown, found[1].p_adjusted) == ("one seed", None)


def test_the_file_has_a_line_a_difference() -> None:
    known = dict(estimates_of({TALLREC[0]: 0.7, RULE: 0.72}, ("auc",)).known)
    known[SASREC, "auc"] = Known(Measured(0.6, np.zeros(16), 16.0), {0: 0.6}, is_seeded=True)
    found = compare(Estimates(known), [Pair(TALLREC[0], RULE, "auc"), Pair(SASREC, RULE, "auc")])
    lines = list(csv.DictReader(io.StringIO(differences_csv(found, 0.9).decode())))
    assert tuple(lines[0]) == COLUMNS
    assert (lines[0]["left_method"], lines[0]["right_method"], lines[0]["metric"]) == (
        "tallrec-movie", "liked_share", "auc",
    )  # fmt: skip
    low, high = found[0].estimate.interval(0.9) or (0.0, 0.0)
    assert (float(lines[0]["low"]), float(lines[0]["high"])) == (low, high)
    assert float(lines[0]["p_value"]) == found[0].estimate.p_value
    unknown = ("low", "high", "standard_error", "dof", "p_value", "p_adjusted")
    assert [lines[1][name] for name in unknown] == [""] * 6
    assert float(lines[1]["difference"]) == pytest.approx(-0.12)
