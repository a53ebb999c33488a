"""Hostile inputs of language models: instruction files, adapters, answers of servers, and the cache that keeps them."""

import json
import math
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mutation import mutated, mutated_value

from benchmark.errors import DataError
from tallrec.api.bodies import body_of, reply_of
from tallrec.api.cache import opened
from tallrec.api.client import _retry_after_seconds
from tallrec.api.rules import score_of_text, score_of_top
from tallrec.prompts.instructions import read_instructions
from tallrec.prompts.layouts import ANSWER_TEXTS

ROWS: list[dict[str, Any]] = [
    {"instruction": "Say yes.", "input": "", "output": "Yes."},
    {"instruction": "Say no.", "instances": [{"input": "a", "output": "No."}, {"input": "b", "output": "No."}]},
    {"instruction": "Été", "input": '"x", y', "output": "z"},
]
CHAT: dict[str, Any] = {
    "choices": [
        {
            "message": {"content": "Yes.", "refusal": None},
            "finish_reason": "stop",
            "logprobs": {
                "content": [
                    {
                        "token": "Yes",
                        "logprob": -0.1,
                        "top_logprobs": [{"token": "Yes", "logprob": -0.1}, {"token": "No", "logprob": -3}],
                    }
                ]
            },
        }
    ],
    "usage": {"prompt_tokens": 50, "completion_tokens": 1},
}
COMPLETION: dict[str, Any] = {
    "choices": [
        {"text": " Yes", "logprobs": {"top_logprobs": [{"Yes": -0.1, " No": -2.5}]}, "finish_reason": "length"}
    ],
    "usage": {"prompt_tokens": 50, "completion_tokens": 1},
}


@pytest.mark.parametrize("suffix", ["json", "jsonl"])
def test_a_hostile_instruction_file_is_read_row_for_row_or_refused(
    suffix: str, repository: Path, survive: Callable[..., None]
):
    path = repository / f"rows.{suffix}"

    def written(rows: Any) -> bytes:
        if suffix == "jsonl" and isinstance(rows, list):
            return "".join(f"{json.dumps(row)}\n" for row in rows).encode()
        return json.dumps(rows).encode()

    def make(rng: random.Random) -> bytes:
        return written(mutated_value(rng, ROWS)) if rng.random() < 0.4 else mutated(rng, written(ROWS))

    def read(hostile: bytes) -> None:
        path.write_bytes(hostile)
        found = read_instructions(str(path))
        text = hostile.decode("utf-8-sig")
        try:
            rows = json.loads(text)
        except ValueError:
            rows = None
        if not isinstance(rows, list):  # a row a line, whatever the file is called
            rows = [json.loads(line) for line in text.split("\n") if line.strip()]
        assert len(found) == sum(len(row.get("instances", [row])) for row in rows)

    read(written(ROWS))
    survive(f"instructions.{suffix}", 6_000, make, read)


def scored(content: bytes) -> None:
    """As `tallrec.api.client` and `tallrec.api.samples` do; a body that is no answer is a `ValueError` there."""
    try:
        reply = reply_of(body_of(content))
    except ValueError as error:
        raise DataError(str(error)) from error
    predictions = [score_of_text("s", reply)]
    if reply.top is not None:
        predictions += [
            score_of_top("s", reply, ANSWER_TEXTS, missing_answer=missing, rule=rule)
            for missing in ("smallest_of_top", "remainder")
            for rule in ("double_softmax", "logit_difference")
        ]
    assert all(math.isfinite(prediction.score) for prediction in predictions)


@pytest.mark.parametrize(("name", "valid"), [("chat", CHAT), ("completions", COMPLETION)])
def test_a_hostile_answer_is_scored_or_refused(name: str, valid: dict[str, Any], survive: Callable[..., None]):
    def make(rng: random.Random) -> bytes:
        changed = json.dumps(mutated_value(rng, valid)).encode()
        return changed if rng.random() < 0.7 else mutated(rng, changed)

    scored(json.dumps(valid).encode())
    survive(f"answers, {name}", 12_000, make, scored)


def test_a_hostile_wait_is_a_number_of_seconds(survive: Callable[..., None], monkeypatch: pytest.MonkeyPatch):
    import tallrec.api.client

    monkeypatch.setattr(tallrec.api.client, "APIStatusError", SimpleNamespace)

    def read(hostile: bytes) -> None:
        headers = {"retry-after": hostile.decode("latin-1")}
        assert math.isfinite(_retry_after_seconds(SimpleNamespace(response=SimpleNamespace(headers=headers))))  # type: ignore[arg-type]

    valid = [b"12.5", b"Wed, 21 Oct 2037 07:28:00 GMT"]
    survive("header retry-after", 4_000, lambda rng: mutated(rng, rng.choice(valid), valid), read)


def test_a_hostile_cache_is_refused(repository: Path, survive: Callable[..., None]):
    path = repository / "answers.sqlite3"
    with opened(path) as cache:
        cache.put("k", {"body": "x" * 50}, COMPLETION)
    with sqlite3.connect(path) as rows:
        rows.execute("PRAGMA journal_mode = DELETE")
    valid = path.read_bytes()

    def make(rng: random.Random) -> bytes:
        # Most of the file is empty; the changes go to its header and to what is written.
        content = bytearray(valid)
        filled = [at for at, byte in enumerate(valid) if byte]
        for at in rng.sample(filled, rng.choice((1, 2, 8))):
            content[at] = rng.randrange(256)
        return bytes(content if rng.random() < 0.9 else content[: rng.randrange(len(content))])

    def read(hostile: bytes) -> None:
        for suffix in ("-wal", "-shm", "-journal"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        path.write_bytes(hostile)
        with opened(path) as cache:
            cache.get("k")

    survive("answers.sqlite3", 2_000, make, read)


@pytest.mark.filterwarnings("ignore::UserWarning:peft")  # it says of some inputs what is wrong before they are refused
def test_a_hostile_adapter_is_loaded_whole_or_refused(
    new_tiny_model: Callable[[], Any], lora: Any, tmp_path: Path, fresh_start: Path, survive: Callable[..., None]
):
    import torch

    from tallrec.models.adapters import load_adapter, refuse_other_adapter, save_adapter, trainable_adapter

    source, folder = tmp_path / "source", tmp_path / "adapter"
    adapted = trainable_adapter(new_tiny_model(), fresh_start, lora, seed=0)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.01)
    save_adapter(adapted, source)
    shutil.copytree(source, folder)
    names = ["adapter_config.json", "adapter_model.safetensors"]
    valid = {name: (source / name).read_bytes() for name in names}
    header = 8 + int.from_bytes(valid[names[1]][:8], "little")

    def make(rng: random.Random) -> dict[str, bytes]:
        name = rng.choice(names)
        content = valid[name]
        if name.endswith("json"):
            changed = json.dumps(mutated_value(rng, json.loads(content))).encode() if rng.random() < 0.6 else None
            return valid | {name: changed or mutated(rng, content)}
        if rng.random() < 0.3:
            return valid | {name: mutated(rng, content)}
        return valid | {name: mutated(rng, content[:header]) + content[header:]}

    def read(hostile: dict[str, bytes]) -> None:
        for name, content in hostile.items():
            (folder / name).write_bytes(content)
        refuse_other_adapter(folder, lora)
        load_adapter(new_tiny_model(), folder)

    read(valid)
    survive("adapter", 2_500, make, read)
