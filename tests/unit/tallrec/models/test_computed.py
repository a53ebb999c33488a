"""A model from outside reads from left to right, gives numbers, and has texts cut as its files say, or is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertLMHeadModel, Gemma3ForCausalLM, Gemma3TextConfig, LlamaForCausalLM

from benchmark.errors import DataError
from tallrec.models.loading import load_model, save_base
from tallrec.models.loading_settings import Loading

SHAPE = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 32, "intermediate_size": 32}


@pytest.fixture
def folder(new_tiny_model: Callable[..., LlamaForCausalLM], tokenizer: Any, tmp_path: Path) -> Path:
    save_base(new_tiny_model(64), tokenizer, tmp_path / "base")
    return tmp_path / "base"


def load(folder: Path, dtype: str = "float32") -> Any:
    return load_model(str(folder), None, Loading(dtype, "none", n_threads=1), "llm.model")


def configured(folder: Path, name: str, **changes: Any) -> None:
    (folder / name).write_text(json.dumps(json.loads((folder / name).read_text()) | changes))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", ["an encoder", "a model for embeddings", "a key of its configuration"])
def test_a_model_that_sees_what_follows_is_refused(kind: str, dtype: str, folder: Path, tokenizer: Any) -> None:
    torch.manual_seed(0)
    made: Any = None
    if kind == "an encoder":
        made = BertLMHeadModel(BertConfig(vocab_size=510, initializer_range=0.3, **SHAPE))
    elif kind == "a model for embeddings":
        made = Gemma3ForCausalLM(
            Gemma3TextConfig(
                vocab_size=510, head_dim=16, num_key_value_heads=1, use_bidirectional_attention=True, **SHAPE
            )
        )
    if made is None:
        configured(folder, "config.json", is_causal=False)
    else:
        save_base(made, tokenizer, folder)
    with pytest.raises(DataError, match=r"^llm\.model: .* change with the tokens that follow; expected a model that"):
        load(folder, dtype)


def test_a_model_that_cannot_be_computed_is_one_line(folder: Path) -> None:
    configured(folder, "config.json", return_dict=False)
    with pytest.raises(
        DataError, match=r"^llm\.model: .*: cannot be computed as its config\.json says: 'tuple' object"
    ):
        load(folder)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_logits_that_are_no_numbers_are_refused_before_any_work(folder: Path, dtype: str) -> None:
    stored = load_file(folder / "model.safetensors")
    name = "model.layers.0.mlp.up_proj.weight"
    stored[name] = stored[name] * 1e7  # more than half precision holds
    save_file(stored, folder / "model.safetensors", {"format": "pt"})
    if dtype == "float32":
        load(folder)
        return
    with pytest.raises(DataError, match=r"its logits are no numbers as torch\.float16; expected another dtype"):
        load(folder, dtype)
