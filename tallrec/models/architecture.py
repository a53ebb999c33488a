"""A causal LM by its architecture alone, without a download: empty, to foretell memory, or with random weights.

Random weights cost the same memory and time as trained ones and rank nothing.
"""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import bitsandbytes.nn
import torch
from bitsandbytes.functional import QuantState
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, PreTrainedConfig, PreTrainedModel, set_seed
from transformers.quantizers.auto import AutoHfQuantizer

from benchmark.errors import DataError
from tallrec.models.loading import Loading, quantization_config

LAYERS: Any = bitsandbytes.nn
"""The layers of bitsandbytes, whose types it does not export."""
BLOCK = 64
"""Weights that share a scale in 4 bits (the default of bitsandbytes)."""
OUTLIERS = 6.0
"""Inputs above this are multiplied in half precision (the default of transformers); an empty model has none."""


@dataclass(frozen=True, slots=True)
class TinyModel:
    """Shape of the tiny LLaMA."""

    vocabulary_size: int
    hidden_size: int
    intermediate_size: int
    n_layers: int
    n_heads: int
    max_positions: int


def config_of(source: str, revision: str | None = None) -> PreTrainedConfig:
    """The architecture of a Hub model, or of a folder that holds `config.json`; no weight is looked for.

    Raises:
        DataError: there is none, or its code is not in transformers.
    """
    try:
        return AutoConfig.from_pretrained(source, revision=revision, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise DataError(f"llm.model: no architecture of {source!r}: {str(error).splitlines()[0]}") from error


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


def empty_model(config: PreTrainedConfig, loading: Loading) -> PreTrainedModel:
    """The model on torch's device `meta`: shapes and types, and no memory."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(
            deepcopy(config), dtype=getattr(torch, loading.dtype), attn_implementation=loading.attention
        )
        _quantize(model, loading, is_empty=True)
    return model.eval()


def random_model(config: PreTrainedConfig, loading: Loading, *, seed: int, device: str) -> PreTrainedModel:
    """The model with random weights on `device`, quantized layer by layer there.

    Args:
        config: the architecture.
        loading: type of the weights, their quantization, and the attention kernel.
        seed: of the weights.
        device: of torch; until the last layer is quantized it also holds what is left of the full weights.
    """
    set_seed(seed)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(
            deepcopy(config), dtype=getattr(torch, loading.dtype), attn_implementation=loading.attention
        )
    _quantize(model, loading, is_empty=False)
    return model.eval()


def _quantize(model: PreTrainedModel, loading: Loading, *, is_empty: bool) -> None:
    """Put the layers of bitsandbytes where transformers puts them: everywhere but in the output layer."""
    if loading.quantization == "none":
        return
    head = model.get_output_embeddings()
    for name, layer in list(model.named_modules()):
        if type(layer) is nn.Linear and layer is not head:
            made = _layer(layer, loading, threshold=0.0 if is_empty else OUTLIERS)
            (_fill_empty if is_empty else _fill)(made, layer, loading)
            model.set_submodule(name, made)
    # What transformers' loader leaves, and what PEFT and the Trainer ask for.
    model.hf_quantizer = AutoHfQuantizer.from_config(quantization_config(loading))  # pyright: ignore[reportAttributeAccessIssue, reportArgumentType]
    setattr(model, f"is_loaded_in_{loading.quantization}", True)
    setattr(model, "is_quantized", True)  # noqa: B010  # no attribute of the class, set by transformers' loader


def _layer(layer: nn.Linear, loading: Loading, threshold: float) -> Any:
    shape = (layer.in_features, layer.out_features)
    has_bias = layer.bias is not None
    with torch.device("meta"):
        if loading.quantization == "8bit":
            return LAYERS.Linear8bitLt(*shape, has_bias, has_fp16_weights=False, threshold=threshold)
        return LAYERS.Linear4bit(
            *shape, has_bias, compute_dtype=getattr(torch, loading.dtype), quant_type="nf4", compress_statistics=False
        )


def _fill(made: Any, layer: nn.Linear, loading: Loading) -> None:
    """Quantize the weights of `layer`; bitsandbytes does so on the way from the CPU to their device."""
    kept: dict[str, Any] = {"has_fp16_weights": False}
    if loading.quantization == "4bit":
        kept = {"quant_type": "nf4", "compress_statistics": False}
    made.weight = type(made.weight)(layer.weight.detach().cpu(), requires_grad=False, **kept).to(layer.weight.device)
    made.bias = layer.bias


def _fill_empty(made: Any, layer: nn.Linear, loading: Loading) -> None:
    """What quantizing would leave: 8 bits a weight and a scale a row, or 4 bits and a scale a block."""
    n_rows, n_columns = layer.weight.shape
    if loading.quantization == "8bit":
        codes, scales = torch.empty(n_rows, n_columns, dtype=torch.int8), torch.empty(n_rows)
        made.weight = LAYERS.Int8Params(codes, requires_grad=False, has_fp16_weights=False, CB=codes, SCB=scales)
        made.state.CB, made.state.SCB = codes, scales
        return
    scales = torch.empty(n_rows * n_columns // BLOCK)
    state = QuantState(
        absmax=scales,
        shape=torch.Size((n_rows, n_columns)),
        code=torch.empty(16),
        blocksize=BLOCK,
        quant_type="nf4",
        dtype=getattr(torch, loading.dtype),
    )
    codes = torch.empty(n_rows * n_columns // 2, 1, dtype=torch.uint8)
    made.weight = LAYERS.Params4bit(
        codes, requires_grad=False, quant_state=state, blocksize=BLOCK, quant_type="nf4", bnb_quantized=True
    )
    made.quant_state = state
