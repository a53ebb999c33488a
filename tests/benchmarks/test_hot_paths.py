"""What most of the time goes into, each beside the plain way to do it, on the same work. Run: `make bench`."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from baselines.gru import Gru
from baselines.replicas import Replicas
from tallrec.scoring.logits import last_logits
from tallrec.training.loss import LabelledLoss

both_ways = pytest.mark.parametrize("way", ["ours", "plain"])
N_SHARED, N_OWN, N_TUNED = 75, 100, 16
"""Tokens of a prompt: what all begin with, and the most that follow, as on real movie rows; rows of a micro-batch."""


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    """Random, with the vocabulary of LLaMA and little else."""
    torch.manual_seed(0)
    shape = {"hidden_size": 128, "intermediate_size": 344, "num_hidden_layers": 2, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=32_000, **shape)).eval()


def prompts(n: int) -> list[list[int]]:
    """Of many lengths, in the order of a file."""
    generator = torch.Generator().manual_seed(0)

    def tokens(length: int) -> list[int]:
        return torch.randint(3, 32_000, (length,), generator=generator).tolist()

    shared = tokens(N_SHARED)
    return [shared + tokens(N_OWN // 2 + 7 * row % (N_OWN // 2)) for row in range(n)]


@pytest.mark.benchmark(group="score prompts")
@both_ways
def test_scoring(benchmark: BenchmarkFixture, model: LlamaForCausalLM, way: str) -> None:
    asked = prompts(96 if benchmark.enabled else 6)

    def plain() -> Tensor:
        """Batches in file order, padded, all logits of all positions."""
        found: list[Tensor] = []
        with torch.inference_mode():
            for start in range(0, len(asked), 32):
                batch = asked[start : start + 32]
                longest = max(map(len, batch))
                padded = torch.tensor([[*row, *[0] * (longest - len(row))] for row in batch])
                logits = model(input_ids=padded, use_cache=False).logits
                found += [row[len(ids) - 1] for row, ids in zip(logits, batch, strict=True)]
        return torch.stack(found)

    scores = benchmark({"ours": partial(last_logits, model, asked, 4096), "plain": plain}[way])
    torch.testing.assert_close(scores, plain().clone(), atol=1e-5, rtol=0)


@pytest.mark.benchmark(group="one micro-batch of tuning")
@both_ways
def test_tuning(benchmark: BenchmarkFixture, model: LlamaForCausalLM, way: str) -> None:
    rows = prompts(N_TUNED if benchmark.enabled else 3)
    longest = max(map(len, rows))
    input_ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows])
    labels = torch.full_like(input_ids, -100)
    for place, row in enumerate(rows):
        labels[place, len(row) - 2 : len(row)] = input_ids[place, len(row) - 2 : len(row)]
    ours = LabelledLoss(model, shares_beginning=True)

    def loss_and_gradient(loss: Callable[[], Tensor]) -> tuple[float, Tensor]:
        model.zero_grad()
        value = loss()
        value.backward()
        gradient = model.model.layers[0].self_attn.q_proj.weight.grad
        assert gradient is not None
        return value.item(), gradient.clone()

    ways = {
        "ours": lambda: ours(model, input_ids=input_ids, labels=labels),
        "plain": lambda: model(input_ids=input_ids, labels=labels, use_cache=False).loss,
    }
    value, gradient = benchmark(loss_and_gradient, ways[way])
    expected, expected_gradient = loss_and_gradient(ways["plain"])
    assert value == pytest.approx(expected, abs=1e-5)
    torch.testing.assert_close(gradient, expected_gradient, atol=1e-6, rtol=1e-3)


@pytest.mark.benchmark(group="five draws through a GRU")
@both_ways
def test_recurrent_baselines(benchmark: BenchmarkFixture, way: str) -> None:
    n_replicas, size, n_layers, n_rows = 5, 64, 4, 64 if benchmark.enabled else 4
    ours = Gru(Replicas(range(n_replicas)), size, size, n_layers)
    steps = torch.randn(n_replicas, 10, n_rows, size, generator=torch.Generator().manual_seed(0))
    plain = [_as_torch(ours, replica, size, n_layers) for replica in range(n_replicas)]

    def together() -> Tensor:
        states = ours(steps)
        states.sum().backward()
        return states.detach()

    def one_by_one() -> Tensor:
        states = [gru(one)[0][-1] for gru, one in zip(plain, steps, strict=True)]
        for one in states:
            one.sum().backward()
        return torch.stack(states).detach()

    states = benchmark({"ours": together, "plain": one_by_one}[way])
    torch.testing.assert_close(states, one_by_one(), atol=1e-5, rtol=1e-4)


def _as_torch(ours: Gru, replica: int, size: int, n_layers: int) -> nn.GRU:
    """torch's own with the weights of one replica."""
    gru = nn.GRU(size, size, n_layers)
    with torch.no_grad():
        for layer in range(n_layers):
            for name, part in (("ih", "input"), ("hh", "recurrent")):
                getattr(gru, f"weight_{name}_l{layer}").copy_(getattr(ours, f"{part}_weight_{layer}")[replica].T)
                getattr(gru, f"bias_{name}_l{layer}").copy_(getattr(ours, f"{part}_bias_{layer}")[replica, 0])
    return gru
