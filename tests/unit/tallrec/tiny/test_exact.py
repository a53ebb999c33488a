import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast, TrainerCallback

from tallrec.tiny.exact import GRID, RoundedWeights, in_double_precision
from tallrec.tiny.pretraining import pretrain
from tallrec.tiny.shape import TinyModel, tiny_config
from tallrec.tiny.tokenizer import train_tokenizer
from tallrec.training.fitting import fit
from tallrec.training.schedule import Schedule

SHAPE = TinyModel(400, hidden_size=32, intermediate_size=64, n_layers=2, n_heads=2, max_positions=64)
ROWS = [{"input_ids": row, "labels": row} for row in torch.arange(8 * 16).reshape(8, 16).remainder(50).tolist()]
SCHEDULE = Schedule(40, 4, 4, learning_rate=0.02, warmup_updates=2, seed=0)
LESS = {"ATEN_CPU_CAPABILITY": "default", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2", "ONEDNN_MAX_CPU_ISA": "SSE41"}
"""What makes torch compute as a processor of 2008 would: without AVX and fused additions."""


@pytest.fixture
def plain() -> LlamaForCausalLM:
    return LlamaForCausalLM(tiny_config(SHAPE, 400))


@pytest.fixture
def exact(plain: LlamaForCausalLM) -> LlamaForCausalLM:
    return in_double_precision(plain, seed=0)


def test_weights_depend_on_the_seed_alone(plain: LlamaForCausalLM) -> None:
    one, same, other = (in_double_precision(plain, seed).lm_head.weight for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_it_is_the_same_llama(plain: LlamaForCausalLM, exact: LlamaForCausalLM) -> None:
    with torch.no_grad():
        for parameter in exact.parameters():  # weights of 0.02 would hide a wrong rotation
            parameter.mul_(10 if parameter.ndim > 1 else 1)
    plain.load_state_dict(exact.state_dict())
    ids = torch.arange(48)[None]
    assert torch.allclose(plain(ids).logits, exact(ids).logits.float(), atol=1e-4)


def test_nothing_is_computed_in_single_precision(exact: LlamaForCausalLM) -> None:
    seen: set[Any] = set()

    def look(module: nn.Module, inputs: Any, output: Any) -> None:
        del module, inputs
        outputs = output if isinstance(output, tuple) else [output]
        seen.update(value.dtype for value in outputs if torch.is_tensor(value))

    hooks = [module.register_forward_hook(look) for module in exact.model.modules()]
    exact.model(torch.arange(16)[None])
    assert len(hooks) > 20
    assert seen == {torch.float64}


def test_weights_are_held_by_single_precision(exact: LlamaForCausalLM, tmp_path: Path) -> None:
    fit(exact, ROWS, SCHEDULE, tmp_path / "scratch", callbacks=[RoundedWeights()])
    assert all(torch.equal(weight, weight.float().double()) for weight in exact.parameters())
    assert all(torch.equal(weight, (weight / GRID).round() * GRID) for weight in exact.parameters())


class Noise(TrainerCallback):
    """Adds to each gradient what another order of additions would."""

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **keywords: Any) -> None:
        for parameter in keywords["model"].parameters():
            gradient: Tensor = parameter.grad
            gradient.mul_(1 + 1e-14 * torch.rand_like(gradient))


@pytest.mark.parametrize(("callbacks", "is_same"), [([RoundedWeights()], True), ([], False)])
def test_rounding_keeps_differences_from_growing(
    callbacks: list[TrainerCallback], is_same: bool, plain: LlamaForCausalLM, tmp_path: Path
) -> None:
    one, other = in_double_precision(plain, seed=0), in_double_precision(plain, seed=0)
    fit(one, ROWS, SCHEDULE, tmp_path / "scratch", callbacks=callbacks)
    fit(other, ROWS, SCHEDULE, tmp_path / "scratch", callbacks=[*callbacks, Noise()])
    assert all(map(torch.equal, one.parameters(), other.parameters())) is is_same


def pretrained(folder: Path) -> dict[str, Tensor]:
    texts = [f"The movie number {n} is good, and {n + 1} is bad." for n in range(40)]
    tokenizer: PreTrainedTokenizerFast = train_tokenizer(texts, 400)
    return pretrain(tokenizer, texts, SHAPE, SCHEDULE, sequence_length=32, scratch=folder).state_dict()


@pytest.mark.slow
def test_an_older_processor_and_more_threads_end_with_the_same_weights(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    here = pretrained(tmp_path / "here")
    root = str(Path(__file__).parents[4])
    subprocess.run(
        [sys.executable, __file__, tmp_path], check=True, env=os.environ | LESS | {"PYTHONPATH": root}, timeout=300
    )
    there = torch.load(tmp_path / "there.pt", weights_only=True)
    assert all(torch.equal(here[name], there[name]) for name in here)


if __name__ == "__main__":
    assert torch.backends.cpu.get_cpu_capability() == "DEFAULT"
    torch.set_num_threads(2)
    torch.save(pretrained(Path(sys.argv[1], "scratch")), Path(sys.argv[1], "there.pt"))
