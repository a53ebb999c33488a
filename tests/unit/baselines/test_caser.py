"""Caser, against loops over filters and places, and against torch's convolution."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d

from baselines.caser import Caser, model
from baselines.model import Inputs
from baselines.replicas import Replicas

HEIGHTS, N_FILTERS, LENGTH, N_IN = (2, 3, 5), 4, 5, 3


def inputs() -> Inputs:
    return Inputs(Replicas([0, 1]), N_IN, LENGTH)


def steps_of(n: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn((2, LENGTH, n, N_IN), generator=generator, dtype=torch.float64)


@pytest.fixture
def caser() -> Caser:
    """With biases of both signs, so that the ReLUs cut some values off."""
    encoder = Caser(inputs(), HEIGHTS, N_FILTERS, dropout=0.5).double().eval()
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for bias in (encoder.horizontal_bias, encoder.vertical_bias):
            bias.copy_(torch.randn(bias.shape, generator=generator, dtype=torch.float64))
    return encoder


def state_by_hand(caser: Caser, replica: int, image: np.ndarray) -> list[float]:
    """One sample, one replica: the image has a row a step and a column a coordinate."""
    state = []
    biases = iter(caser.horizontal_bias[replica, 0].tolist())
    for height, filters in zip(HEIGHTS, caser.horizontal, strict=True):
        for number in range(N_FILTERS):
            weights, bias, responses = filters[replica, :, :, number].detach().numpy(), next(biases), []
            for place in range(LENGTH - height + 1):
                response = bias
                for row in range(height):
                    for column in range(N_IN):
                        response += weights[row, column] * image[place + row, column]
                responses.append(max(response, 0.0))
            state.append(max(responses))
    vertical, bias = caser.vertical[replica].detach().numpy(), caser.vertical_bias[replica].item()
    for column in range(N_IN):
        response = bias + sum(vertical[step, 0, 0] * image[step, column] for step in range(LENGTH))
        state.append(max(response, 0.0))
    return state


def test_the_state_is_that_of_loops_over_filters_and_places(caser: Caser) -> None:
    steps = steps_of(4)
    found = caser(steps).detach().numpy()
    assert 0 < (found == 0).sum() < found.size / 2
    for replica in range(2):
        for sample in range(4):
            expected = state_by_hand(caser, replica, steps[replica, :, sample].numpy())
            assert found[replica, sample] == pytest.approx(expected, abs=1e-12)


def test_the_state_is_that_of_convolutions_of_torch(caser: Caser) -> None:
    steps = steps_of(6)
    found = caser(steps)
    for replica in range(2):
        images = steps[replica].transpose(0, 1).unsqueeze(1)  # (n, 1, length, n_in)
        biases, parts = caser.horizontal_bias[replica, 0].split(N_FILTERS), []
        for filters, bias in zip(caser.horizontal, biases, strict=True):
            kernels = filters[replica].permute(2, 0, 1).unsqueeze(1)  # (n_filters, 1, height, n_in)
            parts.append(conv2d(images, kernels, bias).relu().amax((2, 3)))
        kernel = caser.vertical[replica].view(1, 1, LENGTH, 1)
        parts.append(conv2d(images, kernel, caser.vertical_bias[replica, 0]).relu().flatten(1))
        assert torch.allclose(found[replica], torch.cat(parts, dim=1), atol=1e-12)


def test_the_size_of_the_state_is_that_of_its_parts() -> None:
    built = model(inputs(), heights=HEIGHTS, n_filters=N_FILTERS, dropout=0.1)
    assert built.state_size == 3 * 4 + 3
    assert built.encoder(steps_of(6).float()).shape == (2, 6, built.state_size)
    assert built.penalty is None
    assert not built.reads_text


def test_a_height_may_span_the_whole_history() -> None:
    encoder = Caser(inputs(), (LENGTH,), 1, dropout=0.0).double()
    steps = steps_of(1)
    response = (encoder.horizontal[0][1, :, :, 0] * steps[1, :, 0]).sum() + 0.1
    assert encoder(steps)[1, 0, 0].item() == pytest.approx(max(response.item(), 0.0))


def test_dropout_is_on_in_training_alone(caser: Caser) -> None:
    steps = steps_of(50)
    whole = caser.eval()(steps)
    assert torch.equal(caser(steps), whole)
    dropped = caser.train()(steps)
    kept = dropped != 0
    assert torch.allclose(dropped[kept], 2 * whole[kept])  # rate 0.5
    assert kept.sum().item() / (whole != 0).sum().item() == pytest.approx(0.5, abs=0.06)


def test_filters_start_with_the_spread_of_xavier() -> None:
    encoder = Caser(Inputs(Replicas([0]), 64, 10), (2, 4), 16, dropout=0.1)
    for height, filters in zip((2, 4), encoder.horizontal, strict=True):
        theirs = torch.empty(16, 1, height, 64)
        torch.nn.init.xavier_normal_(theirs, generator=torch.Generator().manual_seed(0))
        assert filters.std().item() == pytest.approx(theirs.std().item(), rel=0.1)
    assert encoder.horizontal_bias.unique().tolist() == pytest.approx([0.1])
    assert encoder.vertical_bias.unique().tolist() == pytest.approx([0.1])
