import csv
import itertools
import os
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from benchmark.artifacts.paths import MIRROR_VARIABLE, SPLITS
from benchmark.data.domains.movielens_months import N_ROWS, Params, Row, cut, files, read
from benchmark.data.sources import fetch
from benchmark.errors import DataError

KEYS: dict[str, Any] = {
    "format": "ml-1m",
    "source": "official",
    "noun": "movie",
    "history_length": 10,
    "liked_above": 3.0,
    "selection": "collm",
}
HEADER = "user_id,item_id,timestamp,liked,history\n"
JUNE, MARCH, APRIL, JANUARY = 991353600, 1017618399, 1017619200, 1044057599
"""First second of 2001-06, last of 2002-03, first of 2002-04, last of 2003-01 (UTC)."""


def released(folder: Path, test: str = "2,1,1040000000,0,2 1\n", items: str = "1,One (1990)\n2,Two (1991)\n") -> Path:
    folder.mkdir()
    (folder / "train.csv").write_text(f"{HEADER}1,1,{JUNE},1,\n1,2,{JUNE + 1},0,1\n")
    (folder / "valid.csv").write_text(f"{HEADER}1,2,{APRIL},1,1\n")
    (folder / "test.csv").write_text(HEADER + test)
    (folder / "items.csv").write_text("item_id,title\n" + items)
    return folder


def official(folder: Path, *ratings: tuple[int, int, int, int], n_movies: int = 6) -> Path:
    folder.mkdir(parents=True)
    (folder / "ratings.dat").write_text("".join("::".join(map(str, rating)) + "\n" for rating in ratings))
    (folder / "movies.dat").write_bytes(
        "".join(f"{n}::Café {n} (199{n % 10})::Drama\n" for n in range(1, n_movies + 1)).encode("latin-1")
    )
    return folder


def test_a_released_row_has_its_likes_as_history(tmp_path: Path):
    data = read(released(tmp_path / "ml-1m"), Params(**KEYS))
    [row] = data.splits["test"]
    assert (row.sample.sample_id, row.sample.user_id, row.liked) == ("ml-1m-test-0", "2", False)
    assert [(event.item_id, event.liked) for event in row.sample.history] == [("movie-2", True), ("movie-1", True)]
    assert data.items[row.sample.target_item_id].mention == '"One (1990)"'
    assert data.notes["target_times"]["valid"] == ["2002-04-01", "2002-04-01"]


def test_a_shorter_history_keeps_the_newest(tmp_path: Path):
    data = read(released(tmp_path / "ml-1m"), Params(**{**KEYS, "history_length": 1}))
    assert [event.item_id for event in data.splits["test"][0].sample.history] == ["movie-1"]


@pytest.mark.parametrize(
    "line",
    [
        "2,1,1040000000,2,",
        "2,1,now,0,",
        "2,x,1040000000,0,",
        "2,1,1040000000,0,1|2",
        "2,1,1040000000,0",
        f"2,1,9,1,{'1 ' * 11}",
    ],
)
def test_a_malformed_row_is_named_by_file_and_line(line: str, tmp_path: Path):
    with pytest.raises(DataError, match=r"test\.csv: line 3: "):
        read(released(tmp_path / "ml-1m", f"2,1,1040000000,0,\n{line}\n"), Params(**KEYS))


def test_an_item_without_a_title_is_named(tmp_path: Path):
    with pytest.raises(DataError, match=r"items\.csv: no title of movie-2"):
        read(released(tmp_path / "ml-1m", items="1,One (1990)\n"), Params(**KEYS))


@pytest.mark.parametrize("line", ["1,Another (1990)", "3,", "3,  "])
def test_an_item_that_stands_twice_or_has_no_title_is_named(line: str, tmp_path: Path):
    items = f"1,One (1990)\n2,Two (1991)\n{line}\n"
    with pytest.raises(DataError, match=r"items\.csv: line 4: expected a new item id and a title, got"):
        read(released(tmp_path / "ml-1m", items=items), Params(**KEYS))


def test_likes_that_the_released_rows_have_already_are_not_asked_for_otherwise():
    assert Params(**KEYS | {"selection": "months", "liked_above": 4.0}).liked_above == 4
    with pytest.raises(ValidationError, match=r"the released rows have their likes, of ratings above 3"):
        Params(**KEYS | {"liked_above": 4.0})


def test_months_cut_the_official_files(tmp_path: Path):
    raw = official(
        tmp_path / "ml-1m",
        (2, 2, 5, JUNE - 1),  # before the first month: no row, and no like of anybody's history
        (2, 4, 4, JUNE),
        (10, 5, 3, MARCH),
        (2, 3, 3, MARCH),
        (2, 5, 5, APRIL),
        (2, 6, 2, JANUARY),
        (2, 1, 5, JANUARY + 1),  # after the last month
    )
    titles, rows = cut(raw, 3.0)
    assert rows["train"] == [
        Row("1", "1", JUNE, True, []),
        Row("1", "2", MARCH, False, ["1"]),
        Row("2", "3", MARCH, False, []),  # user 10 comes after user 2, and a rating of 3 is no like
    ]
    assert rows["valid"] == [Row("1", "3", APRIL, True, ["1"])]
    assert rows["test"] == [Row("1", "4", JANUARY, False, ["1", "3"])]
    assert titles == {"1": "Café 4 (1994)", "2": "Café 3 (1993)", "3": "Café 5 (1995)", "4": "Café 6 (1996)"}


