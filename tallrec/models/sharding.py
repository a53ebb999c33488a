"""A base model in shards: each process holds a part of every weight, and a layer is whole only while it is computed.

transformers splits the weights as it reads them (FSDP2). The adapter, which is added afterwards, stays whole in every
process, and so do its gradients and the state of its optimizer.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from peft import PeftModel
from torch import distributed
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel
from transformers.distributed.configuration_utils import DistributedConfig

from benchmark.errors import ConfigError
from tallrec.models.output_layer import evaluating
from tallrec.processes import n_processes


def sharding() -> DistributedConfig:
    """How `from_pretrained` splits the weights: over all processes.

    Raises:
        ConfigError: torch is built for GPUs and there is none; transformers would look for one.
    """
    if torch.accelerator.current_accelerator() is not None and not torch.accelerator.is_available():
        raise ConfigError("tune.sharded: this build of torch is for GPUs, and there is none; take one for CPUs")
    return DistributedConfig(fsdp_size=n_processes())


def is_sharded(model: PreTrainedModel | PeftModel) -> bool:
    """Whether this process holds a part of the weights alone."""
    return any(isinstance(module, FSDPModule) for module in model.modules())


def refuse_whole_layers(model: PreTrainedModel) -> None:
    """Refuse a family whose layers transformers does not split one by one: all would be put together at a time.

    Raises:
        ConfigError: it is one.
    """
    n_split = sum(isinstance(module, FSDPModule) for module in model.modules())
    if n_split <= model.config.get_text_config().num_hidden_layers:
        raise ConfigError(f"tune.sharded: transformers cannot split the layers of a {model.config.model_type} model")


def held_bytes(model: PreTrainedModel | PeftModel) -> int:
    """Bytes of the parameters that this process holds."""
    parameters = [found.to_local() if isinstance(found, DTensor) else found for found in model.parameters()]
    return sum(found.nbytes for found in parameters)


@contextmanager
def in_step(model: PreTrainedModel | PeftModel) -> Generator[None]:
    """Within this context each process calls `model` as often as it likes, without gradients.

    All of them take part in each call of a model in shards, so those that are done call it on one token until the last
    one is. A block that raises leaves at once: the launcher ends the others.
    """
    if not is_sharded(model):
        yield
        return

    def any_calls(calls: bool) -> bool:
        """Whether any process is about to call the model."""
        number = torch.tensor(float(calls))
        distributed.all_reduce(number, distributed.ReduceOp.MAX)
        return bool(number)

    def announce(*_: Any) -> None:
        any_calls(True)

    handle = model.register_forward_pre_hook(announce)
    try:
        yield
    finally:
        handle.remove()
    with evaluating(model):
        while any_calls(False):
            model(input_ids=torch.zeros((1, 1), dtype=torch.long, device=model.device), use_cache=False)
