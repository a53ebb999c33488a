import os
from pathlib import Path
from typing import Any

import pytest

from benchmark.data.domains.released_csv import FILES, Params, read
from benchmark.data.sources import fetch
from benchmark.errors import DataError

KEYS: dict[str, Any] = {
    "format": "released-csv",
    "source": "official",
    "noun": "book",
    "history_length": 10,
    "liked_above": 5.0,
}
HEADER = "user,history_item_id,history_rating,item_id,rating\n"
PLAIN = '7,"[30, 10]","[0, 1]",20,1\n'


def write(folder: Path, train: str = PLAIN) -> Path:
    folder.mkdir()
    for split, rows in (("train", train), ("valid", PLAIN), ("test", PLAIN)):
        (folder / f"{split}.csv").write_text(HEADER + rows)
    return folder


def test_a_row_becomes_a_sample_with_items_known_by_number(tmp_path: Path):
    data = read(write(tmp_path / "book"), Params(**KEYS))
    [row] = data.splits["train"]
    assert [(event.item_id, event.liked) for event in row.sample.history] == [
        ("book-30", False),
        ("book-10", True),
    ]
    assert (row.sample.user_id, row.sample.target_item_id, row.liked) == ("7", "book-20", True)
    ids = [row.sample.sample_id for rows in data.splits.values() for row in rows]
    assert ids == ["book-train-0", "book-valid-0", "book-test-0"]
    assert data.items["book-20"].text == "Item 20"
    assert data.notes["titles"] is False


@pytest.mark.parametrize(
    "bad",
    [
        '7,"[30, 10]","[0]",20,1',
        '7,"[30, 10]","[0, 2]",20,1',
        '7,"[30, x]","[0, 1]",20,1',
        '7,"[30, true]","[0, 1]",20,1',
        '7,"[]","[]",20,1',
        '7,"[30]","[1]",20,5',
        '7,"[30]","[1]",,1',
        "7,30,1",
    ],
)
def test_a_malformed_row_is_named_by_file_and_line(tmp_path: Path, bad: str):
    with pytest.raises(DataError, match=r"train\.csv: line 3: "):
        read(write(tmp_path / "book", f"{PLAIN}{bad}\n"), Params(**KEYS))


def test_another_header_is_refused(tmp_path: Path):
    folder = write(tmp_path / "book")
    (folder / "test.csv").write_text(PLAIN)
    with pytest.raises(DataError, match=r"test\.csv: line 1: expected the header"):
        read(folder, Params(**KEYS))
    (folder / "test.csv").write_text("\ufeff" + PLAIN)
    with pytest.raises(DataError, match=r"expected the header user,.*, got '.*7,"):
        read(folder, Params(**KEYS))


@pytest.mark.real_data
@pytest.mark.skipif("TALLREC_BENCH_MIRROR" not in os.environ, reason="TALLREC_BENCH_MIRROR is unset")
def test_the_released_rows_have_the_published_sizes(tmp_path: Path):
    folder = tmp_path / "book"
    fetch(FILES, folder, Path(os.environ["TALLREC_BENCH_MIRROR"]))
    data = read(folder, Params(**KEYS))
    assert {split: len(rows) for split, rows in data.splits.items()} == {
        "train": 19_414,
        "valid": 2427,
        "test": 2427,
    }
    assert len({row.sample.sample_id for rows in data.splits.values() for row in rows}) == 24_268
    assert len(data.items) == 88_750
