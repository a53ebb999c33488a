"""The loss of a causal LM from the logits that it needs, and no others.

transformers computes the logits of every position, which of a prompt of 300 tokens is 100 times what a loss on the
answer needs, and the most expensive part of a small model with a large vocabulary.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

import torch
from peft import PeftModel
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from tallrec.encoding import IGNORED

LOGITS = 2**24
"""Most logits that exist at a time (64 MiB in float32); a loss on more positions takes them in turns."""


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


@contextmanager
def output_layer_reads(model: PreTrainedModel | PeftModel, choose: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Within this context the output layer of `model` gets `choose(hidden)` in place of all last hidden states.

    Whatever a family does with its logits afterwards (cap, scale) it does with those that are left.
    """
    handle = _output_layer(model).register_forward_pre_hook(lambda _, inputs: (choose(inputs[0]), *inputs[1:]))
    try:
        yield
    finally:
        handle.remove()


def logits_are_linear(model: PreTrainedModel | PeftModel) -> bool:
    """Whether logits are the last hidden states times one matrix: not capped, scaled, adapted or quantized.

    It is measured on a few tokens, since each family may have its own way.
    """
    head, seen = _output_layer(model), []

    def keep(hidden: Tensor) -> Tensor:
        seen.append(hidden)
        return hidden

    if type(head) is not nn.Linear:
        return False
    with evaluating(model), output_layer_reads(model, keep):
        logits = model(input_ids=torch.arange(8, device=model.device)[None], use_cache=False).logits
        return torch.equal(logits, functional.linear(seen[0], head.weight, head.bias))


class LabelledLoss:
    """The loss that transformers computes, from the logits of positions with a label alone.

    Where the logits are linear (`logits_are_linear`, unless it is known), they exist for a few positions at a time.
    """

    def __init__(self, model: PreTrainedModel | PeftModel, *, is_linear: bool | None = None) -> None:
        self.model = model
        self.is_linear = logits_are_linear(model) if is_linear is None else is_linear

    def __call__(
        self, forward: nn.Module, *, input_ids: Tensor, labels: Tensor, num_items_in_batch: Tensor | None = None
    ) -> Tensor:
        """Cross entropy of the labels, summed and divided by their number, or by that of the whole update.

        Args:
            forward: the model, or what wraps it to train on several devices.
            input_ids: shape (n_rows, longest).
            labels: as `input_ids`; `IGNORED` where there is no loss.
            num_items_in_batch: labels of the update that these rows are a part of.
        """
        rows, places = (labels[:, 1:] != IGNORED).nonzero(as_tuple=True)
        targets = labels[rows, places + 1].to(input_ids.device)
        means: list[Tensor] = []

        def choose(hidden: Tensor) -> Tensor:
            chosen = hidden[rows, places]
            if not self.is_linear:
                return chosen[None]
            # Inside the model's forward, so that what wraps it (precision, devices) covers the loss too.
            means.append(self._in_turns(chosen, targets))
            return chosen[None, :1]

        with output_layer_reads(self.model, choose):
            logits = forward(input_ids=input_ids, use_cache=False).logits
        if not self.is_linear:
            means.append(functional.cross_entropy(logits[0].float(), targets))
        mean = means[0]
        return mean if num_items_in_batch is None else mean * (len(targets) / num_items_in_batch)

    def _in_turns(self, hidden: Tensor, targets: Tensor) -> Tensor:
        head = _output_layer(self.model)
        weight, bias = cast("Tensor", head.weight), cast("Tensor | None", head.bias)
        options = nn.LinearCrossEntropyOptions(chunking_method=None, batch_chunk_size=max(1, LOGITS // weight.shape[0]))
        hidden = hidden.to(weight.dtype)
        # The mean takes the precision of the model; in half precision it is left to a sum in float32, for which the
        # gradient is computed in a second pass.
        reduction = "mean" if hidden.dtype == torch.float32 else "none"
        losses = functional.linear_cross_entropy(
            hidden, weight, targets, linear_bias=bias, reduction=reduction, options=options
        )
        return losses.float().mean()


def _output_layer(model: PreTrainedModel | PeftModel) -> nn.Module:
    head = model.get_output_embeddings()
    assert head is not None, "a causal LM has an output layer"
    return head
