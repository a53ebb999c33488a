"""A causal LM by its architecture alone, without a download: empty, to foretell memory, or with random weights.

Random weights cost the same memory and time as trained ones and rank nothing.
"""

from copy import deepcopy

import torch
from peft import PeftModel
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel, set_seed

from benchmark.errors import DataError
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
    except (OSError, ValueError) as error:
        raise DataError(f"llm.model: no architecture of {source!r}: {str(error).splitlines()[0]}") from error


def positions_of(model: PreTrainedModel | PeftModel) -> int | None:
    """Most tokens that `model` has positions for; None where its architecture names no limit."""
    config = model.config.get_text_config()
    found = [getattr(config, name, None) for name in POSITIONS]
    return next((n_positions for n_positions in found if isinstance(n_positions, int) and n_positions > 0), None)


def empty_model(config: PreTrainedConfig, loading: Loading) -> PreTrainedModel:
    """The model on torch's device `meta`: shapes and types, and no memory."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(
            deepcopy(config), dtype=getattr(torch, loading.dtype), attn_implementation=loading.attention
        )
        quantize(model, loading, is_empty=True)
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
    quantize(model, loading, is_empty=False)
    return model.eval()
