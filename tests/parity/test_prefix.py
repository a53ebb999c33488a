"""Scores with the common beginning of the prompts computed once against a plain forward pass of each prompt."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, LlamaForCausalLM, PreTrainedModel

from tallrec.models.adapters import Lora, trainable_adapter
from tallrec.models.loading import load_base, save_base
from tallrec.models.loading_settings import Loading
from tallrec.models.origin import write_origin
from tallrec.scoring.logits import last_logits
from tallrec.scoring.prefix import SharedPrefix


def prompts_after(n_shared: int, lengths: Sequence[int] = (3, 17, 1, 40, 17, 8)) -> list[list[int]]:
    """Prompts that begin with the same tokens, longer than the windows of the families that have one."""
    shared = [(13 * place) % 280 + 10 for place in range(n_shared)]
    return [
        [*shared, *((7 * row + 3 * place) % 290 + 3 for place in range(length))] for row, length in enumerate(lengths)
    ]


def plain_logits(model: torch.nn.Module, prompts: Sequence[Sequence[int]]) -> torch.Tensor:
    with torch.no_grad():
        return torch.stack([model(input_ids=torch.tensor([ids])).logits[0, -1] for ids in prompts]).float()


class Computed:
    """Tokens that go through the first layer of a model, padding included."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.n_tokens = 0
        model.get_input_embeddings().register_forward_pre_hook(self.count)  # pyright: ignore[reportCallIssue]

    def count(self, _: torch.nn.Module, inputs: tuple[torch.Tensor]) -> None:
        self.n_tokens += inputs[0].numel()


@pytest.mark.parametrize("batch_tokens", [1, 120, 10_000])
def test_scores_are_those_of_plain_transformers(
    new_model_of: Callable[[str], PreTrainedModel], family: str, batch_tokens: int
) -> None:
    model, prompts = new_model_of(family), prompts_after(20)
    expected = plain_logits(model, prompts)
    assert (expected - expected[0]).abs().amax(dim=1)[1:].min() > 1e-2
    computed = Computed(model)
    found = last_logits(model, prompts, batch_tokens)
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)
    if batch_tokens == 10_000:
        assert computed.n_tokens == 20 + 6 * 40


def test_a_common_beginning_is_computed_again_only_where_that_saves_tokens(
    new_model_of: Callable[[str], PreTrainedModel],
) -> None:
    model = new_model_of("llama")
    # Two batches of three: the first alone has one more token in common.
    prompts = [[*range(10, 30), *rest] for rest in ([5, 6, 7], [5, 7, 8], [5, 8, 9], [50, 51], [60, 61], [70, 71])]
    expected = plain_logits(model, prompts)
    computed = Computed(model)
    torch.testing.assert_close(last_logits(model, prompts, 3 * 23), expected, atol=2e-5, rtol=0)
    assert computed.n_tokens == 21 + 3 * 2 + 20 + 3 * 2
    computed.n_tokens = 0
    torch.testing.assert_close(last_logits(model, prompts[3:], 22), expected[3:], atol=2e-5, rtol=0)
    assert computed.n_tokens == 3 * 22, "one prompt has nothing to share"


@pytest.mark.parametrize(
    "prompts",
    [
        prompts_after(0),
        [[5, 6, 7]],
        [[5, 6, 7]] * 3,
        [[5], [5], [5, 6]],
        [*prompts_after(20), list(range(30, 80))],
    ],
    ids=["nothing shared", "one", "equal", "one a prefix of another", "one cut at the left"],
)
def test_prompts_may_share_nothing_or_everything(
    new_model_of: Callable[[str], PreTrainedModel], prompts: list[list[int]]
) -> None:
    model = new_model_of("llama")
    for batch_tokens in (60, 10_000):
        torch.testing.assert_close(
            last_logits(model, prompts, batch_tokens), plain_logits(model, prompts), atol=2e-5, rtol=0
        )


def test_the_adapter_is_in_what_is_kept(
    new_tiny_model: Callable[[], LlamaForCausalLM], fresh_start: Path, lora: Lora
) -> None:
    adapted = trainable_adapter(new_tiny_model(), fresh_start, lora, seed=0)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.copy_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
    prompts = prompts_after(20)
    expected = plain_logits(adapted.eval(), prompts)
    found = last_logits(adapted, prompts, 10_000)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    assert (found - plain_logits(new_tiny_model().eval(), prompts)).abs().max() > 0.1


@pytest.mark.parametrize("quantization", ["8bit", "4bit"])
def test_a_quantized_model_keeps_its_scores(
    new_tiny_model: Callable[..., LlamaForCausalLM], tokenizer, tmp_path: Path, quantization: str
) -> None:
    save_base(new_tiny_model(64), tokenizer, tmp_path)
    write_origin(tmp_path, "tiny", None, {})
    model, _ = load_base(tmp_path, Loading("float32", quantization, 1))
    prompts = prompts_after(20)
    expected = plain_logits(model, prompts)
    # 8-bit kernels round activations to steps of 1/127.
    tolerance = 1e-3 if quantization == "4bit" else 0.02
    found = last_logits(model, prompts, 10_000)
    torch.testing.assert_close(found / expected.std(), expected / expected.std(), atol=tolerance, rtol=0)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("mamba", {"hidden_size": 32, "state_size": 4, "num_hidden_layers": 2}),
        (
            "falcon_h1",  # each layer is attention and recurrence at once
            {
                "hidden_size": 32,
                "intermediate_size": 48,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "num_key_value_heads": 2,
                "mamba_d_ssm": 32,
                "mamba_n_heads": 4,
                "mamba_d_head": 8,
                "mamba_d_state": 8,
                "mamba_chunk_size": 8,
            },
        ),
        (
            "phi3",
            {
                "hidden_size": 32,
                "intermediate_size": 48,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "original_max_position_embeddings": 25,
                "max_position_embeddings": 100,
                "rope_parameters": {
                    "rope_type": "longrope",
                    "rope_theta": 10_000.0,
                    "short_factor": [1.0] * 4,
                    "long_factor": [2.0] * 4,
                },
            },
        ),
    ],
)
def test_a_model_whose_beginning_cannot_be_kept_is_scored_whole(kind: str, settings: dict) -> None:
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, vocab_size=300, bos_token_id=1, eos_token_id=2, pad_token_id=0, **settings)
    model = AutoModelForCausalLM.from_config(config).eval()
    prompts = prompts_after(20, (20, 20, 20))
    torch.testing.assert_close(last_logits(model, prompts, 10_000), plain_logits(model, prompts), atol=2e-5, rtol=0)
    assert SharedPrefix(model).of(prompts) == (0, None)
