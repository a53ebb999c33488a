"""Rec-tuning in every precision and quantization on a CPU: what is stored scores as what was tuned did."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmark.schema import FewShotTask
from tallrec.models.adapters import Lora, load_adapter, save_adapter, trainable_adapter
from tallrec.models.loading import load_base
from tallrec.models.loading_settings import Loading
from tallrec.scoring.logits import last_logits
from tallrec.scoring.samples import Scoring, score_samples
from tallrec.training.schedule import Schedule
from tallrec.training.tuning import rec_tune

SCHEDULE = Schedule(
    n_updates=12,
    batch_size=16,
    micro_batch_size=16,
    learning_rate=0.01,
    warmup_updates=0,
    seed=0,
    eval_every=4,
    patience=10,
    keep_best=True,
)
LORA = Lora(8, 16, 0.0, ("q_proj", "v_proj", "up_proj", "down_proj"))


PRECISIONS = {
    ("float32", "none"): False,
    ("bfloat16", "none"): True,
    ("float16", "none"): False,
    ("float32", "8bit"): True,
    ("float32", "4bit"): False,
    ("bfloat16", "8bit"): False,
    ("bfloat16", "4bit"): True,
    ("float16", "8bit"): True,
}
"""Type and quantization -> the gradient checkpointing that is tried with it always; the other one is slow."""


@pytest.mark.parametrize(
    ("dtype", "quantization", "gradient_checkpointing"),
    [
        *((*one, usual) for one, usual in PRECISIONS.items()),
        *(pytest.param(*one, not usual, marks=pytest.mark.slow) for one, usual in PRECISIONS.items()),
    ],
)
def test_an_adapter_learns_is_stored_and_scores_the_same(
    saved_base: Path,
    toy_task: FewShotTask,
    scoring: Scoring,
    fresh_start: Path,
    tmp_path: Path,
    dtype: str,
    quantization: str,
    gradient_checkpointing: bool,
) -> None:
    loading = Loading(dtype, quantization, n_threads=1)
    model, tokenizer = load_base(saved_base, loading)
    adapted = trainable_adapter(model, fresh_start, LORA, seed=0)
    trained = [parameter for parameter in adapted.parameters() if parameter.requires_grad]
    assert {parameter.dtype for parameter in trained} == {torch.float32}
    schedule = replace(SCHEDULE, gradient_checkpointing=gradient_checkpointing)
    tuned = rec_tune(
        adapted, tokenizer, toy_task, schedule, scoring, tmp_path / "s", loss="answer", max_valid_samples=None
    )
    losses = [entry["loss"] for entry in tuned.log if "loss" in entry]
    assert losses[-1] < losses[0] - 1
    samples = list(toy_task.test)
    scores = [p.score for p in score_samples(adapted, tokenizer, samples, toy_task.items, scoring)]
    save_adapter(adapted, tmp_path / "saved")
    fresh, _ = load_base(saved_base, loading)
    loaded = load_adapter(fresh, tmp_path / "saved")
    found = [p.score for p in score_samples(loaded, tokenizer, samples, toy_task.items, scoring)]
    assert len(set(found)) == len(found)
    assert found == pytest.approx(scores, abs=_tolerance(dtype, quantization))


@pytest.mark.parametrize("quantization", ["none", "8bit", "4bit"])
def test_a_validation_leaves_the_gradient_as_it_is(saved_base: Path, fresh_start: Path, quantization: str) -> None:
    model, _ = load_base(saved_base, Loading("float32", quantization, n_threads=1))
    adapted = trainable_adapter(model, fresh_start, LORA, seed=0)
    ids = torch.tensor([[0, 5, 6, 7, 8, 9, 30, 40]])

    def gradient() -> torch.Tensor:
        adapted.train()
        adapted.zero_grad()
        adapted(input_ids=ids, labels=ids).loss.backward()
        return torch.cat([parameter.grad.flatten() for parameter in adapted.parameters() if parameter.requires_grad])

    before = gradient()
    last_logits(adapted, [[0, 5, 6, 7]], 100)
    assert torch.equal(gradient(), before)
    assert before.abs().max() > 0


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_around_8_bit_weights_attention_head_and_backward_pass_are_in_single_precision(
    saved_base: Path, fresh_start: Path, dtype: str
) -> None:
    """As docs/divergences.md says; the released code had autocast."""
    model, _ = load_base(saved_base, Loading(dtype, "8bit", n_threads=1))
    adapted = trainable_adapter(model, fresh_start, LORA, seed=0).train()
    ids = torch.tensor([[0, 5, 6, 7, 8, 9, 30, 40]])
    with TypesOfProducts() as seen:
        adapted(input_ids=ids, labels=ids).loss.backward()
    assert {name for name, _ in seen.types} >= {"mm", "_scaled_dot_product_flash_attention_for_cpu_backward"}
    assert {dtype for _, dtype in seen.types} == {torch.float32}
    assert not torch.backends.cuda.matmul.allow_tf32


class TypesOfProducts(TorchDispatchMode):
    """Name and type of every product of tensors with decimals; those of bitsandbytes in 8 bits are none."""

    def __init__(self) -> None:
        super().__init__()
        self.types: set[tuple[str, torch.dtype]] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if func.namespace == "aten" and (name in ("mm", "addmm", "bmm", "baddbmm", "linear") or "attention" in name):
            self.types |= {(name, one.dtype) for one in args if isinstance(one, torch.Tensor)}
        return func(*args, **(kwargs or {}))


def _tolerance(dtype: str, quantization: str) -> float:
    """How far scores of the stored adapter may be from those of the tuned model: not at all without quantization.

    While a quantized model is tuned, its other layers are in float32, and in their own precision after. Where a CPU
    has instructions for it, bitsandbytes packs 4-bit weights for scoring and rounds their scales to bfloat16.
    """
    if quantization == "none":
        return 0.0
    if dtype == "float32":
        return 2e-3 if quantization == "4bit" else 0.0
    return 0.02
