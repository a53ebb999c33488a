"""A tiny random model of each family of causal LMs that a test compares with plain transformers."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SHAPE = {
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
# Each differs from LLaMA in what can go wrong: windows shorter than a prompt, capped or scaled logits, a bias in the
# output layer, other norms and rotations.
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {},
    "mistral": {"sliding_window": 8},
    "qwen2": {"tie_word_embeddings": True},
    "qwen3": {"head_dim": 8},
    "gemma": {"head_dim": 8},
    "gemma2": {
        "head_dim": 8,
        "sliding_window": 8,
        "query_pre_attn_scalar": 8,
        "final_logit_softcapping": 0.3,
    },
    "gemma3_text": {"head_dim": 8, "sliding_window": 8},
    "phi": {"num_key_value_heads": 4},
    "phi3": {"sliding_window": 8},
    "cohere": {},
    "granite": {"logits_scaling": 3.0},
}


@pytest.fixture
def new_model_of() -> "Callable[[str], PreTrainedModel]":
    """Makes the random model of a family, the same one each time, with matrices large enough to tell prompts apart."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    def make(family: str) -> "PreTrainedModel":
        torch.set_num_threads(1)
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **{**SHAPE, **FAMILIES[family]}))
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() == 2:
                    parameter.mul_(4)
        return model.eval()

    return make


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return request.param
