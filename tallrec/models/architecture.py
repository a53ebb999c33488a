"""A causal LM by its architecture alone, without a download: empty, to foretell memory, or with random weights.

Random weights cost the same memory and time as trained ones and rank nothing.
"""

from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import replace

import torch
from peft import PeftModel
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel, set_seed

from benchmark.errors import ConfigError, DataError, reason_of
from tallrec.models.loading_settings import Loading
from tallrec.models.quantized_layers import quantize

POSITIONS = ("max_position_embeddings", "max_seq_len")
"""Keys of an architecture that tell its positions; transformers gives most other names the first one too."""


def config_of(source: str, revision: str | None = None) -> PreTrainedConfig:
    """The architecture of a Hub model, or of a folder that holds `config.json`; no weight is looked for.

    Raises:
        DataError: there is none, or its code is not in transformers.
    """
    try:
        return AutoConfig.from_pretrained(source, revision=revision, trust_remote_code=False)
    except Exception as error:  # whatever a class of transformers raises of a value that it does not check
        raise DataError(f"llm.model: no architecture of {source!r}: {reason_of(error)}") from error


def positions_of(model: PreTrainedModel | PeftModel) -> int | None:
    """Most tokens that `model` has positions for; None where its architecture names no limit."""
    return _positions(model.config)


def refuse_few_positions(config: PreTrainedConfig, max_length: int, key: str = "llm.max_length") -> None:
    """Refuse a model that rows of `max_length` tokens do not fit into: with learned positions they end it.

    Args:
        config: of the model.
        max_length: tokens of a row.
        key: where `params.yaml` says how many, for errors.

    Raises:
        ConfigError: it has fewer positions.
    """
    n_positions = _positions(config)
    if n_positions is not None and n_positions < max_length:
        raise ConfigError(f"{key}: {max_length} is more than the {n_positions} positions of llm.model")


def refuse_unknown_tokens(model: PreTrainedModel | PeftModel, rows: Iterable[Sequence[int]]) -> None:
    """Refuse tokens that `model` has no embedding for, such as those that were added to the tokenizer alone.

    Raises:
        DataError: there is one.
    """
    n_known = getattr(model.get_input_embeddings(), "num_embeddings", None)
    highest = max((max(row, default=0) for row in rows), default=0)
    if n_known is not None and highest >= n_known:
        raise DataError(f"tokenizer: token {highest} is none of the {n_known} that the model has embeddings for")


def _positions(config: PreTrainedConfig) -> int | None:
    config = config.get_text_config()
    found = [getattr(config, name, None) for name in POSITIONS]
    return next((n_positions for n_positions in found if isinstance(n_positions, int) and n_positions > 0), None)


def empty_model(config: PreTrainedConfig, loading: Loading) -> PreTrainedModel:
    """The model on torch's device `meta`: shapes and types, and no memory.

    Raises:
        DataError: `config` is that of no causal language model, or has an impossible value.
    """
    try:
        with torch.device("meta"):
            model = _built(config, loading)
            quantize(model, loading, is_empty=True)
    except RuntimeError as error:  # of a shape: there is no memory that could be short
        raise DataError(f"llm.model: its config.json makes no language model: {reason_of(error)}") from error
    return model.eval()


def random_model(config: PreTrainedConfig, loading: Loading, *, seed: int, device: str) -> PreTrainedModel:
    """The model with random weights on `device`, quantized layer by layer there.

    Args:
        config: the architecture.
        loading: type of the weights, their quantization, and the attention kernel.
        seed: of the weights.
        device: of torch; until the last layer is quantized it also holds what is left of the full weights.

    Raises:
        DataError: as `empty_model`.
    """
    empty_model(config, replace(loading, quantization="none"))
    set_seed(seed)
    with torch.device(device):
        model = _built(config, loading)
    quantize(model, loading, is_empty=False)
    return model.eval()


def _built(config: PreTrainedConfig, loading: Loading) -> PreTrainedModel:
    """The model on the device that torch makes tensors on.

    Raises:
        DataError: `config` is that of no causal language model, or has an impossible value.
    """
    try:
        return AutoModelForCausalLM.from_config(
            deepcopy(config), dtype=getattr(torch, loading.dtype), attn_implementation=loading.attention
        )
    except (AssertionError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError, ImportError) as error:
        raise DataError(f"llm.model: its config.json makes no language model: {reason_of(error)}") from error
