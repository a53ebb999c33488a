import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from benchmark.artifacts import files, paths
from benchmark.config.reading import parse_yaml, read_yaml
from benchmark.data.domains import DomainData, format_module, rating_columns, raw_files
from benchmark.data.domains.ratings_table import Params, max_n_shots, read
from benchmark.errors import ConfigError, DataError
from benchmark.methods.configuration import parse_config
from benchmark.stages.prepare import prepare
from benchmark.stages.raw import raw

ROOT = Path(__file__).parents[4]
KEYS: dict[str, Any] = {
    "format": "ratings-table",
    "source": "official",
    "noun": "movie",
    "release": "ml-latest-small",
    "layout": "csv",
    "history_length": 2,
    "liked_above": 3.0,
    "selection": "described",
    "n_samples": 4,
    "split": (0.5, 0.25, 0.25),
}

# User 9 comes first. In time: 9 rates 2, 1 (both at 999999999), 4, 3 and 5; 4 rates 1 to 4 between.
RATINGS = """userId,movieId,rating,timestamp
9,2,5.0,999999999
4,1,4.0,1000000001
9,1,1.0,999999999
9,3,2.5,1000000030
4,2,3.0,1000000002
9,4,3.5,1000000020
4,3,5,1000000017
9,5,0.5,1000000040
4,4,1.0,1000000018
"""
TITLES = """movieId,title,genres
1,Ana (1990),Drama
2,B\xe9a (1991),Drama|War
3,"Cy, or ""C"" (1992)",Drama
4,Ana (1990),Drama
5,Eve: A Life (1994),(no genres listed)
6,Flo (1995),Drama
"""
EVERYTHING = [
    ("4", [("movie-1", True), ("movie-2", False)], "movie-3", True),
    ("4", [("movie-2", False), ("movie-3", True)], "movie-4", False),
    ("9", [("movie-2", True), ("movie-1", False)], "movie-4", True),
    ("9", [("movie-1", False), ("movie-4", True)], "movie-3", False),
    ("9", [("movie-4", True), ("movie-3", False)], "movie-5", False),
]
"""All rows with two ratings before them, oldest first."""


def write(folder: Path, ratings: str = RATINGS, titles: str = TITLES) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ratings.csv").write_bytes(ratings.replace("\xff", "?").encode().replace(b"?", b"\xff"))  # no UTF-8
    (folder / "movies.csv").write_bytes(titles.encode())
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


def test_the_most_recent_rows_in_time_order(tmp_path: Path):
    data = read(write(tmp_path / "movie"), Params(**KEYS))
    assert rows(data) == EVERYTHING[-4:]
    assert [len(data.splits[split]) for split in ("train", "valid", "test")] == [2, 1, 1]
    ids = [row.sample.sample_id for split in ("train", "valid", "test") for row in data.splits[split]]
    assert ids == [f"movie-{number}" for number in range(4)]
    assert data.notes["target_times"]["test"] == ["2001-09-09", "2001-09-09"]
    assert data.notes["ratings"] == {"read": 9, "used": 9}
    assert data.notes["first_lines_left_out"] == {"ratings": {}, "titles": {}}
    assert data.notes["eligible_rows"] == 5


def test_the_last_rows_in_user_order(tmp_path: Path):
    data = read(write(tmp_path / "movie"), Params(**KEYS | {"selection": "released", "n_samples": 3}))
    assert rows(data) == [EVERYTHING[4], *EVERYTHING[:2]]  # user 9 stands first in the file


def test_times_are_numbers_so_that_nine_digits_come_before_ten(tmp_path: Path):
    data = read(write(tmp_path / "movie"), Params(**KEYS | {"n_samples": 5}))
    assert rows(data)[2][1] == [("movie-2", True), ("movie-1", False)]


def test_titles_keep_commas_quotes_and_accents(tmp_path: Path):
    data = read(write(tmp_path / "movie"), Params(**KEYS))
    assert set(data.items) == {f"movie-{number}" for number in range(1, 6)}
    assert data.items["movie-2"].text == "B\xe9a (1991)"
    assert data.items["movie-3"].mention == '"Cy, or "C" (1992)"'
    assert data.notes["titles_of_several_items"] == 1
    assert data.notes["titles"] == {"read": 6, "used": 6}


