"""The output layer of a causal LM, shown only what is needed of the last hidden states."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

import torch
from peft import PeftModel
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel


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
