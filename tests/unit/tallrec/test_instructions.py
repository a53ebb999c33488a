import json
import os
from pathlib import Path
from typing import Any

import pytest

from benchmark.errors import DataError
from tallrec.instructions import KEYS, read_instructions

ROW = {"instruction": "Name a colour.", "input": "", "output": "Green."}


def written(path: Path, content: Any) -> str:
    is_lines = path.suffix == ".jsonl"
    path.write_text("\n".join(map(json.dumps, content)) if is_lines else json.dumps(content))
    return str(path)


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl"])
def test_rows_come_back(tmp_path: Path, name: str) -> None:
    rows = [ROW, {**ROW, "input": "A leaf"}]
    assert read_instructions(written(tmp_path / name, rows)) == rows


def test_a_missing_input_is_empty_and_other_keys_are_dropped(tmp_path: Path) -> None:
    rows = [{"id": 7, "instruction": "Name a colour.", "output": "Green."}]
    assert read_instructions(written(tmp_path / "rows.json", rows)) == [ROW]


def test_a_seed_task_gives_one_row_an_instance(tmp_path: Path) -> None:
    instances = [{"input": "A leaf", "output": "Green."}, {"input": "Snow", "output": "White."}]
    rows = [{"instruction": "Name its colour.", "instances": instances}]
    assert read_instructions(written(tmp_path / "seed.jsonl", rows)) == [
        {"instruction": "Name its colour.", **instance} for instance in instances
    ]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("text", "row 2: expected an object, got str"),
        ({"input": "", "output": ""}, "row 2: 'instruction' is missing or no text"),
        ({**ROW, "output": 3}, "row 2: 'output' is missing or no text"),
        ({"instruction": "x", "instances": [{"input": None, "output": "y"}]}, "row 2: 'input' is missing or no text"),
    ],
)
@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl"])
def test_a_malformed_row_is_named(tmp_path: Path, name: str, row: Any, problem: str) -> None:
    source = written(tmp_path / name, [ROW, row])
    with pytest.raises(DataError) as caught:
        read_instructions(source)
    assert str(caught.value) == f"{source}: {problem}"


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("rows.json", "[", "not valid JSON"),
        ("rows.jsonl", '{"instruction"', "not valid JSON"),
        ("rows.json", "[]", "holds no row"),
        ("rows.jsonl", "\n", "holds no row"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, name: str, text: str, problem: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=f"{name}: {problem}"):
        read_instructions(str(tmp_path / name))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"instruct\.data: .*nowhere\.json: FileNotFoundError"):
        read_instructions(str(tmp_path / "nowhere.json"))


@pytest.mark.parametrize("source", ["hub:owner/name", "hub:owner/name@", "hub:@main"])
def test_a_data_set_of_the_hub_needs_a_revision(source: str) -> None:
    with pytest.raises(DataError, match="expected hub:OWNER/NAME@REVISION"):
        read_instructions(source)


@pytest.mark.real_data
def test_the_seed_tasks_of_self_instruct_are_read() -> None:
    mirror = os.environ.get("TALLREC_BENCH_MIRROR")
    if not mirror:
        pytest.skip("TALLREC_BENCH_MIRROR is unset: no seed tasks")
    source = Path(mirror) / "alpaca" / "seed_tasks.jsonl"
    rows = read_instructions(str(source))
    lines = [json.loads(line) for line in source.read_text().splitlines()]
    assert len(lines) == 175
    assert len(rows) == sum(len(line["instances"]) for line in lines) >= 175
    assert all(tuple(row) == KEYS and row["instruction"] and row["output"] for row in rows)
    assert any(row["input"] for row in rows)
    assert any(not row["input"] for row in rows)
