"""SASRec, against the whole block at all positions with a causal mask, written out for one sample."""

from math import sqrt

import numpy as np
import pytest
import torch
from torch import Tensor

from baselines.model import Inputs
from baselines.replicas import LayerNorm, Linear, Replicas
from baselines.sasrec import SasRec, model

LENGTH, SIZE = 5, 6


def inputs() -> Inputs:
    return Inputs(Replicas([0, 1]), SIZE, LENGTH)


def steps_of(n: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn((2, LENGTH, n, SIZE), generator=generator, dtype=torch.float64)


def encoder_of(n_heads: int, dropout: float = 0.3) -> SasRec:
    """With gains and biases that are not 1 and 0."""
    encoder = SasRec(inputs(), n_heads, dropout).double().eval()
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for part in (encoder.norm_query, encoder.norm_attended, encoder.norm_forward, encoder.norm_state):
            for values in (part.gain, part.bias):
                values.copy_(torch.randn(values.shape, generator=generator, dtype=torch.float64))
    return encoder


def linear(layer: Linear, replica: int, x: np.ndarray) -> np.ndarray:
    return x @ layer.weight[replica].detach().numpy() + layer.bias[replica].detach().numpy()


def norm(layer: LayerNorm, replica: int, x: np.ndarray) -> np.ndarray:
    mean, variance = x.mean(1, keepdims=True), x.var(1, keepdims=True)
    gain, bias = layer.gain[replica].detach().numpy(), layer.bias[replica].detach().numpy()
    return (x - mean) / np.sqrt(variance + 1e-5) * gain + bias


def states_by_hand(encoder: SasRec, replica: int, steps: np.ndarray, n_heads: int) -> np.ndarray:
    """The state after every step of one history; steps (length, size)."""
    x = steps + encoder.positions[replica, :, 0].detach().numpy()
    normalised = norm(encoder.norm_query, replica, x)
    queries = linear(encoder.query, replica, normalised)
    keys, values = linear(encoder.key, replica, x), linear(encoder.value, replica, x)
    attended = np.zeros_like(x)
    width = SIZE // n_heads
    for own in (slice(first, first + width) for first in range(0, SIZE, width)):
        for now in range(LENGTH):
            scores = [queries[now, own] @ keys[before, own] / sqrt(SIZE) for before in range(now + 1)]
            weights = np.exp(scores) / np.exp(scores).sum()
            attended[now, own] = sum(weights[before] * values[before, own] for before in range(now + 1))
    attended = norm(encoder.norm_attended, replica, attended + normalised)
    hidden = np.maximum(linear(encoder.inner, replica, attended), 0)
    forward = norm(encoder.norm_forward, replica, linear(encoder.outer, replica, hidden) + attended)
    return norm(encoder.norm_state, replica, forward)


@pytest.mark.parametrize("n_heads", [1, 2, 3])
def test_the_last_state_of_the_whole_block_is_found_from_the_last_step_alone(n_heads: int) -> None:
    encoder, steps = encoder_of(n_heads), steps_of(3)
    found = encoder(steps).detach().numpy()
    assert found.shape == (2, 3, SIZE)
    for replica in range(2):
        for sample in range(3):
            states = states_by_hand(encoder, replica, steps[replica, :, sample].numpy(), n_heads)
            assert found[replica, sample] == pytest.approx(states[-1], abs=1e-10)
            assert found[replica, sample] != pytest.approx(states[-2], abs=1e-2)


def test_every_step_and_its_place_count() -> None:
    encoder, steps = encoder_of(2), steps_of(1)
    whole = encoder(steps)
    for step in range(LENGTH):
        changed = steps.clone()
        changed[:, step] += torch.arange(SIZE)
        assert not torch.allclose(encoder(changed), whole, atol=1e-4)
    swapped = steps[:, [1, 0, 2, 3, 4]]
    assert not torch.allclose(encoder(swapped), whole, atol=1e-4)


def test_the_size_of_the_state_is_that_of_a_step() -> None:
    built = model(inputs(), n_heads=2, dropout=0.1)
    assert built.state_size == SIZE
    assert built.encoder(steps_of(4).float()).shape == (2, 4, SIZE)
    assert built.penalty is None
    assert not built.reads_text


def test_dropout_is_on_in_training_alone() -> None:
    encoder, steps = encoder_of(2), steps_of(4)
    whole = encoder(steps)
    assert torch.equal(encoder(steps), whole)
    assert not torch.allclose(encoder.train()(steps), whole)
    without = encoder_of(2, dropout=0.0)
    assert torch.equal(without.train()(steps), whole)


def test_positions_start_as_standard_normal() -> None:
    positions = SasRec(Inputs(Replicas([0, 1]), 64, 50), 4, 0.1).positions
    assert positions.mean().item() == pytest.approx(0, abs=0.05)
    assert positions.std().item() == pytest.approx(1, rel=0.05)
