import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmark.errors import DataError
from tallrec.prompts.instructions import KEYS, read_instructions

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

COMMIT = "0123456789abcdef" * 2 + "01234567"
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
        ({"instruction": "x", "instances": [{"input": 3, "output": "y"}]}, "row 2: 'input' is missing or no text"),
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
        ("rows.jsonl", '{"instruction"', "line 1: not valid JSON"),
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


@pytest.mark.parametrize("source", ["hub:owner/name", "hub:owner/name@", "hub:owner/name@main", f"hub:@{COMMIT}"])
def test_a_data_set_of_the_hub_needs_a_revision(source: str) -> None:
    with pytest.raises(DataError, match="expected hub:OWNER/NAME@REVISION"):
        read_instructions(source)


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl"])
def test_a_data_set_is_read_by_its_loader(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # `datasets` takes a folder where it takes an OWNER/NAME. What a folder has not is the revision.
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    rows = [{**ROW, "text": "dropped"}, {**ROW, "input": "A leaf"}]
    (tmp_path / "data").mkdir()
    written(tmp_path / "data" / name, rows)
    expected = [{key: row[key] for key in KEYS} for row in rows]
    assert read_instructions(f"hub:{tmp_path / 'data'}@{COMMIT}") == expected


def test_the_revision_reaches_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("datasets.load_dataset", lambda *names, **keywords: asked.append((names, keywords)) or [ROW])
    assert read_instructions(f"hub:owner/name@{COMMIT}") == [ROW]
    assert asked == [(("owner/name",), {"revision": COMMIT, "split": "train"})]


def test_a_data_set_that_cannot_be_reached_is_one_line() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"from tallrec.prompts.instructions import *; read_instructions('hub:owner/name@{COMMIT}')",
        ],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.splitlines()[-1].startswith(
        f"benchmark.errors.DataError: instruct.data: cannot get hub:owner/name@{COMMIT}: "
    )


@pytest.fixture
def seed_tasks() -> Path:
    """The real seed tasks of self-instruct."""
    mirror = os.environ.get("TALLREC_BENCH_MIRROR")
    if not mirror:
        pytest.skip("TALLREC_BENCH_MIRROR is unset: no seed tasks")
    return Path(mirror) / "alpaca" / "seed_tasks.jsonl"


@pytest.mark.real_data
def test_the_seed_tasks_of_self_instruct_are_read(seed_tasks: Path) -> None:
    rows = read_instructions(str(seed_tasks))
    lines = [json.loads(line) for line in seed_tasks.read_text().splitlines()]
    assert len(lines) == 175
    assert len(rows) == sum(len(line["instances"]) for line in lines) >= 175
    assert all(tuple(row) == KEYS and row["instruction"] and row["output"] for row in rows)
    assert any(row["input"] for row in rows)
    assert any(not row["input"] for row in rows)


@pytest.mark.real_data
@pytest.mark.parametrize("loss", ["all_tokens", "answer"])
def test_the_seed_tasks_tune_an_adapter(
    seed_tasks: Path,
    new_tiny_model: "Callable[..., LlamaForCausalLM]",
    tokenizer: "PreTrainedTokenizerFast",
    fresh_start: Path,
    tmp_path: Path,
    loss: str,
) -> None:
    from tallrec.models.adapters import Lora, load_adapter, save_adapter, trainable_adapter
    from tallrec.training.schedule import Schedule
    from tallrec.training.tuning import instruction_tune

    rows = read_instructions(str(seed_tasks))
    lora = Lora(8, 16, 0.0, ("q_proj", "v_proj", "up_proj", "down_proj"))
    adapted = trainable_adapter(new_tiny_model(64), fresh_start, lora, seed=0)
    schedule = Schedule(n_updates=60, batch_size=16, micro_batch_size=16, learning_rate=0.01, warmup_updates=5, seed=0)
    tuned = instruction_tune(
        adapted, tokenizer, rows, schedule, tmp_path / "s", loss=loss, stray_comment=True, max_length=192
    )
    losses = [entry["loss"] for entry in tuned.log if "loss" in entry]
    assert len(losses) == 20
    # The adapter of a random model can learn little; that all late batches are better is no chance (1 in 15504).
    assert max(losses[-5:]) < min(losses[:5])
    save_adapter(adapted, tmp_path / "adapter")
    load_adapter(new_tiny_model(64), tmp_path / "adapter")  # which refuses one of zeros


def test_common_forms_of_a_file_are_read_whatever_it_is_called(tmp_path: Path):
    rows = [ROW, {**ROW, "input": None}]
    forms = {
        "lines.json": "\n".join(map(json.dumps, rows)),
        "list.jsonl": json.dumps(rows, indent=1),
        "marked.json": "\ufeff" + json.dumps(rows),
        "marked.jsonl": "\ufeff" + "\r\n".join(map(json.dumps, rows)) + "\r\n",
    }
    for name, text in forms.items():
        (tmp_path / name).write_bytes(text.encode())
        assert read_instructions(str(tmp_path / name)) == [ROW, {**ROW, "input": ""}], name


def test_a_pointer_of_git_lfs_is_told(tmp_path: Path):
    (tmp_path / "rows.json").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 16822989\n")
    with pytest.raises(DataError, match="a pointer of git LFS, not the file"):
        read_instructions(str(tmp_path / "rows.json"))


@pytest.mark.parametrize(("encoding", "problem"), [("latin-1", "expected UTF-8: .*0xf1"), ("utf-16", "in UTF-16")])
def test_instructions_in_another_encoding_are_refused_as_such(tmp_path: Path, encoding: str, problem: str) -> None:
    path = tmp_path / "rows.json"
    path.write_bytes('[{"instruction": "Ni\u00f1o?", "output": "x"}]'.encode(encoding))
    with pytest.raises(DataError, match=problem):
        read_instructions(str(path))


def test_an_empty_file_is_said_to_hold_no_row(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text(" \n")
    with pytest.raises(DataError, match=r"rows\.json: holds no row"):
        read_instructions(str(tmp_path / "rows.json"))
