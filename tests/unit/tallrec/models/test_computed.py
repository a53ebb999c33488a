"""A model from outside reads from left to right, gives numbers, and has texts cut as its files say, or is refused."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import BertConfig, BertLMHeadModel, Gemma3ForCausalLM, Gemma3TextConfig, LlamaForCausalLM

from benchmark.errors import ConfigError, DataError
from tallrec.models.adapters import Lora, load_adapter, refuse_other_adapter, save_adapter, trainable_adapter
from tallrec.models.loading import load_model, save_base
from tallrec.models.loading_settings import Loading
from tallrec.scoring.logits import last_logits

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


TEXT = '### Input:\nUser Preference: "Heat (1995)"\nWhether the user will like "Up":\n\n### Response:\nYes.'
WORDS_AND_LINES = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


@pytest.mark.parametrize("kind", ["GPT2Tokenizer", "GPTNeoXTokenizerFast", "PreTrainedTokenizerFast", None])
def test_a_class_that_cuts_texts_otherwise_than_the_file_is_refused(folder: Path, kind: str | None) -> None:
    """LLaMA 3 keeps a sign and the line feed after it together, GPT-2 does not; transformers asks the class."""
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    stored = Tokenizer(models.BPE())
    stored.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(WORDS_AND_LINES), "isolated"), byte_level]
    )
    stored.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    stored.train_from_iterator([TEXT, TEXT, 'answering "Yes." or "No.".\n\n### Input:\n'], trainer)
    stored.save(str(folder / "tokenizer.json"))
    told = {"eos_token": "<|endoftext|>", **({"tokenizer_class": kind} if kind else {})}
    (folder / "tokenizer_config.json").write_text(json.dumps(told))
    if kind in ("PreTrainedTokenizerFast", None):
        _, tokenizer = load(folder)
        assert tokenizer(TEXT, add_special_tokens=False)["input_ids"] == stored.encode(TEXT).ids
        return
    problem = r"Tokenizer, the class of its tokenizer, makes \d+ tokens of a prompt where its tokenizer\.json makes \d+"
    with pytest.raises(DataError, match=problem):
        load(folder)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({}, "metadata: expected an object"),
        ({"metadata": {}}, "weight_map: expected an object"),
        ({"metadata": {}, "weight_map": []}, "weight_map: expected an object"),
    ],
)
def test_what_an_index_lacks_is_named(folder: Path, content: Any, problem: str) -> None:
    (folder / "model.safetensors").rename(folder / "part.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=rf"model\.safetensors\.index\.json: {problem}"):
        load(folder)


def test_shards_of_any_name_are_looked_at(folder: Path) -> None:
    stored = load_file(folder / "model.safetensors")
    index = {"metadata": {}, "weight_map": dict.fromkeys(stored, "part.safetensors")}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").rename(folder / "part.safetensors")
    load(folder)
    name = "model.layers.0.mlp.up_proj.weight"
    save_file(stored | {name: torch.zeros_like(stored[name])}, folder / "part.safetensors", {"format": "pt"})
    with pytest.raises(DataError, match=rf"part\.safetensors: {re.escape(name)} is zero from end to end"):
        load(folder)
    (folder / "part.safetensors").write_bytes(b"<html>")
    with pytest.raises(DataError, match=r"part\.safetensors: .*header"):
        load(folder)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("generation_config.json", "[]"),
        ("special_tokens_map.json", "{"),
        ("added_tokens.json", "["),
        ("tokenizer.json", "{"),
    ],
)
def test_which_small_file_is_broken_is_told(folder: Path, name: str, content: str) -> None:
    (folder / name).write_text(content)
    with pytest.raises(DataError, match=rf": {re.escape(name)}: "):
        load(folder)


@pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to False")
def test_an_adapter_of_gpt2_from_elsewhere_is_taken(tokenizer: Any, fresh_start: Path, tmp_path: Path) -> None:
    """PEFT writes `fan_in_fan_out` by the kind of layer, whatever it was told."""
    from transformers import GPT2Config, GPT2LMHeadModel

    shape = GPT2Config(vocab_size=510, n_positions=64, n_embd=32, n_layer=1, n_head=2)
    save_base(GPT2LMHeadModel(shape), tokenizer, tmp_path / "base")
    lora = Lora(4, 8, 0.0, ("c_attn",))
    adapted = trainable_adapter(load(tmp_path / "base")[0], fresh_start, lora, seed=0)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.1)
    save_adapter(adapted, tmp_path / "adapter")
    assert json.loads((tmp_path / "adapter/adapter_config.json").read_text())["fan_in_fan_out"] is True
    refuse_other_adapter(tmp_path / "adapter", lora)
    again = load_adapter(load(tmp_path / "base")[0], tmp_path / "adapter")
    assert torch.equal(last_logits(again, [[1, 2, 3]], 100), last_logits(adapted, [[1, 2, 3]], 100))


def test_a_layer_that_cannot_be_adapted_is_one_line(
    new_tiny_model: Callable[..., LlamaForCausalLM], fresh_start: Path, lora: Lora
) -> None:
    """The part for images of Gemma 4 has layers of a class of its own, by the names of those of the part for text."""

    class Clipped(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(4, 4)

    model = new_tiny_model()
    model.vision_tower = torch.nn.ModuleDict({lora.target_modules[0]: Clipped()})
    with pytest.raises(
        ConfigError, match=r"^lora\.target_modules: PEFT takes no such layer: Target module Clipped"
    ) as caught:
        trainable_adapter(model, fresh_start, lora, seed=0)
    assert "\n" not in str(caught.value)
