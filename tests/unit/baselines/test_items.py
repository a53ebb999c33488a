import pytest
import torch
from torch import nn

from baselines.items import ItemLogits, item_embedding

ITEMS = [f"item-{n}" for n in range(400)]


def test_embeddings_start_small_around_zero() -> None:
    weight = item_embedding(ITEMS, 63, seed=0).weight[1:]
    assert weight.shape == (400, 63)
    assert weight.mean().item() == pytest.approx(0, abs=3e-4)
    assert weight.std().item() == pytest.approx(0.01, rel=0.02)


def test_logits_start_as_a_linear_layer_of_torch_does() -> None:
    ours, theirs = ItemLogits(ITEMS, 64, seed=0), nn.Linear(64, 400)
    for one, other in ((ours.weight[1:], theirs.weight), (ours.bias[1:], theirs.bias)):
        assert one.abs().max().item() <= 1 / 8
        assert one.abs().max().item() == pytest.approx(other.abs().max().item(), rel=0.05)
        assert one.std().item() == pytest.approx(1 / 8 / 3**0.5, rel=0.1)


def test_logits_are_those_of_a_linear_layer_at_the_target() -> None:
    ours, theirs = ItemLogits(ITEMS[:5], 3, seed=0), nn.Linear(3, 6)
    theirs.load_state_dict({"weight": ours.weight.detach(), "bias": ours.bias.detach()[:, 0]})
    state, target = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([1, 5, 3, 3])
    assert torch.allclose(ours(state, target), theirs(state)[torch.arange(4), target])


@pytest.mark.parametrize("subset", [ITEMS[5:6], ITEMS[:7][::-1], [*ITEMS, "another"]])
def test_the_values_of_an_item_do_not_depend_on_the_others(subset: list[str]) -> None:
    row, own = ITEMS.index("item-5") + 1, subset.index("item-5") + 1
    assert torch.equal(item_embedding(ITEMS, 8, 3).weight[row], item_embedding(subset, 8, 3).weight[own])
    all_logits, logits = ItemLogits(ITEMS, 8, 3), ItemLogits(subset, 8, 3)
    assert torch.equal(all_logits.weight[row], logits.weight[own])
    assert torch.equal(all_logits.bias[row], logits.bias[own])


def test_items_and_seeds_have_values_of_their_own() -> None:
    weight = item_embedding(ITEMS, 8, seed=0).weight
    assert len({tuple(row) for row in weight[1:].tolist()}) == len(ITEMS)
    assert not torch.equal(weight, item_embedding(ITEMS, 8, seed=1).weight)


def test_the_row_of_no_item_is_zero_and_is_not_trained() -> None:
    embedding = item_embedding(ITEMS[:2], 4, seed=0)
    embedding(torch.tensor([0, 1])).sum().backward()
    assert embedding.weight[0].tolist() == [0.0] * 4
    assert embedding.weight.grad is not None
    assert embedding.weight.grad.abs().sum(1).tolist() == [0.0, 4.0, 0.0]
