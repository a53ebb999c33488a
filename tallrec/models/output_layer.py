"""The output layer of a causal LM, shown only what is needed of the last hidden states."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

import torch
from peft import PeftModel
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

HALF = (torch.float16, torch.bfloat16)
N_WEIGHTS = 2**20
"""Weights of the output layer that are held in single precision at a time: few enough for a processor's cache."""


def output_layer(model: PreTrainedModel | PeftModel) -> nn.Module:
    """The layer from hidden states to logits."""
    head = model.get_output_embeddings()
    assert head is not None, "a causal LM has an output layer"
    return head


@contextmanager
def output_layer_reads(model: PreTrainedModel | PeftModel, choose: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Within this context the output layer of `model` gets `choose(hidden)` in place of all last hidden states.

    Whatever a family does with its logits afterwards (cap, scale) it does with those that are left.
    """
    handle = output_layer(model).register_forward_pre_hook(lambda _, inputs: (choose(inputs[0]), *inputs[1:]))
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def output_layer_in_single_precision(model: PreTrainedModel | PeftModel) -> Iterator[None]:
    """Within this context the output layer of a model in half precision multiplies in float32 and gives float32.

    Logits in half precision are so coarse that many samples get the same score. What a family does with its logits
    afterwards it then does in float32 too. A layer that is quantized, adapted, or in float32 is left as it is.
    """
    head = output_layer(model)
    if not (type(head).forward is nn.Linear.forward and cast("Tensor", head.weight).dtype in HALF):
        yield
        return
    # In the place of its own product, which a hook could only follow. accelerate does so too, on several GPUs.
    before = vars(head).get("forward")
    head.forward = lambda hidden: _product_in_single_precision(head, hidden)
    try:
        yield
    finally:
        del head.forward
        if before is not None:
            head.forward = before


def _product_in_single_precision(head: nn.Module, hidden: Tensor) -> Tensor:
    """Part by part, since a large vocabulary in float32 would be gigabytes."""
    weight, bias = cast("Tensor", head.weight), cast("Tensor | None", head.bias)
    place = "cpu" if hidden.is_meta else hidden.device.type  # an empty model computes nowhere
    with torch.autocast(place, enabled=False):
        in_turns = weight.split(max(1, N_WEIGHTS // weight.shape[1]))
        parts = [functional.linear(hidden.float(), rows.float()) for rows in in_turns]
    logits = torch.cat(parts, dim=-1)
    return logits if bias is None else logits + bias.float()


@contextmanager
def evaluating(model: PreTrainedModel | PeftModel) -> Iterator[None]:
    """Within this context `model` drops nothing out, so that no random number is drawn, and keeps no gradient."""
    was_training = model.training
    model.eval()
    try:
        # Not inference mode: what a model keeps of this call (a rotation, say) must serve a later training too.
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)


def logits_are_linear(model: PreTrainedModel | PeftModel) -> bool:
    """Whether logits are the last hidden states times one matrix: not capped, scaled, adapted or quantized.

    It is measured on a few tokens, since each family may have its own way.
    """
    head, seen = output_layer(model), []

    def keep(hidden: Tensor) -> Tensor:
        # Here, since the weights of a model in shards are whole only while it is called.
        seen.append(functional.linear(hidden, cast("Tensor", head.weight), cast("Tensor | None", head.bias)))
        return hidden

    if type(head).forward is not nn.Linear.forward:
        return False
    with evaluating(model), output_layer_reads(model, keep):
        logits = model(input_ids=torch.arange(8, device=model.device)[None], use_cache=False).logits
        return torch.equal(logits, seen[0])
