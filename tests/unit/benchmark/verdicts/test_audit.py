"""The audit of the protocol: every leak that it counts, planted in rows small enough to count by hand."""

from pathlib import Path

import pytest

from benchmark.config.params import Params
from benchmark.schema import Interaction, Labelled, Sample
from benchmark.statistics.labels import TestRows, read_test_rows
from benchmark.verdicts.audit import Prepared, audit, read_prepared


def _row(name: str, user: str, target: str, history: tuple[tuple[str, bool], ...] = (), *, liked: bool = True):
    return Labelled(Sample(name, user, tuple(Interaction(*event) for event in history), target), liked)


TRAIN = (
    _row("t0", "ann", "i0"),
    _row("t1", "bob", "i1", (("i9", True),)),
    _row("t2", "bob", "i2", liked=False),
)
VALID = (_row("v0", "bob", "i3"), _row("v1", "cat", "i4", liked=False))
TEST = (
    _row("e0", "dan", "i1", (("i9", True),)),  # asks what t1 asks
    _row("e1", "dan", "i5", (("i9", True), ("i1", True))),  # its history ends with the answer to e0
    _row("e2", "dan", "i6", (("i5", False),)),  # the label of e1 is another one
    _row("e3", "eve", "i2", (("i6", True),)),  # the answer to e2, in the history of another user
)


@pytest.fixture
def prepared() -> Prepared:
    draws = {2: (frozenset({"i0", "i1"}), frozenset({"i0", "i7"}))}
    return Prepared({"train": TRAIN, "valid": VALID, "test": TEST}, draws, None)


def test_users_and_rows_are_counted_in_each_split_and_between_them(prepared: Prepared) -> None:
    found = audit(prepared, None)
    assert found["splits"]["train"] == {"rows": 3, "users": 2, "most_rows_of_a_user": 2, "like_rate": 2 / 3}
    assert found["splits"]["test"]["most_rows_of_a_user"] == 3
    assert found["overlap"] == {
        "train-valid": {"users": 1, "rows": 0},
        "train-test": {"users": 0, "rows": 1},
        "valid-test": {"users": 0, "rows": 0},
    }


def test_test_targets_are_looked_up_among_all_training_targets_and_in_each_draw(prepared: Prepared) -> None:
    # i1 and i2 of four; in the draws one of four, and none.
    assert audit(prepared, None)["test_targets_ever_a_training_target"] == {"all rows": 0.5, "K=2": 0.125}


def test_labels_that_a_prompt_gives_away_are_counted(prepared: Prepared) -> None:
    found = audit(prepared, None)
    assert (found["adjacent_test_rows"], found["adjacent_test_rows_that_reveal_a_label"]) == (3, 2)
    assert found["test_labels_in_a_test_history"] == 1


@pytest.mark.parametrize(("limit", "tuned"), [(None, 2), (1, 1), (100, 2)])
def test_validation_labels_are_counted_as_used(prepared: Prepared, limit: int | None, tuned: int) -> None:
    assert audit(prepared, limit)["labels_to_choose_a_checkpoint"] == {"conventional": 2, "tuned": tuned}


@pytest.mark.parametrize(("first_test_day", "is_later"), [("1998-01-03", True), ("1998-01-01", False)])
def test_a_split_by_time_is_told_from_one_by_user(prepared: Prepared, first_test_day: str, is_later: bool) -> None:
    assert audit(prepared, None)["test_is_later_than_training"] is None
    times = {"train": ("1997-01-01", "1998-01-02"), "test": (first_test_day, "1998-02-01")}
    found = audit(Prepared(prepared.splits, prepared.targets_drawn, times), None)
    assert found["test_is_later_than_training"] is is_later
    assert found["target_times"]["test"] == [first_test_day, "1998-02-01"]


def test_draws_and_labels_are_read_from_their_files(finished_run: Path, params: Params) -> None:
    truth = read_test_rows("movie")
    found = read_prepared("movie", truth, params)
    assert [len(rows) for rows in found.splits.values()] == [20, 20, 60]
    label_of = dict(zip(truth.sample_ids, truth.liked, strict=True))
    assert all(row.liked == label_of[row.sample.sample_id] for row in found.splits["test"])
    # Both sides share a draw, so it counts once: two seeds.
    assert {n_shots: [len(one) for one in draws] for n_shots, draws in found.targets_drawn.items()} == {
        4: [4, 4],
        16: [16, 16],
    }
    assert isinstance(truth, TestRows)
    assert finished_run.exists()
