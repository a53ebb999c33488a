"""Foretold memory and operations: against counts by hand, and against what a real step allocates."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from transformers import GemmaConfig, LlamaConfig, PreTrainedConfig, Qwen2Config

from tallrec.cost.simulation import LiveStorages, Step, simulate_scoring, simulate_tuning
from tallrec.models.adapters import Lora
from tallrec.models.architecture import empty_model, random_model
from tallrec.models.loading_settings import Loading

FULL = Loading("float32", "none", 1)
LORA = Lora(rank=4, alpha=8, dropout=0.0, target_modules=("q_proj", "v_proj"))
HIDDEN, LAYERS, WORDS, ROWS, TOKENS = 128, 3, 500, 4, 50
CONFIG = LlamaConfig(
    vocab_size=WORDS,
    hidden_size=HIDDEN,
    intermediate_size=256,
    num_hidden_layers=LAYERS,
    num_attention_heads=2,
    tie_word_embeddings=True,
)
N_LAYER = 4 * HIDDEN**2 + 3 * HIDDEN * 256
"""Weights of the matrices of one layer."""
N_ADAPTER = LAYERS * 2 * 2 * 4 * HIDDEN


def tuning(config: PreTrainedConfig = CONFIG, loading: Loading = FULL, **changes: object) -> Step:
    settings: dict[str, object] = {
        "n_rows": ROWS,
        "n_tokens": TOKENS,
        "loss": "answer",
        "gradient_checkpointing": False,
    }
    return simulate_tuning(config, loading, LORA, **{**settings, **changes})  # type: ignore[arg-type]


def test_weights_are_those_of_the_matrices_the_norms_and_the_adapter() -> None:
    n_weights = LAYERS * N_LAYER + WORDS * HIDDEN + (2 * LAYERS + 1) * HIDDEN + N_ADAPTER
    rotary = 2 * HIDDEN // 2 // 2  # the frequencies, kept twice
    assert tuning().weights_bytes == pytest.approx(4 * (n_weights + rotary), abs=512)


def test_operations_of_scoring_are_those_of_the_products() -> None:
    attention = LAYERS * ROWS * 2 * 2 * TOKENS**2 * HIDDEN
    expected = 2 * ROWS * TOKENS * LAYERS * N_LAYER + 2 * ROWS * HIDDEN * WORDS + attention
    rotary = ROWS * TOKENS * HIDDEN
    assert simulate_scoring(CONFIG, FULL, n_rows=ROWS, n_tokens=TOKENS).flops == pytest.approx(expected, abs=rotary)


def test_a_fused_kernel_needs_less_than_a_matrix_of_positions() -> None:
    assert tuning(n_tokens=400).peak_bytes < tuning(loading=replace(FULL, attention="eager"), n_tokens=400).peak_bytes


def test_checkpointing_needs_less_memory_and_more_operations() -> None:
    plain, again = tuning(n_tokens=200), tuning(n_tokens=200, gradient_checkpointing=True)
    assert again.peak_bytes < 0.7 * plain.peak_bytes
    assert again.flops > 1.2 * plain.flops


def test_activations_grow_with_rows() -> None:
    one, two, four = (tuning(n_rows=n).peak_bytes for n in (8, 16, 32))
    assert four - two == pytest.approx(2 * (two - one), rel=0.05)


def test_all_tokens_need_no_more_logits_than_one_turn_holds() -> None:
    wide = replace_config(vocab_size=50_000)
    of_all = tuning(wide, n_rows=32, n_tokens=100, loss="all_tokens").peak_bytes
    of_answer = tuning(wide, n_rows=32, n_tokens=100).peak_bytes
    logits = 32 * 100 * 50_000 * 4
    assert of_all - of_answer < 0.7 * logits


@pytest.mark.parametrize(("quantization", "bits"), [("8bit", 8), ("4bit", 4)])
def test_quantized_weights_have_their_bits_and_scales(quantization: str, bits: int) -> None:
    loading = replace(FULL, quantization=quantization)
    step = tuning(loading=loading)
    scales = 4 * LAYERS * N_LAYER / 64 if bits == 4 else 4 * LAYERS * (4 * HIDDEN + 2 * 256 + HIDDEN)
    rest = 4 * (WORDS * HIDDEN + (2 * LAYERS + 1) * HIDDEN + N_ADAPTER)
    assert step.weights_bytes == pytest.approx(LAYERS * N_LAYER * bits / 8 + scales + rest, rel=0.01)
    assert step.flops == tuning().flops


@pytest.mark.parametrize("quantization", ["8bit", "4bit"])
def test_checkpointing_drops_activations_of_quantized_layers_too(quantization: str) -> None:
    loading = replace(FULL, quantization=quantization)
    plain = tuning(loading=loading, n_tokens=200)
    assert tuning(loading=loading, n_tokens=200, gradient_checkpointing=True).peak_bytes < 0.7 * plain.peak_bytes


def test_another_family_is_covered() -> None:
    gemma = GemmaConfig(
        vocab_size=WORDS,
        hidden_size=HIDDEN,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=64,
    )
    assert tuning(gemma).peak_bytes > tuning(gemma).weights_bytes > 0


@pytest.mark.parametrize("quantization", ["8bit", "4bit"])
def test_quantized_layers_with_a_bias_hold_it_in_the_type_of_the_weights(quantization: str) -> None:
    biased = Qwen2Config(
        vocab_size=WORDS,
        hidden_size=HIDDEN,
        intermediate_size=256,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        num_key_value_heads=2,
    )
    loading = Loading("float16", quantization, 1)
    step = simulate_scoring(biased, loading, n_rows=ROWS, n_tokens=TOKENS)
    assert step.peak_bytes > step.weights_bytes
    model = empty_model(biased, loading)
    biases = {name: parameter.dtype for name, parameter in model.named_parameters() if name.endswith("bias")}
    assert len(biases) == 3 * LAYERS
    assert set(biases.values()) == {torch.float16}


@pytest.mark.parametrize("quantization", ["none", "8bit", "4bit"])
def test_a_real_model_of_the_architecture_takes_the_foretold_memory(quantization: str) -> None:
    loading = replace(FULL, quantization=quantization)
    real = random_model(CONFIG, loading, seed=0, device="cpu")
    foretold = simulate_scoring(CONFIG, loading, n_rows=ROWS, n_tokens=TOKENS)
    found = sum(_bytes(tensor) for tensor in (*real.parameters(), *real.buffers()))
    found += sum(_bytes(weight.quant_state.absmax) for weight in real.parameters() if hasattr(weight, "quant_state"))
    found += sum(_bytes(weight.SCB) for weight in real.parameters() if hasattr(weight, "SCB"))
    assert foretold.weights_bytes == pytest.approx(found, rel=0.01)
    ids = torch.zeros((ROWS, TOKENS), dtype=torch.long)
    assert torch.isfinite(real(input_ids=ids, use_cache=False).logits).all()


def test_random_weights_follow_the_seed() -> None:
    one, same, other = (random_model(CONFIG, FULL, seed=seed, device="cpu") for seed in (0, 0, 1))
    name = "model.layers.0.mlp.up_proj.weight"
    assert torch.equal(one.get_parameter(name), same.get_parameter(name))
    assert not torch.equal(one.get_parameter(name), other.get_parameter(name))


def test_an_empty_model_has_no_storage() -> None:
    assert all(parameter.is_meta for parameter in empty_model(CONFIG, FULL).parameters())


def test_freed_storages_leave_the_count_and_not_the_peak() -> None:
    with LiveStorages() as live:
        one = torch.empty(1000, device="meta")
        view = one[:10]
        assert live.bytes == 4000
        two = one + 1
        assert live.bytes == 8000
        del two
        assert (live.bytes, live.peak) == (4000, 8000)
        del one
        assert live.bytes == 4000, "the view keeps the storage"
        del view
        assert (live.bytes, live.peak) == (0, 8000)


def replace_config(**changes: object) -> LlamaConfig:
    return LlamaConfig(**{**CONFIG.to_dict(), **changes})  # type: ignore[arg-type]


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
