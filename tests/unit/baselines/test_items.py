"""Rows of items: their initial values, and how idle ones go on without being trained."""

from math import sqrt

import pytest
import torch
from torch import Tensor, nn

from baselines import items
from baselines.items import IdleRows, InitialRows, ItemRows, embeddings, logit_rows

IDS = [f"item-{n}" for n in range(400)]
KINDS = {"embeddings": embeddings(8), "logit_rows": logit_rows(8)}


def test_embeddings_start_normal_around_zero() -> None:
    values = embeddings(63)(IDS, 0)
    assert values.shape == (400, 63)
    assert values.dtype == torch.float32
    assert values.mean().item() == pytest.approx(0, abs=3e-4)
    assert values.std().item() == pytest.approx(0.01, rel=0.02)
    for sds, share in ((1, 0.6827), (2, 0.9545), (3, 0.9973)):  # of a normal distribution
        assert (values.abs() < sds * 0.01).float().mean().item() == pytest.approx(share, abs=0.01)


def test_logit_rows_start_as_a_linear_layer_of_torch_does() -> None:
    ours, theirs = logit_rows(64)(IDS, 0), nn.Linear(64, 400)
    assert ours.shape == (400, 65)
    for one, other in ((ours[:, :-1], theirs.weight), (ours[:, -1], theirs.bias)):
        assert one.abs().max().item() <= 1 / 8
        assert one.abs().max().item() == pytest.approx(other.abs().max().item(), rel=0.05)
        assert one.std().item() == pytest.approx(1 / 8 / sqrt(3), rel=0.1)


def test_columns_are_not_correlated() -> None:
    for rows in (embeddings(8)(IDS, 0), logit_rows(7)(IDS, 0)):
        off_diagonal = torch.corrcoef(rows.T) - torch.eye(8)
        assert off_diagonal.abs().max().item() < 4 / sqrt(len(IDS))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("subset", [IDS[5:6], IDS[:7][::-1], [*IDS, "another"]])
def test_the_values_of_an_item_do_not_depend_on_the_others(kind: str, subset: list[str]) -> None:
    rows = KINDS[kind]
    assert torch.equal(rows(IDS, 3)[5], rows(subset, 3)[subset.index("item-5")])


@pytest.mark.parametrize("kind", KINDS)
def test_items_and_seeds_have_values_of_their_own(kind: str) -> None:
    values = KINDS[kind](IDS, 0)
    assert len({tuple(row) for row in values.tolist()}) == len(IDS)
    assert (values != KINDS[kind](IDS, 1)).float().mean().item() > 0.99
    assert torch.equal(values, KINDS[kind](IDS, 0))


def test_roles_have_values_of_their_own() -> None:
    both = torch.stack([embeddings(9)(IDS, 0).flatten(), logit_rows(8)(IDS, 0).flatten()])
    assert torch.corrcoef(both)[0, 1].abs().item() < 4 / sqrt(both.shape[1])


def test_no_item_has_no_row() -> None:
    assert embeddings(8)([], 0).shape == (0, 8)
    assert logit_rows(8)([], 0).shape == (0, 9)


def untrained_by_torch(initial: Tensor, decay: float, n_updates: int, learning_rate: float) -> Tensor:
    """Adam of torch on a parameter that data gives no gradient, only decay."""
    parameter = nn.Parameter(initial.clone())
    optimizer = torch.optim.Adam([parameter], learning_rate, weight_decay=decay)
    for _ in range(n_updates):
        parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
    return parameter.detach()


@pytest.mark.parametrize("rows", [embeddings(5), logit_rows(4)])
@pytest.mark.parametrize("values_at_once", [1 << 16, 7])
def test_idle_rows_go_on_as_adam_moves_a_parameter_without_gradient(
    rows: InitialRows, values_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(items, "VALUES_AT_ONCE", values_at_once)
    conditions = [(seed, decay) for seed in (0, 1) for decay in (0.0, 1e-7, 1e-5, 1e-3, 1e-2, 1.0)]
    idle = IdleRows(IDS[:6], rows, conditions, learning_rate=0.001)
    assert idle.values.shape == (12, 6, 5)
    for n_updates in (1, 2, 10, 10, 60):
        idle.advance(n_updates)
        for values, (seed, decay) in zip(idle.values, conditions, strict=True):
            expected = untrained_by_torch(rows(IDS[:6], seed), decay, n_updates, 0.001)
            assert torch.allclose(values, expected, rtol=0, atol=1e-7)


def test_idle_rows_without_decay_stay_and_with_decay_shrink() -> None:
    idle = IdleRows(IDS, embeddings(5), [(0, 0.0), (0, 1e-2)], learning_rate=1e-4)
    start = idle.values.clone()
    idle.advance(20)
    assert torch.equal(idle.values[0], start[0])
    assert idle.values[1].abs().sum().item() < 0.9 * start[1].abs().sum().item()


def test_learned_rows_start_at_the_values_of_their_seeds() -> None:
    found = ItemRows(IDS[:3], embeddings(4), [5, 6, 5]).learned
    expected = [embeddings(4)(IDS[:3], seed) for seed in (5, 6, 5)]
    assert torch.equal(found.detach(), torch.stack(expected))


def test_look_up_takes_of_each_replica_its_own_rows() -> None:
    rows = ItemRows(IDS[:3], embeddings(4), [5, 6])
    asked = torch.tensor([[[0, 2], [1, 1]], [[2, 2], [0, 1]]])
    found = rows.look_up(asked)
    assert found.shape == (2, 2, 2, 4)
    for replica, first, second in torch.cartesian_prod(*[torch.arange(2)] * 3).tolist():
        expected = rows.learned[replica, asked[replica, first, second]]
        assert torch.equal(found[replica, first, second], expected)
    assert torch.equal(rows.look_up(torch.tensor([[1], [2]])), rows.learned[[0, 1], [1, 2]].unsqueeze(1))
    found.sum().backward()
    assert rows.learned.grad is not None
    assert rows.learned.grad[..., 0].tolist() == [[1.0, 2.0, 1.0], [1.0, 1.0, 2.0]]  # how often each was asked for


def test_learned_rows_are_put_over_those_of_the_same_items_alone() -> None:
    learned = ItemRows(["b", "d", "z"], embeddings(4), [5, 6])
    with torch.no_grad():
        learned.learned.add_(torch.arange(1.0, 3.0).view(2, 1, 1))
    names = ["a", "b", "c", "d"]
    idle = IdleRows(names, embeddings(4), [(5, 0.1), (6, 0.0)], learning_rate=0.001)
    idle.advance(3)
    table = idle.values.clone()
    learned.put_learned(names, table)
    for replica in range(2):
        assert torch.equal(table[replica, [0, 2]], idle.values[replica, [0, 2]])
        assert torch.equal(table[replica, [1, 3]], learned.learned[replica, [0, 1]])
    assert not table.requires_grad


def test_where_no_item_is_learned_the_table_stays() -> None:
    table = embeddings(4)(["a", "b"], 5).expand(2, -1, -1).clone()
    ItemRows(["z"], embeddings(4), [5, 5]).put_learned(["a", "b"], table)
    assert torch.equal(table, embeddings(4)(["a", "b"], 5).expand(2, -1, -1))
