"""Logits where an answer begins: one forward pass a prompt, no decoding."""

from collections.abc import Callable, Sequence

import torch
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel
from transformers.cache_utils import DynamicCache

from tallrec.models.architecture import refuse_unknown_tokens
from tallrec.models.output_layer import evaluating, output_layer_in_single_precision, output_layer_reads
from tallrec.scoring.batches import batches_by_tokens
from tallrec.scoring.prefix import SharedPrefix


def as_they_are(logits: Tensor) -> Tensor:
    """All of the logits."""
    return logits


def logits_at(
    model: PreTrainedModel | PeftModel,
    rows: Sequence[Sequence[int]],
    places: tuple[Tensor, Tensor],
    cache: DynamicCache | None,
) -> Tensor:
    """Logits behind some tokens of a batch, float32, shape (n, vocabulary): no others go through the output layer.

    Args:
        model: a causal LM.
        rows: token ids, padded here on the right: attention is causal, so the padding changes nothing.
        places: of each token, the number of its row and its position there; both of shape (n,).
        cache: keys and values of what stands before the rows; None: nothing does.
    """
    longest = max(len(row) for row in rows)
    padded = [[*row, *[0] * (longest - len(row))] for row in rows]
    known = {"use_cache": False} if cache is None else {"past_key_values": cache, "use_cache": True}
    with output_layer_reads(model, lambda hidden: hidden[places][None]):
        return model(input_ids=torch.tensor(padded, device=model.device), **known).logits[0].float()


def last_logits(
    model: PreTrainedModel | PeftModel,
    prompts: Sequence[Sequence[int]],
    batch_tokens: int,
    read: Callable[[Tensor], Tensor] = as_they_are,
) -> Tensor:
    """Logits of the token that would follow each prompt, or what `read` makes of them; on the CPU.

    Prompts are batched by length. What those of a batch begin with alike is computed once. Only the last position goes
    through the output layer, which multiplies in single precision where the model is in half.

    Args:
        model: a causal LM.
        prompts: token ids, at least one each.
        batch_tokens: most tokens of a batch, padding and common beginning included.
        read: from the logits of a batch, shape (n, vocabulary), float32, to what is kept of them, shape (n, ...). A
            large vocabulary makes the logits of a thousand prompts larger than a small model.

    Raises:
        DataError: the model has no embedding for a token.
    """
    refuse_unknown_tokens(model, prompts)
    found: list[Tensor] = [torch.empty(0)] * len(prompts)
    prefix = SharedPrefix(model)
    with evaluating(model), output_layer_in_single_precision(model):
        for batch in batches_by_tokens([len(prompt) for prompt in prompts], batch_tokens):
            whole = [list(prompts[position]) for position in batch]
            n_shared, cache = prefix.of(whole)
            rows = [prompt[n_shared:] for prompt in whole]
            last = (torch.arange(len(rows)), torch.tensor([len(row) - 1 for row in rows]))
            for position, row in zip(batch, read(logits_at(model, rows, last, cache)).cpu(), strict=True):
                found[position] = row
    return torch.stack(found) if found else read(torch.empty((0, model.config.get_text_config().vocab_size)))
