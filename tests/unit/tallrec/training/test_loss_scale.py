"""Gradients through a model in float16 against those through the same model in float32."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import LlamaConfig, LlamaForCausalLM, TrainerCallback

from tallrec.models.adapters import Lora, trainable_adapter
from tallrec.models.loading_settings import Loading
from tallrec.models.quantized_layers import quantize
from tallrec.training.fitting import fit
from tallrec.training.loss_scale import computes_in_float16, gradients_divided_by, scale_of
from tallrec.training.schedule import Schedule

N_ROWS, N_TOKENS = 4, 33
SMALL_HEAD = 256
"""An output layer so many times smaller makes the gradients as small as so many times the 128 labels here would."""


class Gradients(TrainerCallback):
    """Keeps what the optimizer is given."""

    found: torch.Tensor

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **keywords: Any) -> None:
        del args, state, control
        trained = [parameter for parameter in keywords["model"].parameters() if parameter.requires_grad]
        self.found = torch.cat([parameter.grad.flatten() for parameter in trained])


@pytest.fixture
def gradient(fresh_start: Path, tmp_path: Path) -> Callable[[str, str], torch.Tensor]:
    """The gradient of an update of two micro-batches, loss on all tokens, of a random LLaMA of 12 layers of 256."""

    def compute(dtype: str, quantization: str) -> torch.Tensor:
        seen, schedule = Gradients(), Schedule(1, N_ROWS, 2, learning_rate=1e-4, warmup_updates=0, seed=0)
        ids = torch.randint(3, 490, (N_ROWS, N_TOKENS), generator=torch.Generator().manual_seed(0)).tolist()
        rows = [{"input_ids": row, "labels": row} for row in ids]
        fit(adapted(dtype, quantization, fresh_start), rows, schedule, tmp_path / "scratch", callbacks=[seen])
        return seen.found

    return compute


def adapted(dtype: str, quantization: str, start: Path, n_layers: int = 12) -> PeftModel:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=500,
            hidden_size=256,
            intermediate_size=512,
            num_hidden_layers=n_layers,
            num_attention_heads=4,
        )
    )
    with torch.no_grad():
        model.lm_head.weight.div_(SMALL_HEAD)
    model = model.to(getattr(torch, dtype))
    quantize(model, Loading(dtype, quantization, n_threads=1), is_empty=False)
    return trainable_adapter(model, start, Lora(8, 16, 0.0, ("q_proj", "v_proj")), seed=0)


@pytest.mark.parametrize(
    ("quantization", "largest_error"), [("none", 0.005), pytest.param("4bit", 0.05, marks=pytest.mark.slow)]
)
def test_gradients_do_not_underflow_in_float16(
    gradient: Callable[[str, str], torch.Tensor], quantization: str, largest_error: float
) -> None:
    expected, found = gradient("float32", quantization), gradient("float16", quantization)
    assert ((found - expected).norm() / expected.norm()).item() < largest_error
    assert not ((found == 0) & (expected != 0)).any()


@pytest.mark.parametrize(
    ("dtype", "quantization", "expected"),
    [
        ("float32", "none", False),
        ("bfloat16", "none", False),
        ("float16", "none", True),
        ("float32", "8bit", False),
        ("float16", "8bit", False),
        ("bfloat16", "4bit", False),
        ("float16", "4bit", True),
    ],
)
def test_float16_is_found_where_gradients_pass_through_it(
    fresh_start: Path, dtype: str, quantization: str, expected: bool
) -> None:
    assert computes_in_float16(adapted(dtype, quantization, fresh_start, n_layers=1)) == expected


@pytest.mark.parametrize(("n_labels", "scale"), [(0, 1), (1, 1), (48, 32), (64, 64), (38400, 2**15)])
def test_the_scale_is_a_power_of_two_below_the_number_of_labels(n_labels: int, scale: float) -> None:
    assert scale_of(n_labels) == scale


def test_what_divides_gradients_is_gone_afterwards(fresh_start: Path) -> None:
    model = adapted("float32", "none", fresh_start, n_layers=1)
    weight = next(parameter for parameter in model.parameters() if parameter.requires_grad)
    with gradients_divided_by(4.0, model):
        weight.sum().backward()
        weight.sum().backward()
    assert weight.grad is not None
    assert (weight.grad == 0.5).all()
    weight.sum().backward()
    assert (weight.grad == 1.5).all()
