"""The loss of a causal LM from the logits that it needs, and no others.

transformers computes the logits of every position, which of a prompt of 300 tokens is 100 times what a loss on the
answer needs, and the most expensive part of a small model with a large vocabulary.
"""

from typing import Any, cast

import torch
from peft import PeftModel
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from tallrec.models.output_layer import HALF, logits_are_linear, output_layer, output_layer_reads
from tallrec.scoring.prefix import SHORTEST, beginning_can_be_kept, is_plain
from tallrec.training.cross_entropy import SummedCrossEntropy
from tallrec.training.rows import IGNORED

LOGITS = 2**24
"""Most logits that exist at a time (64 MiB in float32); a loss on more positions takes them in turns."""


def drops_out(model: PreTrainedModel | PeftModel) -> bool:
    """Whether two rows that begin alike are computed differently in training."""
    layers = any(isinstance(layer, nn.Dropout) and layer.p > 0 for layer in model.modules())
    settings = model.config.get_text_config().to_dict().items()
    return layers or any(isinstance(value, float) and value > 0 for name, value in settings if "drop" in name)


class LabelledLoss:
    """The loss that transformers computes, from the logits of positions with a label alone.

    Where the logits are linear (`logits_are_linear`, unless it is known), they exist for a few positions at a time.
    With `shares_beginning`, what all rows of a batch begin with is computed once where that is exact: where nothing is
    dropped out, since dropout is drawn for every position of every row. Where there is nothing to save, because most
    positions have a label and all logits are few, the loss is left to transformers: not even a rounding differs then.
    It would round a model in double precision, whose loss is therefore always computed here. So is that of a model that
    cannot divide by the labels of an update (`is_divided_by_model`), e.g. Gemma 3n.
    """

    def __init__(
        self,
        model: PreTrainedModel | PeftModel,
        *,
        is_linear: bool | None = None,
        shares_beginning: bool = False,
        is_divided_by_model: bool = True,
    ) -> None:
        self.model = model
        self.is_divided_by_model = is_divided_by_model
        self.is_linear = logits_are_linear(model) if is_linear is None else is_linear
        self.shares_beginning = shares_beginning and beginning_can_be_kept(model) and not drops_out(model)

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
        n_rows, n_shared = len(labels), self._n_shared(forward, input_ids, labels)
        is_known_to_model = num_items_in_batch is None or self.is_divided_by_model
        if not n_shared and is_known_to_model and self._needs_few_logits(labels):
            n_items = {} if num_items_in_batch is None else {"num_items_in_batch": num_items_in_batch}
            return forward(input_ids=input_ids, labels=labels, use_cache=False, **n_items).loss
        total, n_labels, known = 0.0, 0, {}
        if n_shared:
            beginning = input_ids[:1, :n_shared], labels[:1, : n_shared + 1]
            found, n_found, cache = self._summed(forward, *beginning, use_cache=True)
            if is_plain(cache, n_shared):
                total, n_labels = n_rows * found, n_rows * n_found
                cache.batch_repeat_interleave(n_rows)
                known = {"past_key_values": cache, "use_cache": True}
                input_ids, labels = input_ids[:, n_shared:], labels[:, n_shared:]
            else:
                self.shares_beginning = False
        found, n_found, _ = self._summed(forward, input_ids, labels, **(known or {"use_cache": False}))
        return (total + found) / (n_labels + n_found if num_items_in_batch is None else num_items_in_batch)

    def _n_shared(self, forward: nn.Module, input_ids: Tensor, labels: Tensor) -> int:
        """How many first tokens to compute once for all rows."""
        if not self.shares_beginning or forward is not self.model or len(labels) == 1:
            return 0
        is_alike = ((input_ids == input_ids[:1]) & (labels == labels[:1])).all(dim=0)
        n_shared = int(is_alike.cumprod(dim=0).sum()) - 1  # the last one predicts what differs
        return n_shared if n_shared >= SHORTEST else 0

    def _needs_few_logits(self, labels: Tensor) -> bool:
        if self.model.dtype == torch.float64:
            return False
        n_logits = labels.numel() * self.model.config.get_text_config().vocab_size
        return n_logits <= LOGITS and 2 * int((labels != IGNORED).sum()) > labels.numel()

    def _summed(
        self, forward: nn.Module, input_ids: Tensor, labels: Tensor, **settings: Any
    ) -> tuple[Tensor, int, Any]:
        """Summed cross entropy, the number of labels, and what the model keeps of these tokens."""
        rows, places = (labels[:, 1:] != IGNORED).nonzero(as_tuple=True)
        targets = labels[rows, places + 1].to(input_ids.device)
        sums: list[Tensor] = []

        def choose(hidden: Tensor) -> Tensor:
            chosen = hidden[rows, places]
            if not self.is_linear and len(targets):
                return chosen[None]
            # Inside the model's forward, so that what wraps it (precision, devices) covers the loss too.
            sums.append(self._in_turns(chosen, targets) if len(targets) else chosen.sum())
            return hidden[0, :0]  # two dimensions, or torch would copy the whole transposed output layer

        with output_layer_reads(self.model, choose):
            output = forward(input_ids=input_ids, **settings)
        if not sums:
            sums.append(functional.cross_entropy(output.logits[0].float(), targets, reduction="sum"))
        return sums[0], len(targets), getattr(output, "past_key_values", None)

    def _in_turns(self, hidden: Tensor, targets: Tensor) -> Tensor:
        head = output_layer(self.model)
        weight, bias = cast("Tensor", head.weight), cast("Tensor | None", head.bias)
        hidden, n_at_a_time = hidden.to(weight.dtype), max(1, LOGITS // weight.shape[0])
        if hidden.dtype in HALF and len(hidden) <= n_at_a_time:
            # Few logits: at once, since torch's way in turns would copy the output layer for its second pass.
            return functional.cross_entropy(functional.linear(hidden, weight, bias).float(), targets, reduction="sum")
        if hidden.dtype == torch.bfloat16 and not any(part.requires_grad for part in head.parameters()):
            return SummedCrossEntropy.apply(hidden, weight, bias, targets, n_at_a_time)
        # The mean takes the precision of the model; in half precision it is left to a sum in float32, for which the
        # gradient is computed in a second pass, as scaled as a loss in float16 needs it.
        reduction = "mean" if hidden.dtype in (torch.float32, torch.float64) else "none"
        options = nn.LinearCrossEntropyOptions(chunking_method=None, batch_chunk_size=n_at_a_time)
        losses = functional.linear_cross_entropy(
            hidden, weight, targets, linear_bias=bias, reduction=reduction, options=options
        )
        return losses.float().mean() * len(targets)
