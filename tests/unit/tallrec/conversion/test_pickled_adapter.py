"""Adapters as PEFT stored them in 2023: what is read of them, and that nothing of them runs."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import LlamaForCausalLM

from benchmark.errors import DataError
from tallrec.conversion.pickled_adapter import convert
from tallrec.models.adapters import CONFIG, PICKLED, WEIGHTS, Lora, load_adapter, refuse_other_adapter
from tallrec.scoring.logits import last_logits

PROMPTS = [[0, 5, 6, 7], [0, 8], [0, 9, 10, 11, 12, 13]]
RELEASED = Lora(rank=8, alpha=16, dropout=0.05, target_modules=("q_proj", "v_proj"))
OWN_OF_ALPACA_LORA = Lora(rank=16, alpha=16, dropout=0.05, target_modules=("q_proj", "k_proj", "v_proj", "o_proj"))


def old_config(lora: Lora) -> dict[str, Any]:
    """As PEFT 0.3 wrote it, with keys that are gone."""
    return {
        "base_model_name_or_path": "decapoda-research/llama-7b-hf",
        "bias": "none",
        "enable_lora": None,
        "fan_in_fan_out": False,
        "inference_mode": True,
        "lora_alpha": lora.alpha,
        "lora_dropout": lora.dropout,
        "merge_weights": False,
        "modules_to_save": None,
        "peft_type": "LORA",
        "r": lora.rank,
        "target_modules": list(lora.target_modules),
        "task_type": "CAUSAL_LM",
    }


def old_weights(model: LlamaForCausalLM, lora: Lora, name: str, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Weights by their old keys: `...lora_A.weight`, or with the adapter's name `...lora_A.default.weight`."""
    generator = torch.Generator().manual_seed(3)
    weights: dict[str, torch.Tensor] = {}
    for layer, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and layer.rpartition(".")[2] in lora.target_modules:
            n_out, n_in = module.weight.shape
            for part, shape in (("A", (lora.rank, n_in)), ("B", (n_out, lora.rank))):
                key = f"base_model.model.{layer}.lora_{part}{name}.weight"
                weights[key] = (0.1 * torch.randn(*shape, generator=generator)).to(dtype)
    return weights


def publish(folder: Path, content: object, lora: Lora = RELEASED, **options: Any) -> Path:
    folder.mkdir()
    (folder / CONFIG).write_text(json.dumps(old_config(lora)))
    torch.save(content, folder / PICKLED, **options)
    return folder


@pytest.mark.parametrize("lora", [RELEASED, OWN_OF_ALPACA_LORA], ids=["released", "alpaca-lora"])
@pytest.mark.parametrize(("name", "dtype"), [("", torch.float32), (".default", torch.float16)])
@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
@pytest.mark.filterwarnings("error:Unexpected keyword arguments")
def test_an_old_adapter_is_loaded_as_it_was(
    new_tiny_model: Callable[[], LlamaForCausalLM],
    tmp_path: Path,
    lora: Lora,
    name: str,
    dtype: torch.dtype,
    is_zip: bool,
) -> None:
    model = new_tiny_model()
    weights = old_weights(model, lora, name, dtype)
    source, target = publish(tmp_path / "old", weights, lora, _use_new_zipfile_serialization=is_zip), tmp_path / "new"
    target.mkdir()
    refuse_other_adapter(source, lora)
    convert(source, target)
    refuse_other_adapter(target, lora)
    stored = load_file(target / WEIGHTS)
    assert len(stored) == len(weights) > 0
    for key, tensor in weights.items():
        assert torch.equal(stored[key.replace(".default", "")], tensor)
    # The sum written out: each layer gets the product of its two matrices, times alpha over rank.
    by_hand = new_tiny_model()
    with torch.no_grad():
        for layer, module in by_hand.named_modules():
            if isinstance(module, torch.nn.Linear) and layer.rpartition(".")[2] in lora.target_modules:
                a, b = (weights[f"base_model.model.{layer}.lora_{part}{name}.weight"].float() for part in "AB")
                module.weight += lora.alpha / lora.rank * b @ a
    loaded = last_logits(load_adapter(model, target), PROMPTS, 100)
    torch.testing.assert_close(loaded, last_logits(by_hand, PROMPTS, 100))
    assert not torch.allclose(loaded, last_logits(new_tiny_model(), PROMPTS, 100), atol=1e-3)


class Evil:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


def refused(folder: Path) -> str:
    target = folder.parent / "target"
    target.mkdir()
    with pytest.raises(DataError) as caught:
        convert(folder, target)
    assert str(caught.value).isprintable()
    assert str(caught.value).startswith(f"instruct.adapter: {folder / PICKLED}: ")
    assert not [*target.iterdir()]
    return str(caught.value).partition(f"{PICKLED}: ")[2]


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
def test_code_in_a_pickle_is_refused_and_never_runs(tmp_path: Path, is_zip: bool) -> None:
    marker = tmp_path / "ran"
    evil = {"base_model.model.q_proj.lora_A.weight": Evil(marker)}
    folder = publish(tmp_path / "old", evil, _use_new_zipfile_serialization=is_zip)
    assert refused(folder) == "is no pickle of tensors alone; it may run code, and is not read"
    assert not marker.exists()


LAYER = "base_model.model.layers.0.q_proj.lora_A"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ([torch.ones(1)], "expected tensors by name, got list"),
        ({}, "expected tensors by name, got none"),
        ({"base_model.model.embed_tokens.weight": torch.ones(1)}, "'base_model.model.embed_tokens.weight' is no LoRA"),
        ({5: torch.ones(1)}, "5 is no LoRA weight"),
        ({f"{LAYER}.weight": 5}, "expected a tensor of real numbers"),
        ({f"{LAYER}.weight": torch.ones(2, dtype=torch.int64)}, "expected a tensor of real numbers"),
        ({f"{LAYER}.weight": torch.ones(2, 2).to_sparse()}, "expected a tensor of real numbers"),
        ({f"{LAYER}.weight": torch.ones(1).expand(10**12)}, "as large as the file at most"),
        ({f"{LAYER}.weight": torch.ones(1), f"{LAYER}.default.weight": torch.ones(1)}, "stands there twice"),
    ],
)
def test_what_is_no_adapter_is_refused(tmp_path: Path, content: object, problem: str) -> None:
    assert problem in refused(publish(tmp_path / "old", content))


def test_a_file_that_did_not_come_whole_is_refused(tmp_path: Path) -> None:
    folder = publish(tmp_path / "old", {f"{LAYER}.weight": torch.ones(100)})
    (folder / PICKLED).write_bytes((folder / PICKLED).read_bytes()[:-50])
    assert refused(folder).startswith("damaged: ")


def test_a_pointer_of_git_lfs_is_told(tmp_path: Path) -> None:
    folder = publish(tmp_path / "old", {})
    (folder / PICKLED).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 16822989\n")
    assert "run `git lfs pull`" in refused(folder)
