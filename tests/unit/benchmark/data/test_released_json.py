import json
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from benchmark.artifacts.files import write_json
from benchmark.data.domains.released_json import FILES, Params, parse_books, read
from benchmark.data.sources import fetch
from benchmark.errors import DataError

KEYS: dict[str, Any] = {
    "format": "released-json",
    "source": "official",
    "noun": "book",
    "history_length": 10,
    "liked_above": 5.0,
}


def row(liked: str, disliked: str, target: str, output: str = "Yes.") -> dict[str, str]:
    question = f"Whether the user will like the target book {target}?"
    return {
        "instruction": "",
        "input": f"User Preference: {liked}\nUser Unpreference: {disliked}\n{question}",
        "output": output,
    }


PLAIN = row('"A" written by B', '"C" written by D', '""E" written by F"')


def write(folder: Path, train: list[Any], stand_in: str | None = "train.sample.json") -> Path:
    folder.mkdir(parents=True)
    for split, rows in (("train", train), ("valid", [PLAIN]), ("test", [PLAIN])):
        (folder / f"{split}.json").write_text(json.dumps(rows))
    write_json(folder / "manifest.json", {"train.json": {"sha256": "", "origin": "mirror", "stand_in": stand_in}})
    return folder


def test_a_prompt_becomes_a_sample(tmp_path: Path):
    books = '"A, or "B"" written by Ann, "C" written by Smith, John'
    data = read(write(tmp_path / "book", [row(books, '"D" written by ', '""E" written by F"', "No.")]), Params(**KEYS))
    [labelled] = data.splits["train"]
    events = [(data.items[event.item_id].text, event.liked) for event in labelled.sample.history]
    assert events == [
        ('"A, or "B"" written by Ann', True),
        ('"C" written by Smith, John', True),
        ('"D" written by ', False),
    ]
    assert data.items[labelled.sample.target_item_id].text == '"E" written by F'
    assert labelled.liked is False
    assert labelled.sample.sample_id == "book-train-0"
    assert data.notes["rows_not_rendered_back_byte_for_byte"] == {"train": 0, "valid": 0, "test": 0}
    assert data.notes["stand_in"] == {"train.json": "train.sample.json"}


def test_one_text_is_one_item_over_splits_and_roles(tmp_path: Path):
    swapped = row('"E" written by F', "", '""A" written by B"')
    data = read(write(tmp_path / "book", [swapped]), Params(**KEYS))
    assert len(data.items) == 3
    assert data.splits["train"][0].sample.target_item_id == data.splits["test"][0].sample.history[0].item_id


@pytest.mark.parametrize("liked", ["", '"A" written by B'])
def test_a_title_that_repeats_the_question_is_kept(tmp_path: Path, liked: str):
    title = '""Whether the user will like the target book "X"?" written by Y"'
    data = read(write(tmp_path / "book", [row(liked, '"C" written by D', title)]), Params(**KEYS))
    target = data.items[data.splits["train"][0].sample.target_item_id].text
    assert target == '"Whether the user will like the target book "X"?" written by Y'


def test_targets_without_the_outer_quotes_are_read_and_counted(tmp_path: Path):
    data = read(write(tmp_path / "book", [row('"A" written by B', "", '"E"written byF'), PLAIN]), Params(**KEYS))
    first, second = (data.items[one.sample.target_item_id].text for one in data.splits["train"])
    assert first == second == '"E" written by F'
    assert data.notes["rows_not_rendered_back_byte_for_byte"]["train"] == 1


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        (row("A by B", "", '""E" written by F"'), 'expected "Title" written by Author'),
        (row("", "", '""E" written by F"'), "history of 0 books"),
        (row('"A" written by B', "", '"E"'), "as target"),
        (row('"A" written by B', "", '""E" written by F"', "Maybe"), "expected the output Yes. or No."),
        ({"input": "Hello", "output": "Yes."}, "expected User Preference"),
        ({"output": "Yes."}, "not a released prompt"),
        (
            row(", ".join(f'"{n}" written by B' for n in range(11)), "", '""E" written by F"'),
            "history of 11 books",
        ),
    ],
)
def test_a_malformed_row_is_named_by_file_and_number(tmp_path: Path, bad: dict[str, str], expected: str):
    with pytest.raises(DataError) as caught:
        read(write(tmp_path / "book", [PLAIN, bad]), Params(**KEYS))
    assert "train.json: row 1: " in str(caught.value)
    assert expected in str(caught.value)


def test_a_training_file_that_lacks_rows_is_refused_unless_a_stand_in_is_recorded(tmp_path: Path):
    with pytest.raises(DataError, match=r"train\.json: 1 rows, expected 19414"):
        read(write(tmp_path / "book", [PLAIN], stand_in=None), Params(**KEYS))


@pytest.mark.parametrize("content", ["{}", "[", "\xff"])
def test_a_file_that_is_no_list_of_rows_is_refused(tmp_path: Path, content: str):
    folder = write(tmp_path / "book", [PLAIN])
    (folder / "valid.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(DataError, match=r"valid\.json: (expected a list|not JSON|expected UTF-8)"):
        read(folder, Params(**KEYS))


@pytest.mark.parametrize("change", [{"source": "embedded"}, {"history_length": 8}, {"liked_above": 6.0}])
def test_what_the_files_fix_cannot_be_changed(change: dict[str, Any]):
    with pytest.raises(ValidationError, match="expected"):
        Params(**KEYS | change)


@pytest.mark.parametrize("text", ['"A" by B', '"A" written by B, C" written by D\n', "x"])
def test_text_that_belongs_to_no_book_is_refused(text: str):
    with pytest.raises(ValueError, match="expected"):
        parse_books(text)


@pytest.mark.real_data
@pytest.mark.skipif("TALLREC_BENCH_MIRROR" not in os.environ, reason="TALLREC_BENCH_MIRROR is unset")
def test_every_released_row_is_rendered_back_byte_for_byte(tmp_path: Path):
    folder = tmp_path / "book"
    fetch(FILES, folder, Path(os.environ["TALLREC_BENCH_MIRROR"]))
    data = read(folder, Params(**KEYS))
    rewritten = data.notes["rows_not_rendered_back_byte_for_byte"]
    assert (rewritten["valid"], rewritten["test"]) == (0, 0)
    assert (len(data.splits["valid"]), len(data.splits["test"])) == (2427, 2427)
    assert sum(one.liked for one in data.splits["valid"]) == 1011
    assert all(3 <= len(one.sample.history) <= 10 for one in data.splits["test"])
