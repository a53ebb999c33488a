"""Adapters on disk: what is refused, what comes back."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaForCausalLM

from benchmark.errors import DataError, MissingArtifactError
from tallrec.models.adapters import WEIGHTS, Lora, load_adapter, save_adapter, trainable_adapter
from tallrec.scoring.logits import last_logits

PROMPTS = [[0, 5, 6, 7], [0, 8], [0, 9, 10, 11, 12, 13]]


@pytest.fixture
def saved(new_tiny_model: Callable[[], LlamaForCausalLM], fresh_start: Path, lora: Lora, tmp_path: Path) -> Path:
    """An adapter that is not zero."""
    adapted = trainable_adapter(new_tiny_model(), fresh_start, lora, seed=0)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.1)
    save_adapter(adapted, tmp_path / "adapter")
    return tmp_path / "adapter"


def altered(folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Path:
    save_file(change(load_file(folder / WEIGHTS)), folder / WEIGHTS)
    return folder


def test_an_adapter_changes_what_the_model_says(tiny_model: LlamaForCausalLM, saved: Path) -> None:
    before = last_logits(tiny_model, PROMPTS, 100)
    after = last_logits(load_adapter(tiny_model, saved), PROMPTS, 100)
    assert not torch.allclose(before, after, atol=1e-3)


def test_an_unloaded_adapter_leaves_the_base_model(tiny_model: LlamaForCausalLM, saved: Path) -> None:
    before = last_logits(tiny_model, PROMPTS, 100)
    base = load_adapter(tiny_model, saved).unload()
    assert torch.equal(last_logits(base, PROMPTS, 100), before)


def test_an_adapter_that_is_not_there_is_refused(tiny_model: LlamaForCausalLM, tmp_path: Path) -> None:
    with pytest.raises(MissingArtifactError, match=r"nowhere/adapter_model\.safetensors: not there"):
        load_adapter(tiny_model, tmp_path / "nowhere")


def test_an_adapter_of_zeros_is_refused(tiny_model: LlamaForCausalLM, saved: Path) -> None:
    altered(saved, lambda stored: {k: t * 0 if "lora_B" in k else t for k, t in stored.items()})
    with pytest.raises(DataError, match="all LoRA-B weights are zero"):
        load_adapter(tiny_model, saved)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda key, tensor: tensor * ("lora_A" not in key), "all LoRA-A weights are zero"),
        (lambda _, tensor: tensor.to(torch.int8), r"lora_A\.weight holds torch\.int8, expected real numbers"),
    ],
)
def test_an_adapter_that_does_nothing_or_was_rounded_away_is_refused(
    tiny_model: LlamaForCausalLM, saved: Path, change: Callable[[str, torch.Tensor], torch.Tensor], problem: str
) -> None:
    save_file({key: change(key, tensor) for key, tensor in load_file(saved / WEIGHTS).items()}, saved / WEIGHTS)
    with pytest.raises(DataError, match=problem):
        load_adapter(tiny_model, saved)


def test_a_new_adapter_is_zero_and_so_refused(
    new_tiny_model: Callable[[], LlamaForCausalLM], fresh_start: Path, lora: Lora, tmp_path: Path
) -> None:
    save_adapter(trainable_adapter(new_tiny_model(), fresh_start, lora, seed=0), tmp_path / "new")
    with pytest.raises(DataError, match="all LoRA-B weights are zero"):
        load_adapter(new_tiny_model(), tmp_path / "new")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_not_saved(
    tiny_model: LlamaForCausalLM, fresh_start: Path, lora: Lora, tmp_path: Path, value: float
) -> None:
    adapted = trainable_adapter(tiny_model, fresh_start, lora, seed=0)
    weights = next(parameter for name, parameter in adapted.named_parameters() if "lora_B" in name)
    weights.data[0, 0] = value
    with pytest.raises(DataError, match=r"diverged: 1 of 8 tensors of the adapter hold weights that are not finite"):
        save_adapter(adapted, tmp_path / "diverged")
    assert not (tmp_path / "diverged").exists()


@pytest.mark.filterwarnings("ignore:Found missing adapter keys")
def test_keys_that_do_not_match_are_refused(tiny_model: LlamaForCausalLM, saved: Path) -> None:
    altered(saved, lambda stored: {key.replace("q_proj", "query"): tensor for key, tensor in stored.items()})
    with pytest.raises(DataError, match="4 of 8 tensors did not reach the model"):
        load_adapter(tiny_model, saved)


@pytest.mark.filterwarnings("ignore:Found missing adapter keys")
def test_missing_keys_are_refused(tiny_model: LlamaForCausalLM, saved: Path) -> None:
    altered(saved, lambda stored: dict(list(stored.items())[:-1]))
    with pytest.raises(DataError, match="tensors did not reach the model"):
        load_adapter(tiny_model, saved)


@pytest.mark.filterwarnings("ignore:Found missing adapter keys")
def test_keys_of_some_layers_alone_are_told_as_missing_in_the_file(tiny_model: LlamaForCausalLM, saved: Path) -> None:
    stored = load_file(saved / WEIGHTS)
    save_file({key: tensor for key, tensor in stored.items() if "layers.0" in key}, saved / WEIGHTS)
    with pytest.raises(DataError, match=r"4 of 8 tensors .*the file lacks them, e\.g\. \S+layers\.1\.\S+"):
        load_adapter(tiny_model, saved)


def test_tuning_goes_on_from_a_stored_adapter(tiny_model: LlamaForCausalLM, saved: Path, lora: Lora) -> None:
    adapted = trainable_adapter(tiny_model, saved, lora, seed=0)
    trainable = {name for name, parameter in adapted.named_parameters() if parameter.requires_grad}
    assert len(trainable) == 8
    assert all("lora_" in name for name in trainable)


def test_new_weights_are_drawn_by_the_seed(
    new_tiny_model: Callable[[], LlamaForCausalLM], fresh_start: Path, lora: Lora
) -> None:
    def drawn(seed: int) -> torch.Tensor:
        adapted = trainable_adapter(new_tiny_model(), fresh_start, lora, seed)
        return torch.cat([p.detach().flatten() for name, p in adapted.named_parameters() if "lora_A" in name])

    assert torch.equal(drawn(0), drawn(0))
    assert not torch.equal(drawn(0), drawn(1))


def test_a_saved_adapter_is_the_same_in_every_process(
    tiny_model: LlamaForCausalLM, fresh_start: Path, lora: Lora
) -> None:
    # Enough of them that a set, which each process orders in its own way, is not sorted by chance.
    names = ("v_proj", "q_proj", "o_proj", "k_proj", "up_proj", "gate_proj", "down_proj")
    adapted = trainable_adapter(tiny_model, fresh_start, replace(lora, target_modules=names), seed=0)
    save_adapter(adapted, fresh_start.parent / "all")
    config = json.loads((fresh_start.parent / "all/adapter_config.json").read_text())
    assert config["target_modules"] == sorted(names)


def test_a_saved_adapter_names_no_folder_of_this_machine(saved: Path) -> None:
    assert {path.name for path in saved.iterdir()} == {WEIGHTS, "adapter_config.json"}
    assert json.loads((saved / "adapter_config.json").read_text())["base_model_name_or_path"] is None


def test_an_adapter_on_a_full_disk_is_one_line(
    tiny_model: LlamaForCausalLM,
    fresh_start: Path,
    lora: Lora,
    tmp_path: Path,
    files_no_larger_than: Callable[[int], AbstractContextManager[None]],
) -> None:
    adapted = trainable_adapter(tiny_model, fresh_start, lora, seed=0)
    with pytest.raises(DataError, match="adapter: cannot be written, "), files_no_larger_than(100):
        save_adapter(adapted, tmp_path / "adapter")
