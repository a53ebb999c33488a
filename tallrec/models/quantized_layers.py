"""The layers of bitsandbytes in a model that was not loaded from a file, as transformers would have put them there."""

from collections.abc import Iterable
from typing import Any, cast

import bitsandbytes.nn
import torch
from bitsandbytes.functional import QuantState
from torch import nn
from transformers import PreTrainedModel
from transformers.quantizers.auto import AutoHfQuantizer

from tallrec.models.loading_settings import Loading, quantization_config

LAYERS: Any = bitsandbytes.nn
"""The layers of bitsandbytes, whose types it does not export."""
BLOCK = 64
"""Weights that share a scale in 4 bits (the default of bitsandbytes)."""
OUTLIERS = 6.0
"""Inputs above this are multiplied in half precision (the default of transformers); an empty model has none."""


def quantize(model: PreTrainedModel, loading: Loading, *, is_empty: bool) -> None:
    """Put the layers of bitsandbytes where transformers puts them: everywhere but in the output layer."""
    if loading.quantization == "none":
        return
    head = model.get_output_embeddings()
    for name, layer in list(model.named_modules()):
        if type(layer) is nn.Linear and layer is not head:
            made = _layer(layer, loading, threshold=0.0 if is_empty else OUTLIERS)
            (_fill_empty if is_empty else _fill)(made, layer, loading)
            made.bias = layer.bias
            model.set_submodule(name, made)
    leave_unpacked(model)
    # What transformers' loader leaves, and what PEFT and the Trainer ask for.
    model.hf_quantizer = AutoHfQuantizer.from_config(quantization_config(loading))  # pyright: ignore[reportAttributeAccessIssue, reportArgumentType]
    setattr(model, f"is_loaded_in_{loading.quantization}", True)
    setattr(model, "is_quantized", True)  # noqa: B010  # no attribute of the class, set by transformers' loader


def leave_unpacked(model: PreTrainedModel) -> None:
    """Keep bitsandbytes from packing 4-bit weights anew at the first evaluation, as it does on CPUs with AVX512-BF16.

    The second scoring would differ from the first, and no gradient would pass through packed weights.
    """
    for layer in cast("Iterable[Any]", model.modules()):
        if hasattr(layer, "support_avx512bf16_for_cpu"):
            layer.support_avx512bf16_for_cpu = False


def is_left_whole(layer: Any) -> bool:
    """Whether a layer of bitsandbytes, as it was loaded, has weights that are not quantized: it cannot be computed."""
    kept = {LAYERS.Linear4bit: "quant_state", LAYERS.Linear8bitLt: "CB"}.get(type(layer))
    return kept is not None and getattr(layer.weight, kept, None) is None


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
