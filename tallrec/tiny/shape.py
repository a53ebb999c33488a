"""The shape of the tiny LLaMA."""

from dataclasses import dataclass, fields
from typing import Any

from transformers import LlamaConfig


@dataclass(frozen=True, slots=True)
class TinyModel:
    """Shape of the tiny LLaMA."""

    vocabulary_size: int
    hidden_size: int
    intermediate_size: int
    n_layers: int
    n_heads: int
    max_positions: int


def shape_in(section: Any) -> TinyModel:
    """The shape that an object has, such as section `base` of `params.yaml`, under the same names."""
    return TinyModel(**{field.name: getattr(section, field.name) for field in fields(TinyModel)})


def tiny_config(shape: TinyModel, n_tokens: int, **special: Any) -> LlamaConfig:
    """The architecture of `shape` for a tokenizer of `n_tokens`; `special` holds its special ids."""
    return LlamaConfig(
        vocab_size=n_tokens,
        hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size,
        num_hidden_layers=shape.n_layers,
        num_attention_heads=shape.n_heads,
        max_position_embeddings=shape.max_positions,
        tie_word_embeddings=True,
        **special,
    )
