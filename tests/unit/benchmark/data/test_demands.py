"""What the data must be like for any number to come of them is asked by stage `prepare`, before anything is tuned."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmark.artifacts import files, paths
from benchmark.config.params import DataParams, EvaluateParams, Params
from benchmark.data.domains import FORMATS, format_module, ratings_table
from benchmark.errors import DataError
from benchmark.stages.prepare import prepare

KEYS: dict[str, Any] = {
    "format": "ratings-table",
    "source": "official",
    "noun": "movie",
    "release": "mine",
    "layout": "dat",
    "history_length": 2,
    "liked_above": 3.0,
    "selection": "released",
    "n_samples": 40,
    "split": (0.5, 0.25, 0.25),
}

TITLES = [f"{item}::Title {item}::Drama" for item in range(1, 21)]


def prepared(
    ratings: list[str], most: int | None = None, titles: Sequence[str] = TITLES, **changes: Any
) -> dict[str, Any]:
    """`stats.json` of ratings in the layout `dat`."""
    raw = paths.raw_folder("movie")
    raw.mkdir(parents=True, exist_ok=True)
    (raw / "ratings.dat").write_text("".join(f"{line}\n" for line in ratings))
    (raw / "movies.dat").write_text("".join(f"{line}\n" for line in titles))
    evaluate = EvaluateParams.model_construct(max_test_samples=most)
    section = ratings_table.Params(**KEYS | changes)
    prepare(
        "movie", Params.model_construct(domains={"movie": section}, data=DataParams(mirror=None), evaluate=evaluate)
    )
    return files.read_json(paths.prepared_folder("movie") / "stats.json")


def rated(stars: Any = lambda user, item: 1 + (user + item) % 5, n_users: int = 6, n_items: int = 20) -> list[str]:
    return [
        f"{user}::{item}::{stars(user, item)}::{1000 * user + item}"
        for user in range(1, n_users + 1)
        for item in range(1, n_items + 1)
    ]


def test_every_format_says_its_scale_so_that_liked_above_can_be_checked() -> None:
    assert all(format_module(name).SCALE[0] < format_module(name).SCALE[1] for name in FORMATS)


def test_ratings_of_another_scale_are_refused_with_one_of_them(repository: Path) -> None:
    ten = rated(lambda user, item: (user * item) % 11)
    problem = r"ratings\.dat: left out \d+ rating_off_scale \(first: line 6, '6' lies outside 0\.5 to 5\) of 120 lines"
    with pytest.raises(DataError, match=problem):
        prepared(ten)
    assert not paths.prepared_folder("movie").exists()


@pytest.mark.parametrize(
    ("wrong", "reason"), [("1::2::3", "broken_line"), ("1::99::4::7", "unknown_item"), ("1::1::4::7", "duplicate")]
)
def test_a_share_of_lines_may_be_left_out_and_no_more(repository: Path, wrong: str, reason: str) -> None:
    few = [wrong] * 6 if reason == "broken_line" else [wrong] * 30
    assert prepared([*rated(), *few])["notes"]["ratings"] == {"read": 120 + len(few), "used": 120, reason: len(few)}
    with pytest.raises(DataError, match=rf"left out 60 {reason} .* of 180 lines; more than \d+% are {reason}"):
        prepared([*rated(), *[wrong] * 60])


def test_of_titles_that_cannot_be_read_their_own_file_is_named(repository: Path) -> None:
    lines = [f"{item}::Title {item}::Drama" if item % 3 else f"{item}::" for item in range(1, 21)]
    with pytest.raises(DataError, match=r"movies\.dat: left out 6 broken_line .* of 20 lines; more than 5% are"):
        prepared(rated(), titles=lines, n_samples=20)


def test_a_test_split_of_one_class_is_refused_by_name(repository: Path) -> None:
    problem = r"data/raw/movie: split 'test': 0 of 10 rows are liked, expected some and not all"
    with pytest.raises(DataError, match=problem):
        prepared(rated(lambda user, item: 1 if user == 6 else 5 - item % 2))
    assert not paths.prepared_folder("movie").exists()


def test_a_first_look_at_one_class_names_its_key(repository: Path) -> None:
    with pytest.raises(DataError, match=r"of 1 rows within evaluate\.max_test_samples = 1 are liked"):
        prepared(rated(), most=1)


def test_a_test_split_of_one_user_and_a_validation_of_one_class_are_told(
    repository: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stats = prepared(rated(lambda user, item: 2 if user == 5 and item > 9 else 1 + item % 5), split=(0.5, 0.2, 0.3))
    assert stats["splits"]["test"]["users"] == 1
    assert "split 'test' is of one user: its numbers will have no interval" in caplog.text
    caplog.clear()
    prepared(rated(lambda user, item: 2 if user == 5 else 1 + item % 5), split=(0.2, 0.3, 0.5))
    assert "the rows of split 'valid' are of one class" in caplog.text
    caplog.clear()
    prepared(rated(lambda user, item: 2 if (user, item) < (5, 11) else 1 + item % 5), split=(0.3, 0.2, 0.5))
    assert "the rows of split 'train' are of one class, from which nothing is learnt" in caplog.text