def test_equal_times_keep_the_order_in_which_items_occur_first(tmp_path: Path):
    raw = official(tmp_path / "ml-1m", (1, 6, 1, 0), (2, 5, 5, JUNE), (2, 6, 5, JUNE), (2, 1, 5, JUNE))
    titles, rows = cut(raw, 3.0)
    assert [titles[row.item][:6] for row in rows["train"]] == ["Café 6", "Café 5", "Café 1"]
    assert [row.history for row in rows["train"]] == [[], ["1"], ["1", "2"]]


def test_eleven_likes_leave_the_newest_ten(tmp_path: Path):
    ratings = [(1, item, 5, JUNE + item) for item in range(1, 13)]
    _, rows = cut(official(tmp_path / "ml-1m", *ratings, n_movies=12), 3.0)
    assert rows["train"][11].history == [str(item) for item in range(2, 12)]


def test_other_ratings_than_those_of_1m_are_refused(tmp_path: Path):
    raw = official(tmp_path / "ml-1m", (1, 1, 5, JUNE))
    with pytest.raises(DataError, match=r"ratings\.dat: the months have \{'train': 1, .* expected .*33891"):
        read(raw, Params(**{**KEYS, "selection": "months"}))


def test_what_is_left_out_of_the_official_files_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    raw = official(tmp_path / "movie", (1, 1, 5, 991440000))
    with (raw / "ratings.dat").open("a") as stream:
        stream.write("1::2::9::991440000\n")
    left_out = r"left out 1 rating_off_scale \(first: line 2, '9' lies outside 0\.5 to 5\) of 2 lines"
    with pytest.raises(DataError, match=rf"expected those of 1M: .*; {left_out}; of the titles, left out none"):
        read(raw, Params(**{**KEYS, "selection": "months"}))
    assert "movies.dat: 6 lines are no UTF-8, read as Latin-1" in caplog.text


def test_a_released_file_in_another_encoding_is_refused(tmp_path: Path):
    raw = released(tmp_path / "movie")
    (raw / "items.csv").write_bytes("item_id,title\n1,Ni\u00f1o\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"items\.csv: below line 0: expected UTF-8: .*0xf1"):
        read(raw, Params(**KEYS))


def test_the_released_rows_come_from_a_mirror_alone(tmp_path: Path):
    with pytest.raises(
        DataError, match=r"collm-ml-1m/train\.csv: made from https://.*ml-1m\.zip.* TALLREC_BENCH_MIRROR"
    ):
        fetch(files(Params(**KEYS)), tmp_path / "raw/ml-1m", mirror=None)


@pytest.mark.real_data
@pytest.mark.skipif("TALLREC_BENCH_MIRROR" not in os.environ, reason="TALLREC_BENCH_MIRROR is unset")
def test_the_rule_makes_the_released_rows(tmp_path: Path):
    """From official files that are made of the released rows, since the real ones may not be at hand.

    What this can't show: that the official files hold no other rating in these months. Their number, which CoLLM's
    notebook prints, is checked by `read`.
    """
    mirror = Path(os.environ[MIRROR_VARIABLE])
    raw = tmp_path / "ml-1m"
    fetch(files(Params(**KEYS)), raw, mirror)
    data = read(raw, Params(**KEYS))
    assert {split: len(rows) for split, rows in data.splits.items()} == N_ROWS
    ratings: list[tuple[int, int, int, int]] = []
    at_once: dict[tuple[int, int], list[int]] = defaultdict(list)
    for split in SPLITS:
        with (raw / f"{split}.csv").open(newline="") as stream:
            for row in csv.DictReader(stream):
                user, item, time = int(row["user_id"]), int(row["item_id"]), int(row["timestamp"])
                ratings.append((user, item, 4 if row["liked"] == "1" else 3, time))
                at_once[user, time].append(item)
    order: TopologicalSorter[int] = TopologicalSorter({item: () for items in at_once.values() for item in items})
    for items in at_once.values():
        for before, after in itertools.pairwise(items):
            order.add(after, before)
    # A user before all others, who rated long before: it gives items the order of first occurrence that ties follow.
    early = [(0, item, 1, number) for number, item in enumerate(order.static_order())]
    with (raw / "items.csv").open(newline="") as stream:
        titles = {int(row["item_id"]): row["title"] for row in csv.DictReader(stream)}
    dat = tmp_path / "official"
    dat.mkdir()
    (dat / "ratings.dat").write_text("".join("::".join(map(str, rating)) + "\n" for rating in early + sorted(ratings)))
    (dat / "movies.dat").write_text("".join(f"{item}::{title}::Drama\n" for item, title in titles.items()))
    again = read(dat, Params(**{**KEYS, "selection": "months"}))
    for split in SPLITS:
        ours = [(r.sample.user_id, r.sample.history, r.sample.target_item_id, r.liked) for r in again.splits[split]]
        theirs = [(r.sample.user_id, r.sample.history, r.sample.target_item_id, r.liked) for r in data.splits[split]]
        assert ours == theirs
    assert again.items == data.items