def test_the_layout_of_movielens_1m_gives_the_same_rows(tmp_path: Path):
    raw = write(tmp_path / "movie")
    lines = RATINGS.splitlines()[1:]
    (tmp_path / "dat/movie").mkdir(parents=True)
    (tmp_path / "dat/movie/ratings.dat").write_text("".join(f"{line.replace(',', '::')}\n" for line in lines))
    titles = ["Ana (1990)", "B\xe9a (1991)", 'Cy, or "C" (1992)', "Ana (1990)", "Eve: A Life (1994)", "Flo (1995)"]
    text = "".join(f"{number}::{title}::Drama|War\n" for number, title in enumerate(titles, 1))
    (tmp_path / "dat/movie/movies.dat").write_bytes(text.encode("latin-1"))
    dat, table = read(tmp_path / "dat/movie", Params(**KEYS | {"layout": "dat"})), read(raw, Params(**KEYS))
    assert (dat.items, dat.splits) == (table.items, table.splits)
    assert (dat.notes["titles_not_utf8"], table.notes["titles_not_utf8"]) == (1, 0)


def test_one_odd_byte_leaves_the_letters_of_other_titles(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    raw = write(tmp_path / "movie")
    content = (raw / "movies.csv").read_bytes().replace(b"Eve: A Life", b"\xc9ve: A Life")
    (raw / "movies.csv").write_bytes(content)
    data = read(raw, Params(**KEYS))
    assert (data.items["movie-2"].text, data.items["movie-5"].text) == ("B\xe9a (1991)", "\xc9ve: A Life (1994)")
    assert data.notes["titles_not_utf8"] == 1
    assert "movies.csv: 1 lines are no UTF-8" in caplog.text


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_ends_and_a_byte_order_mark_change_nothing(tmp_path: Path, end: str):
    plain = read(write(tmp_path / "movie"), Params(**KEYS))
    marked = write(tmp_path / "other/movie", *(f"\ufeff{text}".replace("\n", end) for text in (RATINGS, TITLES)))
    assert read(marked, Params(**KEYS)) == plain
    assert read(write(marked, RATINGS.rstrip(), TITLES.rstrip()), Params(**KEYS)) == plain


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("4,5,4.0", "broken_line"),
        ("4,5,4.0,1000000019,9", "broken_line"),
        ("", "broken_line"),
        ("4,5,3.7,1000000019", "broken_line"),
        ("4,5,5.5,1000000019", "rating_off_scale"),
        ("4,5,8,1000000019", "rating_off_scale"),
        ("4,5,0,1000000019", "rating_off_scale"),
        ("4,5,-1,1000000019", "rating_off_scale"),
        ("4,5,inf,1000000019", "broken_line"),
        ("4,5,nan,1000000019", "broken_line"),
        ("4,5,4.0,late", "broken_line"),
        ("4,5,4.0,1000000019000", "broken_line"),
        ("4,5,4.0,-5", "broken_line"),
        (",5,4.0,1000000019", "broken_line"),
        ("4,,4.0,1000000019", "broken_line"),
        ('"4","5","4.0","1000000019"', "broken_line"),
        ("4\xff,5\xff,4.0,1000000019\xff", "broken_line"),
        ("4,77,4.0,1000000019", "unknown_item"),
        ("4,1,5.0,1000000019", "duplicate"),
    ],
)
@pytest.mark.parametrize("block", [1 << 25, 40])
def test_a_line_left_out_is_counted_with_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, bad: str, reason: str, block: int
):
    monkeypatch.setattr(rating_columns, "_BLOCK_BYTES", block)
    lines = RATINGS.splitlines()
    text = "\n".join([*lines[:7], bad, *lines[7:], bad, ""])
    data = read(write(tmp_path / "movie", text), Params(**KEYS))
    assert rows(data) == EVERYTHING[-4:]
    assert data.notes["ratings"] == {"read": 11, "used": 9, reason: 2}
    assert data.notes["first_lines_left_out"]["ratings"] == {reason: 8}
    what = f"'{bad.split(',')[2]}' lies outside 0.5 to 5" if reason == "rating_off_scale" else repr(bad)
    assert f"ratings.csv: left out 2 {reason} (first: line 8, {what}) of 11 lines" in caplog.text


