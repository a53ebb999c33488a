"""A model from outside is the one of its files and of its keys, or is refused in one line before any work."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, LlamaForCausalLM, PreTrainedTokenizerFast

from benchmark.errors import ConfigError, DataError
from tallrec.models.adapters import Lora, load_adapter, save_adapter, trainable_adapter
from tallrec.models.architecture import (
    config_of,
    empty_model,
    random_model,
    refuse_few_positions,
    refuse_unknown_tokens,
)
from tallrec.models.loading import load_base, load_model, save_base
from tallrec.models.loading_settings import Loading
from tallrec.models.origin import write_origin
from tallrec.scoring.logits import last_logits
from tallrec.training.rows import encode_row

FULL = Loading(dtype="float32", quantization="none", n_threads=1)
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 16822989\n"
Tensors = dict[str, torch.Tensor]


@pytest.fixture
def folder(new_tiny_model: Callable[..., LlamaForCausalLM], tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> Path:
    save_base(new_tiny_model(64), tokenizer, tmp_path / "base")
    return tmp_path / "base"


def load(folder: Path, **changes: Any) -> Any:
    return load_model(str(folder), None, replace(FULL, **changes), "icl.models.m.model")


def rewritten(folder: Path, change: Callable[[Tensors], Tensors], **config: Any) -> Path:
    save_file(change(load_file(folder / "model.safetensors")), folder / "model.safetensors", {"format": "pt"})
    return configured(folder, "config.json", **config)


def configured(folder: Path, name: str, **changes: Any) -> Path:
    (folder / name).write_text(json.dumps(json.loads((folder / name).read_text()) | changes))
    return folder


def refused(folder: Path, **changes: Any) -> str:
    with pytest.raises(DataError) as caught:
        load(folder, **changes)
    assert str(caught.value).startswith("icl.models.m.model: ")
    return str(caught.value)


def test_a_whole_model_is_loaded(folder: Path) -> None:
    model, tokenizer = load(folder)
    assert last_logits(model, [tokenizer("Yes")["input_ids"]], 100).isfinite().all()


UP = "model.layers.0.mlp.up_proj.weight"
LOST: dict[str, tuple[Callable[[Tensors], Tensors], str]] = {
    "keys of a PeftModel": (
        lambda found: {f"base_model.model.{key}": tensor for key, tensor in found.items()},
        "it has no weights lm_head.weight (21 in all), which would be drawn at random",
    ),
    "one tensor": (
        lambda found: {key: tensor for key, tensor in found.items() if "layers.0.mlp.up_proj" not in key},
        "it has no weights model.layers.0.mlp.up_proj.weight (1 in all), which would be drawn at random",
    ),
    "a renamed one": (
        lambda found: {key.replace("q_proj", "query"): tensor for key, tensor in found.items()},
        "it has no weights model.layers.0.self_attn.q_proj.weight",
    ),
    "another shape": (
        lambda found: found | {"model.norm.weight": torch.ones(65)},
        "model.norm.weight has the shape [65] in its files, and [64] by its config.json",
    ),
    "a bias that its configuration has no place for": (
        lambda found: found | {"model.layers.0.self_attn.q_proj.bias": torch.ones(64)},
        "its files hold model.layers.0.self_attn.q_proj.bias (1 in all), for which its config.json has no place",
    ),
    "codes of another precision": (
        lambda found: found | {UP: (100 * found[UP]).to(torch.int8)},
        f"model.safetensors: {UP} holds integers (I8), expected real numbers, since config.json has no quantization_c",
    ),
    "zeros in place of a projection": (
        lambda found: found | {UP: torch.zeros_like(found[UP])},
        f"model.safetensors: {UP} is zero from end to end, expected trained weights",
    ),
    "zeros in place of the titles' words": (
        lambda found: found | {"model.embed_tokens.weight": torch.zeros_like(found["model.embed_tokens.weight"])},
        "model.safetensors: model.embed_tokens.weight is zero from end to end",
    ),
    "one number that is none": (
        lambda found: found | {UP: torch.where(found[UP] == found[UP].max(), torch.nan, found[UP])},
        f"model.safetensors: {UP} holds numbers that are not finite",
    ),
}


@pytest.mark.parametrize("what", LOST)
def test_weights_that_would_not_arrive_are_named(folder: Path, what: str) -> None:
    change, problem = LOST[what]
    assert problem in refused(rewritten(folder, change))


def test_what_may_be_zero_is_loaded(folder: Path) -> None:
    """A norm that adds to 1, the row of a padding token, a mask; and integers that are no weights."""

    def change(found: Tensors) -> Tensors:
        found["model.embed_tokens.weight"][:3] = 0
        norm = torch.zeros_like(found["model.norm.weight"])
        return found | {"model.norm.weight": norm, "mask": torch.zeros(2, 2), "position_ids": torch.arange(4)[None]}

    load(rewritten(folder, change))


def test_an_output_layer_that_is_not_tied_must_be_there(folder: Path) -> None:
    model, _ = load(folder)
    n_tied = int(model.config.tie_word_embeddings)
    found = load_file(folder / "model.safetensors")
    found.pop("lm_head.weight", None)
    rewritten(folder, lambda _: found, tie_word_embeddings=False)
    assert "it has no weights lm_head.weight (1 in all)" in refused(folder), n_tied


def test_a_layer_less_than_the_files_have_is_no_model_of_them(folder: Path) -> None:
    n_layers = json.loads((folder / "config.json").read_text())["num_hidden_layers"]
    configured(folder, "config.json", num_hidden_layers=n_layers - 1)
    assert f"its files hold model.layers.{n_layers - 1}." in refused(folder)


def test_what_belongs_to_no_layer_may_be_there(folder: Path) -> None:
    load(
        rewritten(folder, lambda found: found | {"vision_tower.weight": torch.ones(3), "model.image.w": torch.ones(3)})
    )


def test_an_adapter_beside_the_weights_is_refused_whatever_loads_them(
    folder: Path, new_tiny_model: Callable[..., LlamaForCausalLM], lora: Lora, fresh_start: Path, tmp_path: Path
) -> None:
    adapted = trainable_adapter(new_tiny_model(64), fresh_start, lora, seed=0)
    save_adapter(adapted, tmp_path / "adapter")
    for file in (tmp_path / "adapter").iterdir():
        shutil.copy(file, folder / file.name)
    assert "holds adapter_config.json" in refused(folder)
    for name in ("config.json", "model.safetensors"):  # an adapter alone, which transformers follows to its base model
        (folder / name).rename(tmp_path / name)
    assert "holds adapter_config.json" in refused(folder)
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).rename(folder / name)
    (tmp_path / "reference").mkdir()
    write_origin(tmp_path / "reference", str(folder), None, {})
    with pytest.raises(DataError, match=r"llm\.model: .* and an adapter in instruct\.adapter"):
        load_base(tmp_path / "reference", FULL)


@pytest.mark.parametrize(
    ("stored", "quantization", "held"),
    [
        ({"quant_method": "gptq", "bits": 4, "group_size": 32}, "none", "(gptq)"),
        ({"quant_method": "awq", "bits": 4}, "4bit", "(awq)"),
        ({"quant_method": "compressed-tensors", "format": "pack-quantized"}, "8bit", "(compressed-tensors)"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "none", "(bitsandbytes 4bit)"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "8bit", "or 4bit in llm.quantization"),
        ({"load_in_8bit": True}, "4bit", "(8bit)"),
    ],
)
def test_another_precision_than_that_of_the_key_is_refused(
    folder: Path, stored: dict[str, Any], quantization: str, held: str
) -> None:
    message = refused(configured(folder, "config.json", quantization_config=stored), quantization=quantization)
    assert held in message
    assert f"it is loaded with quantization '{quantization}'" in message


@pytest.mark.filterwarnings("ignore:You passed `quantization_config`")
@pytest.mark.parametrize("quantization", ["4bit", "8bit"])
def test_weights_that_are_not_quantized_as_their_configuration_says_are_refused(
    folder: Path, quantization: str
) -> None:
    stored = {"quant_method": "bitsandbytes", f"load_in_{quantization}": True}
    configured(folder, "config.json", quantization_config=stored)
    problem = r"has a quantization_config, and its files hold model\.layers\.0\.\S+ \(14 in all\) as it is"
    assert re.search(problem, refused(folder, quantization=quantization))


@pytest.mark.parametrize("quantization", ["none", "4bit", "8bit"])
def test_what_has_no_place_is_refused_in_every_precision(folder: Path, quantization: str) -> None:
    rewritten(folder, lambda found: found | {"model.layers.0.self_attn.q_proj.bias": torch.ones(64)})
    assert "its files hold model.layers.0.self_attn.q_proj.bias" in refused(folder, quantization=quantization)


def test_a_tokenizer_that_draws_its_tokens_is_refused(folder: Path) -> None:
    content = json.loads((folder / "tokenizer.json").read_text())
    content["model"]["dropout"] = 0.1
    (folder / "tokenizer.json").write_text(json.dumps(content))
    assert "its tokenizer.json has dropout 0.1, so one text has other tokens each time" in refused(folder)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"pad_token_id": 9999}, "Padding_idx must be within"),
        ({"hidden_act": "new"}, "KeyError: 'new'"),
        ({"model_type": "t5"}, "Unrecognized configuration class"),
        ({"intermediate_size": -64}, "Trying to create tensor with negative dimension -64"),
    ],
)
@pytest.mark.parametrize("is_empty", [True, False])
def test_an_architecture_that_makes_no_model_is_one_line(
    folder: Path, change: dict[str, Any], problem: str, is_empty: bool
) -> None:
    config = config_of(str(configured(folder, "config.json", **change)))
    with pytest.raises(DataError, match=rf"llm\.model: its config\.json makes no language model: {problem}"):
        empty_model(config, FULL) if is_empty else random_model(config, FULL, seed=0, device="cpu")


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("model-00001-of-00009.safetensors", b"", "header"),
        ("model-00002-of-00009.safetensors", b"<html>", "header"),
        ("model.safetensors.index.json", b"[]", "expected an object, got list"),
        ("tokenizer_config.json", b"[]", "expected an object, got list"),
        ("tokenizer_config.json", b"{", "Expecting property name"),
        ("config.json", b"[1]", "expected an object, got list"),
    ],
)
def test_which_of_the_files_is_broken_is_told(
    folder: Path, new_tiny_model: Callable[..., LlamaForCausalLM], name: str, content: bytes, problem: str
) -> None:
    new_tiny_model(64).save_pretrained(folder, max_shard_size="60KB")
    (folder / "model.safetensors").unlink()
    load(folder)
    (folder / name).write_bytes(content)
    assert re.search(rf": {re.escape(name)}: .*{problem}", refused(folder))


def test_weights_that_stand_twice_in_a_folder_are_refused(
    folder: Path, new_tiny_model: Callable[..., LlamaForCausalLM]
) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    new_tiny_model(64).save_pretrained(folder, max_shard_size="60KB")
    (folder / "model.safetensors").write_bytes(whole)
    assert "model.safetensors and model.safetensors.index.json: weights in two forms, expected one" in refused(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_pointer_of_git_lfs_is_told(folder: Path, name: str) -> None:
    (folder / name).write_text(POINTER)
    with pytest.raises(DataError, match=rf"{name}: a pointer of git LFS, not the file: run `git lfs pull` there"):
        load(folder)


def test_special_tokens_that_are_empty_texts_are_none(folder: Path) -> None:
    configured(folder, "tokenizer_config.json", eos_token="", bos_token="", unk_token="")
    _, tokenizer = load(folder)
    with pytest.raises(DataError, match="it has no end of text"):
        encode_row(tokenizer, "Yes", "No", loss="answer", max_length=100)


def test_a_tokenizer_that_fails_when_it_is_used_is_refused(folder: Path) -> None:
    content = json.loads((folder / "tokenizer.json").read_text())
    content["model"] = {"type": "WordLevel", "vocab": {"Yes": 0}, "unk_token": "[UNK]"}
    content["added_tokens"] = []
    (folder / "tokenizer.json").write_text(json.dumps(content))
    configured(folder, "tokenizer_config.json", unk_token=None, eos_token=None, bos_token=None, pad_token=None)
    assert "its tokenizer cannot be used: WordLevel error: Missing [UNK] token" in refused(folder)


@pytest.mark.parametrize(("family", "n_positions"), [("gpt2", 64), ("llama", 32)])
def test_rows_longer_than_the_positions_of_a_model_are_refused_before_it_is_loaded(
    folder: Path, family: str, n_positions: int, tmp_path: Path
) -> None:
    if family == "gpt2":
        GPT2Config(vocab_size=50, n_positions=64, n_embd=8, n_layer=1, n_head=1).save_pretrained(folder)
    else:
        configured(folder, "config.json", max_position_embeddings=32)
    with pytest.raises(ConfigError, match=rf"llm\.max_length: 512 is more than the {n_positions} positions of llm"):
        refuse_few_positions(config_of(str(folder)), 512)
    refuse_few_positions(config_of(str(folder)), n_positions)


def test_tokens_that_the_model_does_not_have_are_refused(folder: Path) -> None:
    model, _ = load(folder)
    n_known = model.get_input_embeddings().num_embeddings
    refuse_unknown_tokens(model, [[0, n_known - 1], []])
    with pytest.raises(DataError, match=rf"token {n_known} is none of the {n_known} that the model has embeddings for"):
        last_logits(model, [[0], [1, n_known]], 100)


def adapter(folder: Path, change: Callable[[Tensors], Tensors]) -> Path:
    save_file(change(load_file(folder / "adapter_model.safetensors")), folder / "adapter_model.safetensors")
    return folder


def test_an_adapter_of_another_model_is_refused_by_a_tensor_and_both_shapes(
    new_tiny_model: Callable[..., LlamaForCausalLM], lora: Lora, fresh_start: Path, tmp_path: Path
) -> None:
    adapted = trainable_adapter(new_tiny_model(), fresh_start, lora, seed=0)
    save_adapter(adapted, tmp_path / "a")
    width = new_tiny_model().config.hidden_size
    wide = shutil.copytree(tmp_path / "a", tmp_path / "wide")
    adapter(wide, lambda found: {k: torch.ones(lora.rank, 48) if "lora_A" in k else t for k, t in found.items()})
    shapes = rf"size mismatch for \S+lora_A\S*: .*\[{lora.rank}, 48\].*\[{lora.rank}, {width}\]"
    with pytest.raises(DataError, match=shapes):
        load_adapter(new_tiny_model(), wide)
    more = shutil.copytree(tmp_path / "a", tmp_path / "more")
    adapter(more, lambda found: found | {"base_model.model.model.embed_tokens.weight": torch.ones(510, width)})
    with pytest.raises(DataError, match=r"embed_tokens"):
        load_adapter(new_tiny_model(), more)
    (tmp_path / "a/adapter_model.safetensors").write_text(POINTER)
    with pytest.raises(DataError, match="a pointer of git LFS"):
        load_adapter(new_tiny_model(), tmp_path / "a")
