"""What prompts have in common at their beginning, computed once: its keys and values serve all prompts of a batch.

Every prompt of a task begins with the same template, and with the same demonstrations where there are any.
"""

from collections.abc import Sequence
from copy import deepcopy
from typing import TypeGuard

import torch
from peft import PeftModel
from transformers import PreTrainedModel
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from tallrec.models.output_layer import output_layer_reads
from tallrec.token_sequences import n_shared

TURNS_WITH_LENGTH = ("dynamic", "longrope")
"""Rotary embeddings that turn all positions by the length of the whole prompt."""

KEYS_AND_VALUES = (DynamicLayer, DynamicSlidingWindowLayer)
"""Layers of a cache that hold nothing else; classes derived from them hold, say, a recurrent state beside these."""

SHORTEST = 16
"""Tokens of a beginning that is worth a call of its own."""


def common_beginning(prompts: Sequence[list[int]]) -> list[int]:
    """The tokens that all prompts begin with."""
    first, last = min(prompts), max(prompts)  # of a sorted list, the two that have the least in common
    return first[: n_shared(first, last)]


def beginning_can_be_kept(model: PreTrainedModel | PeftModel) -> bool:
    """Whether what a model computes of the first positions is the same whatever follows them."""
    rotation = str(getattr(model.config.get_text_config(), "rope_parameters", None))
    return not any(kind in rotation for kind in TURNS_WITH_LENGTH)


def is_plain(cache: object, n_tokens: int) -> TypeGuard[DynamicCache]:
    """Whether a model keeps of `n_tokens` tokens their keys and values and nothing else; it may also keep nothing."""
    if not isinstance(cache, DynamicCache):
        return False
    return all(type(layer) in KEYS_AND_VALUES for layer in cache.layers) and cache.get_seq_length() == n_tokens


class SharedPrefix:
    """Keys and values of the last common prefix, kept from batch to batch as long as that pays.

    Attention is causal, so they do not depend on what follows. A model that keeps anything else, as one with
    recurrent layers does, or whose first positions depend on the length, computes every prompt whole.
    """

    def __init__(self, model: PreTrainedModel | PeftModel) -> None:
        self.model = model
        self.ids: list[int] = []
        self.cache: DynamicCache | None = None
        self.is_possible = beginning_can_be_kept(model)

    def of(self, prompts: Sequence[list[int]]) -> tuple[int, DynamicCache | None]:
        """How many first tokens of each prompt are computed already, and their keys and values for every prompt.

        At least the last token of each prompt is left. To be called where no gradient is kept.
        """
        shared = common_beginning(prompts)[: min(len(prompt) for prompt in prompts) - 1]
        n_held = len(self.ids) if shared[: len(self.ids)] == self.ids else 0
        is_saving = len(prompts) * (len(shared) - n_held) > len(shared) >= SHORTEST
        if self.is_possible and is_saving:
            n_held = self._hold(shared)
        if not n_held:
            return 0, None
        cache = deepcopy(self.cache)
        assert cache is not None
        cache.batch_repeat_interleave(len(prompts))
        return n_held, cache

    def _hold(self, ids: list[int]) -> int:
        """Compute and keep the prefix `ids`; how many of its tokens can be used."""
        input_ids = torch.tensor([ids], device=self.model.device)
        with output_layer_reads(self.model, lambda hidden: hidden[:, :1]):
            cache = getattr(self.model(input_ids=input_ids, use_cache=True), "past_key_values", None)
        self.is_possible = is_plain(cache, len(ids))
        self.ids, self.cache = (ids, cache) if is_plain(cache, len(ids)) else ([], None)
        return len(self.ids)