@pytest.mark.parametrize("bad", ["7", "7,Gus", '7,"Gus,Drama', "7,,Drama", ",Gus,Drama", "7,Gus,Drama,x"])
def test_a_title_left_out_is_counted(tmp_path: Path, bad: str):
    lines = TITLES.splitlines()
    data = read(write(tmp_path / "movie", titles="\n".join([*lines[:2], bad, *lines[2:], lines[1]])), Params(**KEYS))
    assert rows(data) == EVERYTHING[-4:]
    assert data.notes["titles"] == {"read": 8, "used": 6, "broken_line": 1, "duplicate": 1}
    assert data.notes["first_lines_left_out"]["titles"] == {"broken_line": 3, "duplicate": 9}


@pytest.mark.parametrize("name", ["ratings.csv", "movies.csv"])
def test_a_missing_file_or_another_header_is_named(tmp_path: Path, name: str):
    path = write(tmp_path / "movie") / name
    path.write_text("user;item\n1;2\n")
    with pytest.raises(DataError, match=rf"{name}: line 1: expected the header .*Id.*, got 'user;item"):
        read(tmp_path / "movie", Params(**KEYS))
    path.unlink()
    with pytest.raises(DataError, match=rf"{name}: not there"):
        read(tmp_path / "movie", Params(**KEYS))


@pytest.mark.parametrize("ratings", [RATINGS.splitlines()[0], RATINGS.splitlines()[0] + "\n", RATINGS])
def test_more_samples_than_there_are_is_an_error(tmp_path: Path, ratings: str):
    n_rows = 5 if ratings == RATINGS else 0
    with pytest.raises(DataError, match=rf"{n_rows} ratings have 2 .*domains\.movie\.n_samples is 6; left out none of"):
        read(write(tmp_path / "movie", ratings), Params(**KEYS | {"n_samples": 6}))


def test_where_too_few_are_left_the_error_says_why(tmp_path: Path):
    folder = write(tmp_path / "other", RATINGS)
    (folder / "movies.csv").write_bytes(
        (folder / "movies.csv").read_bytes().replace(b"\n", b"\r").replace(b"\r", b"\n", 1)
    )
    with pytest.raises(
        DataError, match=r"unknown_item .* of the titles, left out 1 broken_line \(first: line 2, '.*1 lines$"
    ):
        read(folder, Params(**KEYS))
    wrong = RATINGS.replace("5.0,", "4.0,").replace(".5,", ".7,").replace(".0,", ".2,")
    with pytest.raises(
        DataError, match=r"0 ratings have 2 .*; left out 8 broken_line \(first: line 2, '.*\) of 9 lines"
    ):
        read(write(tmp_path / "movie", wrong), Params(**KEYS))


def test_samples_share_their_interactions(tmp_path: Path):
    data = read(write(tmp_path / "movie"), Params(**KEYS))
    events = {id(event): event for split in data.splits.values() for row in split for event in row.sample.history}
    assert len(events) == len(set(events.values())) < 8  # of the 8 in 4 histories, some are equal


def test_the_most_shots_are_the_rows_of_the_training_split(tmp_path: Path):
    params = Params(**KEYS)
    assert max_n_shots(params) == len(read(write(tmp_path / "movie"), params).splits["train"])


@pytest.mark.parametrize(
    ("release", "layout", "member"),
    [
        ("ml-32m", "csv", "ml-32m/ratings.csv"),
        ("ml-1m", "dat", "ml-1m/ratings.dat"),
        ("ml-10m", "dat", "ml-10M100K/ratings.dat"),
    ],
)
def test_raw_files_follow_from_the_release(release: str, layout: str, member: str):
    ratings, titles = raw_files(Params(**KEYS | {"release": release, "layout": layout}))
    assert ratings.url == f"https://files.grouplens.org/datasets/movielens/{release}.zip"
    assert (ratings.path, ratings.archive_member) == (f"{release}/ratings.{layout}", member)
    assert titles.name == f"movies.{layout}"


def test_other_formats_have_fixed_raw_files():
    section = format_module("ml-100k").Params(
        **{key: value for key, value in KEYS.items() if key not in ("release", "layout")}
        | {"format": "ml-100k", "extended_rows_per_user": 0}
    )
    assert [file.name for file in raw_files(section)] == ["u.data", "u.item"]


