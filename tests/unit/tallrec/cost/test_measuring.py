"""The measurement inside this process, without the limit on its memory."""

import resource
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from tallrec.cost.measuring import _of_length, is_out_of_memory, measure
from tallrec.models.adapters import Lora
from tallrec.models.loading import save_base
from tallrec.models.loading_settings import Loading
from tallrec.models.origin import write_origin
from tallrec.scoring.samples import Scoring
from tallrec.training.schedule import Schedule

LIMIT = 3 * 2**30


@pytest.fixture
def settings(
    tiny_model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    fresh_start: Path,
    lora: Lora,
    scoring: Scoring,
    tmp_path: Path,
) -> dict[str, Any]:
    save_base(tiny_model, tokenizer, tmp_path / "base")
    write_origin(tmp_path / "base", "tiny", None, {})
    return {
        "base": str(tmp_path / "base"),
        "start": str(fresh_start),
        "loading": asdict(Loading("float32", "none", 1)),
        "lora": asdict(lora),
        "schedule": asdict(Schedule(2, 4, 2, 0.01, 0, 0)),
        "scoring": asdict(scoring),
        "loss": "all_tokens",
        "n_tokens": None,
        "prompts": ["Is it good?\n", "Is it bad?\n", "Is it?\n"],
        "answers": ["Yes.", "No.", "No."],
        "memory_limit_bytes": LIMIT,
        "scratch": str(tmp_path / "scratch"),
    }


def test_tuning_and_scoring_are_timed(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    hard_limit = resource.getrlimit(resource.RLIMIT_DATA)[1]
    limits: list[tuple[int, tuple[int, int]]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda kind, values: limits.append((kind, values)))
    measured = measure(settings)
    assert measured["status"] == "ok"
    assert measured["peak_memory_bytes"] > 0
    assert measured["scored_samples_per_second"] > 0
    assert measured["tokens_per_second"] > measured["samples_per_second"] > 0
    assert 0 < measured["flops_per_second"] < measured["products_flops_per_second"]
    assert measured["foretold_bytes"] > 0
    if measured["device"] == "CPU":
        assert limits == [(resource.RLIMIT_DATA, (LIMIT, hard_limit))]


@pytest.mark.parametrize("label", [5, -100])
def test_rows_are_brought_to_a_length_with_their_end_kept(label: int) -> None:
    row = {"input_ids": [5, 6, 7, 8], "labels": [label, label, 7, 8]}
    longer, shorter = _of_length(row, 11), _of_length(row, 3)
    assert longer["input_ids"] == [5, 6, 7, 8, 5, 6, 7, 5, 6, 7, 8]
    assert longer["labels"] == ([5, 6, 7, 8, 5, 6, 7] if label == 5 else [-100] * 7) + row["labels"]
    assert (shorter["input_ids"], shorter["labels"]) == ([6, 7, 8], row["labels"][1:])
    assert _of_length(row, None) == row


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (RuntimeError("CUDA out of memory. Tried to allocate"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (OSError(12, "Cannot allocate memory"), True),
        (RuntimeError("shape mismatch"), False),
        (OSError(2, "No such file or directory"), False),
    ],
)
def test_the_memory_limit_is_told_from_other_errors(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected
