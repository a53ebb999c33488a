"""How a base model is loaded: type and quantization of its weights, threads, attention kernel, shards."""

from dataclasses import dataclass

import torch
from transformers import BitsAndBytesConfig


@dataclass(frozen=True, slots=True)
class Loading:
    """How a model is loaded."""

    dtype: str
    quantization: str
    """`none`, `8bit` or `4bit` (bitsandbytes)."""
    n_threads: int
    """CPU threads of torch, for the whole process."""
    attention: str | None = None
    """Attention kernel, as transformers names it; None: its choice, the fastest that the family has."""
    sharded: bool = False
    """Whether the processes share the weights (`tallrec.models.sharding`), instead of each holding all."""


def quantization_config(loading: Loading) -> BitsAndBytesConfig | None:
    """The bitsandbytes settings of `loading.quantization`; None without quantization."""
    if loading.quantization == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    if loading.quantization == "4bit":
        return BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=getattr(torch, loading.dtype)
        )
    return None
