import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from benchmark.data.domains import DomainData
from benchmark.data.domains.movielens import FILES, Params, max_n_shots, read
from benchmark.data.domains.splits import boundaries
from benchmark.data.sources import fetch
from benchmark.errors import DataError

KEYS: dict[str, Any] = {
    "format": "ml-100k",
    "source": "official",
    "noun": "movie",
    "history_length": 2,
    "liked_above": 3.0,
    "selection": "released",
    "n_samples": 5,
    "split": (0.6, 0.2, 0.2),
    "extended_rows_per_user": 0,
}

# Users in order of first appearance: 9, 4. User 9 rates items 2 and 1 at 10, in this order, then 4, 3 and 5;
# user 4 rates items 1 to 4 at 15 to 18.
RATINGS = """9\t2\t5\t10
4\t1\t4\t15
9\t1\t1\t10
9\t3\t2\t30
4\t2\t3\t16
9\t4\t4\t20
4\t3\t5\t17
9\t5\t3\t40
4\t4\t1\t18
"""
TITLES = """1|Ana (1990)|x
2|B\xe9a (1991)|x
3|Cy, or "C" (1992)|x
4|Ana (1990)|x
5|Eve (1994)|x
6|Flo (1995)|x
"""


def write(folder: Path, ratings: str = RATINGS, titles: str = TITLES) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "u.data").write_text(ratings, encoding="latin-1")
    (folder / "u.item").write_text(titles, encoding="latin-1")
    return folder


def rows(data: DomainData) -> list[tuple[str, list[tuple[str, bool]], str, bool]]:
    return [
        (
            row.sample.user_id,
            [(event.item_id, event.liked) for event in row.sample.history],
            row.sample.target_item_id,
            row.liked,
        )
        for split in ("train", "valid", "test")
        for row in data.splits[split]
    ]


def test_released_selection_is_in_user_order(tmp_path: Path):
    data = read(write(tmp_path / "movie"), Params(**KEYS))
    assert rows(data) == [
        ("9", [("movie-2", True), ("movie-1", False)], "movie-4", True),
        ("9", [("movie-1", False), ("movie-4", True)], "movie-3", False),
        ("9", [("movie-4", True), ("movie-3", False)], "movie-5", False),
        ("4", [("movie-1", True), ("movie-2", False)], "movie-3", True),
        ("4", [("movie-2", False), ("movie-3", True)], "movie-4", False),
    ]
    assert [len(data.splits[split]) for split in ("train", "valid", "test")] == [3, 1, 1]
    ids = [row.sample.sample_id for split in ("train", "valid", "test") for row in data.splits[split]]
    assert ids == [f"movie-{number}" for number in range(5)]


def test_fewer_samples_are_the_last_ones(tmp_path: Path):
    folder = write(tmp_path / "movie")
    everything = rows(read(folder, Params(**KEYS)))
    assert rows(read(folder, Params(**KEYS | {"n_samples": 3}))) == everything[-3:]


def test_described_selection_is_the_most_recent_in_time_order(tmp_path: Path):
    data = read(write(tmp_path / "movie"), Params(**KEYS | {"selection": "described", "n_samples": 4}))
    assert [(user, target) for user, _, target, _ in rows(data)] == [
        ("4", "movie-4"),
        ("9", "movie-4"),
        ("9", "movie-3"),
        ("9", "movie-5"),
    ]


def test_items_keep_their_titles_and_only_occurring_ones_are_kept(tmp_path: Path):
    data = read(write(tmp_path / "movie"), Params(**KEYS))
    assert set(data.items) == {f"movie-{number}" for number in range(1, 6)}
    assert data.items["movie-2"].text == "B\xe9a (1991)"
    assert data.items["movie-3"].mention == '"Cy, or "C" (1992)"'
    assert data.notes["titles_of_several_items"] == 1


@pytest.mark.parametrize(
    ("bad", "line", "expected"),
    [
        ("4\t1\t4", 10, "separated by tabs"),
        ("4\t5\t6\t20", 10, "rating 1 to 5"),
        ("4\t5\t4\tlate", 10, "timestamp"),
        ("4\t77\t4\t20", 10, "item '77' is not in u.item"),
        ("4\t1\t4\t20", 10, "a second time"),
    ],
)
def test_a_malformed_rating_is_named_by_file_and_line(tmp_path: Path, bad: str, line: int, expected: str):
    with pytest.raises(DataError, match=rf"u\.data: line {line}: .*{expected}"):
        read(write(tmp_path / "movie", ratings=f"{RATINGS}{bad}\n"), Params(**KEYS))


def test_a_malformed_title_is_named_by_file_and_line(tmp_path: Path):
    with pytest.raises(DataError, match=r"u\.item: line 7"):
        read(write(tmp_path / "movie", titles=f"{TITLES}7\n"), Params(**KEYS))


def test_more_samples_than_there_are_is_an_error(tmp_path: Path):
    with pytest.raises(DataError, match=r"5 ratings have 2 .*domains\.movie\.n_samples is 6"):
        read(write(tmp_path / "movie"), Params(**KEYS | {"n_samples": 6}))


@pytest.mark.parametrize("split", [(0.8, 0.1, 0.2), (1.0, 0.0, 0.0)])
def test_a_split_must_be_three_parts_of_one(split: tuple[float, float, float]):
    with pytest.raises(ValidationError, match="sum to 1"):
        Params(**KEYS | {"split": split})


@pytest.mark.parametrize(
    ("n_rows", "split", "expected"),
    [
        (10_000, (0.8, 0.1, 0.1), (8000, 9000)),
        (24_268, (0.8, 0.1, 0.1), (19_414, 21_841)),  # the released books
        (10, (0.7, 0.1, 0.2), (7, 8)),  # 0.7 + 0.1 is under 0.8 in binary
        (100, (0.57, 0.23, 0.2), (57, 80)),  # 100 * 0.57 is under 57 in binary
    ],
)
def test_boundaries_are_rounded_down(n_rows: int, split: tuple[float, float, float], expected: tuple[int, int]):
    assert boundaries(n_rows, split) == expected


@pytest.mark.parametrize(("n_samples", "split"), [(5, (0.6, 0.2, 0.2)), (4, (0.7, 0.2, 0.1)), (3, (0.5, 0.25, 0.25))])
def test_the_most_shots_are_the_rows_of_the_training_split(
    tmp_path: Path, n_samples: int, split: tuple[float, float, float]
):
    params = Params(**KEYS | {"n_samples": n_samples, "split": split})
    data = read(write(tmp_path / "movie"), params)
    assert max_n_shots(params) == len(data.splits["train"])


@pytest.mark.real_data
@pytest.mark.skipif("TALLREC_BENCH_MIRROR" not in os.environ, reason="TALLREC_BENCH_MIRROR is unset")
def test_the_released_selection_has_the_published_sizes(tmp_path: Path):
    folder = tmp_path / "movie"
    fetch(FILES, folder, Path(os.environ["TALLREC_BENCH_MIRROR"]))
    changes = {"history_length": 10, "n_samples": 10_000, "split": (0.8, 0.1, 0.1)}
    data = read(folder, Params(**KEYS | changes))
    users = {split: {row.sample.user_id for row in rows} for split, rows in data.splits.items()}
    assert {split: len(rows) for split, rows in data.splits.items()} == {
        "train": 8000,
        "valid": 1000,
        "test": 1000,
    }
    assert {split: len(names) for split, names in users.items()} == {"train": 80, "valid": 14, "test": 16}
    assert sum(row.liked for row in data.splits["test"]) == 528
    assert not users["train"] & users["test"]