def test_an_unknown_layout_is_refused():
    with pytest.raises(ValidationError, match="layout"):
        Params(**KEYS | {"layout": "tsv"})


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The section of CONTRIBUTING.md for ratings of one's own, in a folder with a mirror that holds such files."""
    text = (ROOT / "CONTRIBUTING.md").read_text().split("### Your own ratings")[1].split("\n### ")[0]
    of_ratings, of_titles = re.findall(r"```csv\n(.*)\n(.*)\n```", text)[0]
    folder = tmp_path / "mirror/mine"
    folder.mkdir(parents=True)
    rows = [
        f"{user},{song},{(user * song) % 5 + 1},{1_600_000_000 + 1000 * song + user}"
        for song in range(12)
        for user in range(30)
    ]
    (folder / "ratings.csv").write_text("\n".join([of_ratings, *rows, "no rating", ""]))
    (folder / "movies.csv").write_text("\n".join([of_titles, *(f'{n},"Song, {n}",' for n in range(12)), ""]))
    monkeypatch.chdir(tmp_path)
    return parse_yaml(re.findall(r"```yml\n(.*?)```", text, re.DOTALL)[0], Path("CONTRIBUTING.md"))


def test_ratings_of_your_own_are_prepared_as_contributing_says(
    own: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = read_yaml(ROOT / "params.yaml")
    content["domains"] |= own
    params = parse_config(content, Path("params.yaml"))
    monkeypatch.delenv("TALLREC_BENCH_MIRROR", raising=False)
    with pytest.raises(DataError, match=r"^mine/ratings\.csv: expected in a mirror folder; set TALLREC_BENCH_MIRROR"):
        raw("mine", params)
    monkeypatch.setenv("TALLREC_BENCH_MIRROR", "mirror")
    raw("mine", params)
    prepare("mine", params)
    stats = files.read_json(paths.prepared_folder("mine") / "stats.json")
    assert {split: stats["splits"][split]["rows"] for split in ("train", "valid", "test")} == {
        "train": 80,
        "valid": 10,
        "test": 10,
    }
    assert stats["notes"]["ratings"]["broken_line"] == 1
    sample = files.read_samples(paths.test_file("mine"))[0]
    assert len(sample.history) == 5
    assert files.read_items(paths.prepared_folder("mine") / "items.parquet")["song-3"].text == "Song, 3"
    Path("mirror/mine/movies.csv").unlink()
    with pytest.raises(DataError, match=r"movies\.csv: not in the mirror; put your own there, as mine/movies\.csv$"):
        raw("mine", params)


def test_files_with_a_known_checksum_are_nobodys_own() -> None:
    content = read_yaml(ROOT / "params.yaml")
    content["domains"]["movie"]["source"] = "local"
    with pytest.raises(ConfigError, match=r"domains\.movie\.source: ml-100k reads published files alone"):
        parse_config(content, Path("params.yaml"))


@pytest.mark.parametrize("name", ["ratings.csv", "movies.csv"])
def test_a_file_in_utf_16_is_refused_as_one(tmp_path: Path, name: str):
    folder = write(tmp_path / "movie")
    (folder / name).write_text((folder / name).read_text(), encoding="utf-16")
    with pytest.raises(DataError, match=rf"{name}: in UTF-16, expected UTF-8"):
        read(folder, Params(**KEYS))


@pytest.mark.parametrize(("title", "n_garbled"), [("CrÃ³nica", 1), ("T\ufffdtulo", 1), ("Señor Ã", 0), ("Mañana", 0)])
def test_letters_that_were_garbled_before_are_counted_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, title: str, n_garbled: int
):
    data = read(write(tmp_path / "movie", titles=f"{TITLES}\n99,{title},Drama\n".replace("\n\n", "\n")), Params(**KEYS))
    assert data.notes["titles_garbled"] == n_garbled
    assert ("movies.csv: 1 lines hold letters that an earlier reading garbled" in caplog.text) is bool(n_garbled)


def test_a_title_of_white_space_is_none(tmp_path: Path):
    data = read(write(tmp_path / "movie", titles=f"{TITLES}\n99, ,Drama\n".replace("\n\n", "\n")), Params(**KEYS))
    assert data.notes["titles"]["broken_line"] == 1
