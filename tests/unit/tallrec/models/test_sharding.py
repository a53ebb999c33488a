"""Models in shards, as far as one process can tell; `tests/pipeline/test_sharded_models.py` has two."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM

from benchmark.errors import ConfigError
from tallrec.models import sharding
from tallrec.models.adapters import Lora, adapter_weights, trainable_adapter, write_fresh_start
from tallrec.models.sharding import held_bytes, in_step, is_sharded, refuse_whole_layers

LORA = Lora(2, 4, 0.0, ("q_proj", "v_proj"))
NewModel = Callable[..., LlamaForCausalLM]


def test_all_processes_share_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: None)
    monkeypatch.setattr(sharding, "n_processes", lambda: 3)
    assert sharding.sharding().fsdp_size == 3


def test_a_torch_for_gpus_without_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"^tune\.sharded: this build of torch is for GPUs, and there is none"):
        sharding.sharding()


def test_a_whole_model_is_held_whole_and_called_as_often_as_one_likes(new_tiny_model: NewModel) -> None:
    model = new_tiny_model()
    calls: list[None] = []
    model.register_forward_hook(lambda *_: calls.append(None))
    with in_step(model):
        model(input_ids=torch.tensor([[1, 2]]))
    assert len(calls) == 1
    assert not is_sharded(model)
    assert held_bytes(model) == 4 * model.num_parameters()
    with pytest.raises(ConfigError, match="cannot split the layers of a llama model"):
        refuse_whole_layers(model)


def test_the_weights_to_store_are_those_of_the_adapter(new_tiny_model: NewModel, tmp_path: Path) -> None:
    write_fresh_start(tmp_path)
    model = trainable_adapter(new_tiny_model(), tmp_path, LORA, seed=0)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert set(adapter_weights(model)) == trained
    assert len(trained) == 2 * 2 * 2
