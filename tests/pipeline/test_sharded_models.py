"""Models in shards over two processes (gloo, on a CPU): what they compute, and what a process holds of them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerBase

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
TORCHRUN = (sys.executable, "-m", "torch.distributed.run")
N_TOKENS = 500
SMALL = {
    **{"vocab_size": N_TOKENS, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3},
    **{"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8},
    **{"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2},
}
LARGER = {**SMALL, "vocab_size": 8000, "hidden_size": 256, "intermediate_size": 700, "head_dim": 64}
GPT2 = {"vocab_size": N_TOKENS, "n_embd": 32, "n_layer": 3, "n_head": 4, "bos_token_id": 1, "eos_token_id": 2}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", SMALL),
    "llama-larger": ("llama", LARGER),
    "llama-bfloat16": ("llama", SMALL),
    "llama-tied": ("llama", {**SMALL, "tie_word_embeddings": True}),
    "mistral": ("mistral", SMALL),
    "qwen3": ("qwen3", SMALL),
    "gemma2": ("gemma2", SMALL),
    "phi": ("phi", SMALL),
    "phi3": ("phi3", SMALL),
    "gpt2": ("gpt2", GPT2),
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerBase) -> list[dict[str, Any]]:
    """What each of the two processes found."""
    root = tmp_path_factory.mktemp("sharded")
    for name, (family, shape) in MODELS.items():
        torch.manual_seed(0)
        AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **shape)).save_pretrained(root / f"model-{name}")
        tokenizer.save_pretrained(root / f"model-{name}")
    done = subprocess.run(
        [*TORCHRUN, "--nproc-per-node", "2", str(Path(__file__).parent / "sharded_models.py"), str(root)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,  # processes that wait for each other would wait for half an hour
    )
    assert done.returncode == 0, done.stderr
    return [json.loads((root / f"found-{place}.json").read_text()) for place in range(2)]


@pytest.mark.parametrize("name", [name for name in MODELS if name != "gpt2"])
def test_a_model_in_shards_computes_what_it_computes_whole(answers: list[dict[str, Any]], name: str) -> None:
    for found in answers:
        # Weights that are put together lie elsewhere in memory, which may change the order of a sum.
        rounding = 2e-2 if name == "llama-bfloat16" else 1e-6
        assert found[name]["score_error"] < rounding
        assert found[name]["gradient_error"] < rounding
        assert found[name]["gradient_error_with_checkpointing"] < rounding
        assert found[name]["is_linear"] == [name != "gemma2"] * 2


def test_a_process_holds_half_of_the_weights(answers: list[dict[str, Any]]) -> None:
    for found in answers:
        assert found["llama-larger"]["held"] == pytest.approx(0.5, abs=0.001)


def test_layers_that_would_be_put_together_at_a_time_are_refused(answers: list[dict[str, Any]]) -> None:
    for found in answers:
        assert found["gpt2"] == "tune.sharded: transformers cannot split the layers of a gpt2 model"
