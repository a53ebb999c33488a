"""LoRA adapters of a base model: new ones, stored ones, and those from elsewhere; every tensor is checked."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, prepare_model_for_kbit_training
from safetensors.torch import load_file
from torch import nn
from transformers import PreTrainedModel, set_seed
from transformers.pytorch_utils import Conv1D

from benchmark.errors import ConfigError, DataError, MissingArtifactError, reason_of, refuse_pointer
from tallrec.disk import UNREADABLE, writing

START = "start.json"
WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
PICKLED = "adapter_model.bin"
"""The weights as PEFT stored them until 2023; only an adapter from elsewhere may have them."""
FREE_TEXTS = ("base_model_name_or_path", "revision", "inference_mode", "peft_version", "fan_in_fan_out")
"""Keys of `adapter_config.json` that may hold any text: they change nothing here. PEFT sets the last by the layer."""


@dataclass(frozen=True, slots=True)
class Lora:
    """Shape of the adapter."""

    rank: int
    alpha: int
    dropout: float
    target_modules: tuple[str, ...]


def write_fresh_start(folder: Path) -> None:
    """Write that tuning starts from the base model and new LoRA weights."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / START).write_text(json.dumps({"start": "fresh LoRA weights on the base model"}) + "\n")


def trainable_adapter(model: PreTrainedModel, start: Path, lora: Lora, seed: int) -> PeftModel:
    """`model` with an adapter to train: a copy of the one in `start`, or new weights drawn by `seed`.

    Raises:
        ConfigError: the model has no layer of a name in `lora.target_modules`, or one that cannot be adapted.
    """
    if getattr(model, "is_quantized", False):
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    if (start / START).exists():
        _check_layers(model, lora.target_modules)
        set_seed(seed)
        config = LoraConfig(
            r=lora.rank,
            lora_alpha=lora.alpha,
            lora_dropout=lora.dropout,
            target_modules=list(lora.target_modules),
            bias="none",
            task_type="CAUSAL_LM",
        )
        try:
            return get_peft_model(model, config)
        except ValueError as error:
            raise ConfigError(f"lora.target_modules: PEFT takes no such layer: {reason_of(error)}") from error
    return load_adapter(model, start, is_trainable=True)


def _check_layers(model: PreTrainedModel, wanted: Sequence[str]) -> None:
    """Refuse a name that no layer has: families name theirs in their own way, and PEFT leaves such a name out."""
    head = model.get_output_embeddings()
    layers = [
        name for name, layer in model.named_modules() if isinstance(layer, (nn.Linear, Conv1D)) and layer is not head
    ]
    for name in wanted:
        if not any(f".{layer}".endswith(f".{name}") for layer in layers):
            known = ", ".join(sorted({layer.rpartition(".")[2] for layer in layers}))
            raise ConfigError(f"lora.target_modules: {name!r} is no layer of {type(model).__name__}; it has {known}")


def load_adapter(
    model: PreTrainedModel, folder: Path, *, is_trainable: bool = False, source: Path | None = None
) -> PeftModel:
    """`model` with the adapter in `folder`, which is checked to be there, whole and not zero.

    PEFT loads an adapter whose keys do not fit without an error; the model is then the base model with noise. That
    is how most failed reproductions of the paper came about, so every tensor is compared with the file.

    Args:
        model: the base model, which is changed.
        folder: with weights and configuration.
        is_trainable: whether it is tuned on.
        source: what errors name, where `folder` holds a copy of it.

    Raises:
        MissingArtifactError: there is no adapter in `folder`.
        DataError: a file is broken or of another model, a tensor was not loaded, a weight is not finite, or all LoRA-A
            or LoRA-B weights are zero, so that the adapter does nothing.
    """
    shown = source or folder / WEIGHTS
    if not (folder / WEIGHTS).exists():
        raise MissingArtifactError(f"{folder / WEIGHTS}: not there; `dvc repro` makes it")
    refuse_pointer(folder / WEIGHTS)
    try:
        stored = load_file(folder / WEIGHTS)
        adapted = PeftModel.from_pretrained(model, str(folder), is_trainable=is_trainable)
    except (*UNREADABLE, ImportError) as error:
        raise DataError(f"{source or folder}: not an adapter of this model: {reason_of(error)}") from error
    if other := [key for key, tensor in stored.items() if not tensor.is_floating_point()]:
        raise DataError(f"{shown}: {other[0]} holds {stored[other[0]].dtype}, expected real numbers")
    if not all(tensor.isfinite().all() for tensor in stored.values()):
        raise DataError(f"{shown}: holds weights that are not finite")
    check_arrived(shown, stored, get_peft_model_state_dict(adapted, state_dict=adapter_weights(adapted)))
    for half in ("lora_B", "lora_A"):  # which are multiplied
        if not any(tensor.any() for key, tensor in stored.items() if half in key):
            name = half.replace("lora_", "LoRA-")
            raise DataError(f"{shown}: all {name} weights are zero; the adapter was saved empty")
    return adapted


