"""The GRU of many replicas, against torch's own and against its equations."""

from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from baselines.gru import Gru
from baselines.replicas import Replicas

NAMES = {"input_weight": "weight_ih", "input_bias": "bias_ih", "recurrent_weight": "weight_hh"} | {
    "recurrent_bias": "bias_hh"
}
N_IN, SIZE = 3, 4


def steps_of(n_replicas: int, length: int, n: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn((n_replicas, length, n, N_IN), generator=generator, dtype=torch.float64)


def parameter(gru: Gru, name: str, layer: int) -> nn.Parameter:
    return getattr(gru, f"{name}_{layer}")


def in_the_shape_of_torch(value: Tensor) -> Tensor:
    """Of one replica: weights transposed, biases without their first dimension."""
    return value[0] if value.shape[0] == 1 else value.T


def of_torch(gru: Gru, replica: int) -> nn.GRU:
    theirs = nn.GRU(N_IN, SIZE, gru.n_layers, dtype=torch.float64)
    with torch.no_grad():
        for layer, (our_name, their_name) in product(range(gru.n_layers), NAMES.items()):
            value = in_the_shape_of_torch(parameter(gru, our_name, layer)[replica])
            getattr(theirs, f"{their_name}_l{layer}").copy_(value)
    return theirs


@pytest.mark.parametrize(("n_layers", "length"), [(1, 1), (1, 6), (2, 2), (4, 6)])
def test_outputs_and_all_gradients_are_those_of_torch(n_layers: int, length: int) -> None:
    ours = Gru(Replicas([3, 4, 5]), N_IN, SIZE, n_layers).double()
    steps = steps_of(3, length, 5).requires_grad_()
    weights = torch.randn(3, 5, SIZE, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    states = ours(steps)
    (states * weights).sum().backward()
    assert steps.grad is not None
    for replica in range(3):
        theirs, own = of_torch(ours, replica), steps[replica].detach().requires_grad_()
        expected = theirs(own)[0][-1]
        (expected * weights[replica]).sum().backward()
        assert own.grad is not None
        assert torch.allclose(states[replica], expected, rtol=0, atol=1e-10)
        assert torch.allclose(steps.grad[replica], own.grad, rtol=0, atol=1e-10)
        for layer, (our_name, their_name) in product(range(n_layers), NAMES.items()):
            gradient = parameter(ours, our_name, layer).grad
            assert gradient is not None
            assert torch.allclose(
                in_the_shape_of_torch(gradient[replica]),
                getattr(theirs, f"{their_name}_l{layer}").grad,
                rtol=0,
                atol=1e-10,
            )


def test_the_written_gradient_is_the_numerical_one() -> None:
    gru = Gru(Replicas([3, 4]), 2, 2, 2).double()
    names, values = zip(*gru.named_parameters(), strict=True)

    def states(steps: Tensor, *parameters: Tensor) -> Tensor:
        return torch.func.functional_call(gru, dict(zip(names, parameters, strict=True)), (steps,))

    assert torch.autograd.gradcheck(states, (steps_of(2, 3, 2)[..., :2].clone().requires_grad_(), *values))


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def layer_by_hand(gru: Gru, replica: int, layer: int, steps: np.ndarray) -> np.ndarray:
    """The equations of a gated recurrent unit, one sample, written out: steps (length, size) -> states."""
    w, b, u, c = (parameter(gru, name, layer)[replica].detach().numpy() for name in NAMES)
    state, states = np.zeros(SIZE), []
    for step in steps:
        reset_x, update_x, new_x = np.split(step @ w + b[0], 3)
        reset_h, update_h, new_h = np.split(state @ u + c[0], 3)
        reset, update = sigmoid(reset_x + reset_h), sigmoid(update_x + update_h)
        state = (1 - update) * np.tanh(new_x + reset * new_h) + update * state
        states.append(state)
    return np.stack(states)


@pytest.mark.parametrize("n_layers", [1, 3])
def test_the_state_is_that_of_the_equations(n_layers: int) -> None:
    gru, steps = Gru(Replicas([3, 4]), N_IN, SIZE, n_layers).double(), steps_of(2, 5, 2)
    found = gru(steps).detach().numpy()
    for replica, sample in product(range(2), range(2)):
        states = steps[replica, :, sample].numpy()
        for layer in range(n_layers):
            states = layer_by_hand(gru, replica, layer, states)
        assert found[replica, sample] == pytest.approx(states[-1], abs=1e-12)


def test_weights_start_as_those_of_torch_do() -> None:
    ours = dict(Gru(Replicas([0]), 63, 64, 2).named_parameters())
    theirs = dict(nn.GRU(63, 64, 2).named_parameters())
    assert len(ours) == len(theirs) == 8
    for layer, (our_name, their_name) in product(range(2), NAMES.items()):
        one, other = ours[f"{our_name}_{layer}"], theirs[f"{their_name}_l{layer}"]
        assert in_the_shape_of_torch(one[0]).shape == other.shape
        assert one.abs().max().item() <= 1 / 8
        assert one.std().item() == pytest.approx(1 / 8 / 3**0.5, rel=0.1)


def test_float32_agrees_with_float64() -> None:
    gru, steps = Gru(Replicas([3, 4]), N_IN, SIZE, 4), steps_of(2, 10, 3)
    single = gru(steps.float()).double()
    assert torch.allclose(single, gru.double()(steps), rtol=0, atol=1e-6)
