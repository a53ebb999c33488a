from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.errors import ConfigError
from tallrec.training.micro_batches import collate, micro_batches, share_of_rows
from tallrec.training.rows import IGNORED
from tallrec.training.schedule import Schedule

SCHEDULE = Schedule(n_updates=6, batch_size=4, micro_batch_size=4, learning_rate=0.01, warmup_updates=0, seed=0)


@pytest.mark.parametrize(
    ("batch_size", "micro_batch_size", "n_rows", "expected"),
    [
        (16, 16, 16, (16, 1)),
        (16, 5, 16, (4, 4)),
        (16, 5, 64, (4, 4)),
        (128, 32, 64, (32, 2)),
        (128, 32, 8000, (32, 4)),
        (17, 16, 17, (9, 2)),  # all rows at once: 9 and 8
        (17, 16, 100, (1, 17)),
        (128, 32, 3, (3, 1)),
    ],
)
def test_micro_batches_make_up_the_batch(
    batch_size: int, micro_batch_size: int, n_rows: int, expected: tuple[int, int]
) -> None:
    schedule = replace(SCHEDULE, batch_size=batch_size, micro_batch_size=micro_batch_size)
    assert micro_batches(schedule, n_rows) == expected


@pytest.mark.parametrize(
    ("batch_size", "micro_batch_size", "n_rows", "n_processes", "expected"),
    [
        (16, 16, 16, 2, (8, 1)),
        (16, 5, 64, 2, (4, 2)),
        (128, 32, 256, 4, (32, 1)),
        (18, 5, 18, 2, (5, 2)),  # all rows at once: nine a process, 5 and 4
        (6, 2, 7, 2, (1, 3)),
    ],
)
def test_processes_divide_the_batch(
    batch_size: int, micro_batch_size: int, n_rows: int, n_processes: int, expected: tuple[int, int]
) -> None:
    schedule = replace(SCHEDULE, batch_size=batch_size, micro_batch_size=micro_batch_size)
    assert micro_batches(schedule, n_rows, n_processes) == expected


def test_a_batch_that_processes_cannot_divide_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"tune\.n_processes: 3 does not divide the 16 rows of an update"):
        micro_batches(replace(SCHEDULE, batch_size=128), 16, 3)


def test_padding_is_on_the_right_and_carries_no_loss() -> None:
    batch = collate([{"input_ids": [5, 6, 7], "labels": [5, 6, 7]}, {"input_ids": [8], "labels": [8]}])
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 0, 0]]
    assert batch["labels"].tolist() == [[5, 6, 7], [8, IGNORED, IGNORED]]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(1, 5))
def test_processes_take_every_labelled_row_once(lengths: list[int], n_processes: int) -> None:
    rows = [{"input_ids": [n, *[7] * length], "labels": [IGNORED, *[n] * length]} for n, length in enumerate(lengths)]
    batches = [collate(rows[start : start + 4]) for start in range(0, len(rows), 4)]
    shares = [share_of_rows(batches, place, n_processes) for place in range(n_processes)]
    # All processes take the same number of steps, a row in each.
    assert {len(share) for share in shares} == {len(batches)}
    assert all(len(batch["labels"]) for share in shares for batch in share)
    taken = [row for share in shares for batch in share for row in batch["labels"].tolist()]
    found = [[label for label in row if label != IGNORED] for row in taken]
    assert sorted(filter(None, found)) == [[n] * length for n, length in enumerate(lengths)]