def refuse_other_adapter(folder: Path, lora: Lora) -> None:
    """Refuse an adapter from elsewhere that is not there, or not of the shape that is tuned here.

    Raises:
        DataError: a file is missing, or a value of `adapter_config.json` is not that of section `lora`, or, for what
            that section does not have, the usual one.
    """
    if not (folder / WEIGHTS).exists() and not (folder / PICKLED).exists():
        raise DataError(f"instruct.adapter: expected {folder / WEIGHTS} or {PICKLED}: missing")
    path = folder / CONFIG
    try:
        for name in (WEIGHTS, PICKLED, CONFIG):
            refuse_pointer(folder / name)
        config = json.loads(path.read_text(encoding="utf-8"))
    except DataError as error:
        raise DataError(f"instruct.adapter: {error}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"instruct.adapter: expected {path}: {error.__class__.__name__}: {reason_of(error)}") from None
    if not isinstance(config, dict):
        raise DataError(f"instruct.adapter: expected {path}: an object, got {type(config).__name__}")
    expected = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": lora.rank,
        "lora_alpha": lora.alpha,
        "lora_dropout": lora.dropout,
        "target_modules": sorted(lora.target_modules),
    }
    for name, value in expected.items():
        found = config.get(name)
        if (sorted(map(str, found)) if isinstance(found, list) else found) != value:
            raise DataError(f"instruct.adapter: {path}: {name} is {found!r:.80}, expected {value!r} as in section lora")
    usual = LoraConfig().to_dict()
    for name, found in config.items():  # some would change the weights of the base model, or add others to train
        if name in FREE_TEXTS:
            if not isinstance(found, str | bool | None):
                raise DataError(f"instruct.adapter: {path}: {name} is {found!r:.80}, expected text or null")
        elif name not in expected and found and found != usual.get(name):
            raise DataError(f"instruct.adapter: {path}: {name} is {found!r:.80}, expected {usual.get(name)!r}")


def save_adapter(model: PeftModel, folder: Path) -> None:
    """Write the adapter as safetensors, without the model card that PEFT adds.

    Raises:
        DataError: a weight is not finite, the disk is full, or the folder cannot be written for another reason.
    """
    weights = adapter_weights(model)
    n_broken = sum(not tensor.isfinite().all() for tensor in weights.values())
    if n_broken:
        raise DataError(
            f"{folder}: {n_broken} of {len(weights)} tensors of the adapter hold weights that are not finite"
        )
    with writing(folder):
        model.save_pretrained(str(folder), safe_serialization=True, state_dict=weights)
        (folder / "README.md").unlink(missing_ok=True)
        config = json.loads((folder / CONFIG).read_text())
        config["base_model_name_or_path"] = None
        config["target_modules"] = sorted(config["target_modules"])  # a set to PEFT, in another order in each process
        (folder / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def adapter_weights(model: PeftModel) -> dict[str, torch.Tensor]:
    """The weights of the adapter by name, for PEFT to store: left to itself it puts a base model in shards together."""
    return {name: parameter.detach() for name, parameter in model.named_parameters() if "lora_" in name}


def check_arrived(path: Path, stored: Mapping[str, torch.Tensor], loaded: Mapping[str, torch.Tensor]) -> None:
    """Refuse a model whose tensors are not those of the file at `path`.

    Raises:
        DataError: a tensor is missing or differs.
    """
    unlike = [
        key
        for key, tensor in stored.items()
        if key not in loaded or not torch.equal(loaded[key].cpu().to(tensor), tensor)
    ]
    if unlike:
        raise DataError(f"{path}: {len(unlike)} of {len(stored)} tensors did not reach the model, e.g. {unlike[0]}")
    if missing := sorted(loaded.keys() - stored.keys()):
        n_lost = f"{len(missing)} of {len(loaded)} tensors did not reach the model"
        raise DataError(f"{path}: {n_lost}, since the file lacks them, e.g. {missing[0]}")
