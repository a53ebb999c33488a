"""Draws a replica, and its layers against those of torch."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from baselines import replicas
from baselines.replicas import Dropout, LayerNorm, Linear, Product, Replicas, product

DRAWS: dict[str, Callable[[Replicas], Tensor]] = {
    "normal": lambda replicas: replicas.normal(0.5, 3, 2),
    "uniform": lambda replicas: replicas.uniform(0.5, 3, 2),
    "permutations": lambda replicas: replicas.permutations(20, 7),
}


def steps(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("name", DRAWS)
def test_what_a_replica_draws_does_not_depend_on_its_company(name: str) -> None:
    alone, company = Replicas([5]), Replicas([3, 5, 4])
    for _ in range(3):
        assert torch.equal(DRAWS[name](alone)[0], DRAWS[name](company)[1])


@pytest.mark.parametrize("name", DRAWS)
def test_replicas_of_one_seed_draw_alike_and_others_do_not(name: str) -> None:
    first, same, other = DRAWS[name](Replicas([3, 3, 4]))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_draws_do_not_touch_the_random_state_of_torch() -> None:
    state = torch.get_rng_state()
    for draw in DRAWS.values():
        draw(Replicas([0, 1]))
    assert torch.equal(torch.get_rng_state(), state)


def test_draws_have_the_spread_asked_for() -> None:
    replicas = Replicas([0, 1])
    for values in replicas.normal(0.5, 10000):
        assert values.mean().item() == pytest.approx(0, abs=0.02)
        assert values.std().item() == pytest.approx(0.5, rel=0.03)
    for values in replicas.uniform(0.5, 10000):
        assert values.mean().item() == pytest.approx(0, abs=0.02)
        assert 0.499 < values.abs().max().item() <= 0.5


def test_a_permutation_repeats_no_row() -> None:
    for rows in Replicas([0, 1]).permutations(9, 9).tolist():
        assert sorted(rows) == list(range(9))
    assert Replicas([0, 1]).permutations(9, 4).shape == (2, 4)


def test_linear_is_that_of_torch_in_each_replica() -> None:
    ours, x = Linear(Replicas([0, 1]), 3, 5).double(), steps(2, 4, 3)
    found = ours(x)
    for replica in range(2):
        theirs = nn.Linear(3, 5, dtype=torch.float64)
        theirs.load_state_dict({"weight": ours.weight[replica].T, "bias": ours.bias[replica, 0]})
        assert torch.allclose(found[replica], theirs(x[replica]), atol=1e-12)


def test_linear_starts_as_that_of_torch_does() -> None:
    ours, theirs = Linear(Replicas([0]), 64, 500), nn.Linear(64, 500)
    for one, other in ((ours.weight, theirs.weight), (ours.bias, theirs.bias)):
        assert one.abs().max().item() <= 1 / 8
        assert one.abs().max().item() == pytest.approx(other.abs().max().item(), rel=0.05)
        assert one.std().item() == pytest.approx(1 / 8 / 3**0.5, rel=0.1)


def test_layer_norm_is_that_of_torch_in_each_replica() -> None:
    ours, x = LayerNorm(Replicas([0, 1]), 3).double(), steps(2, 4, 3)
    assert torch.allclose(ours(x), nn.LayerNorm(3, dtype=torch.float64)(x), atol=1e-12)  # as both start
    with torch.no_grad():
        ours.gain.copy_(steps(2, 1, 3))
        ours.bias.copy_(steps(2, 1, 3) + 1)
    found = ours(x)
    for replica in range(2):
        theirs = nn.LayerNorm(3, dtype=torch.float64)
        theirs.load_state_dict({"weight": ours.gain[replica, 0], "bias": ours.bias[replica, 0]})
        assert torch.allclose(found[replica], theirs(x[replica]), atol=1e-12)


def test_dropout_does_nothing_in_evaluation_mode_or_at_rate_0() -> None:
    x = steps(2, 5, 3)
    assert torch.equal(Dropout(Replicas([0, 1]), 0.5).eval()(x), x)
    assert torch.equal(Dropout(Replicas([0, 1]), 0.0).train()(x), x)


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_dropout_drops_at_its_rate_and_scales_the_rest(rate: float) -> None:
    found = Dropout(Replicas([0, 1]), rate).train()(torch.ones(2, 100, 200))
    assert found.unique().tolist() == pytest.approx([0.0, 1 / (1 - rate)])
    for values in found:
        assert (values == 0).float().mean().item() == pytest.approx(rate, abs=0.01)
        assert values.mean().item() == pytest.approx(1, abs=0.02)


def test_dropout_draws_the_masks_of_its_seed_and_new_ones_each_time() -> None:
    x = torch.ones(3, 10, 20)
    one, other = (Dropout(Replicas([0, 0, 1]), 0.5).train() for _ in range(2))
    first = one(x)
    assert torch.equal(first, other(x))
    assert torch.equal(first[0], first[1])
    assert not torch.equal(first[0], first[2])
    assert not torch.equal(first, one(x))


@pytest.mark.parametrize("large", [1, 1 << 40])
@pytest.mark.parametrize("with_bias", [True, False])
def test_a_product_is_that_of_torch_whatever_computes_it(
    large: int, with_bias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicas, "LARGE", large)
    a, b, bias = steps(2, 5, 7).float(), steps(2, 7, 3).float(), steps(2, 1, 3).float() if with_bias else None
    wider = steps(2, 7, 6).float()[..., 1:4]  # neither its rows nor its columns are contiguous
    for first, second in ((a, b), (a.transpose(1, 2).contiguous().transpose(1, 2), b), (a, wider)):
        expected = first.double() @ second.double() + (0 if bias is None else bias.double())
        assert torch.allclose(product(first, second, bias).double(), expected, rtol=0, atol=1e-5)


def test_the_gradient_of_a_product_is_the_numerical_one() -> None:
    shapes = (2, 3, 4), (2, 4, 2), (2, 1, 2)
    assert torch.autograd.gradcheck(Product.apply, tuple(steps(*shape).requires_grad_() for shape in shapes))
