"""Each head on one sample, written out."""

import numpy as np
import pytest
import torch
from torch import Tensor

from baselines.heads import HEADS, PerItem, Shared, Tied, head, initial_rows
from baselines.items import embeddings, logit_rows
from baselines.replicas import Linear, Replicas

STATE_SIZE, ITEM_SIZE = 4, 3


def draw(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


def linear(layer: Linear, replica: int, x: np.ndarray) -> np.ndarray:
    return x @ layer.weight[replica].detach().numpy() + layer.bias[replica, 0].detach().numpy()


def test_per_item_is_the_row_times_the_state_and_its_bias() -> None:
    found = PerItem()(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), torch.tensor([[[0.5, -1.0, 0.25], [1.0, 0.0, -2.0]]]))
    # 0.5 * 1 - 1 * 2 + 0.25 and 1 * 3 + 0 * 4 - 2
    assert found.tolist() == [[-1.25, 1.0]]


def test_per_item_reads_the_linear_layer_of_torch_at_the_target() -> None:
    states, target = draw(2, 5, STATE_SIZE), torch.tensor([[0, 3, 3, 1, 2], [1, 1, 0, 2, 3]])
    rows = draw(2, 4, STATE_SIZE + 1)
    found = PerItem()(states, torch.stack([rows[replica, target[replica]] for replica in range(2)]))
    for replica in range(2):
        theirs = torch.nn.Linear(STATE_SIZE, 4, dtype=torch.float64)
        theirs.load_state_dict({"weight": rows[replica, :, :-1], "bias": rows[replica, :, -1]})
        assert torch.allclose(found[replica], theirs(states[replica])[torch.arange(5), target[replica]], atol=1e-12)


def test_tied_is_the_projected_state_times_the_embedding() -> None:
    tied = Tied(Replicas([0, 1]), STATE_SIZE, ITEM_SIZE).double()
    states, targets = draw(2, 5, STATE_SIZE), draw(2, 5, ITEM_SIZE)
    found = tied(states, targets).detach().numpy()
    for replica in range(2):
        for sample in range(5):
            state, target = states[replica, sample].numpy(), targets[replica, sample].numpy()
            expected = linear(tied.project, replica, state) @ target
            assert found[replica, sample] == pytest.approx(expected, abs=1e-12)


def test_shared_is_one_network_over_state_and_embedding() -> None:
    shared = Shared(Replicas([0, 1]), STATE_SIZE, ITEM_SIZE).double()
    states, targets = draw(2, 5, STATE_SIZE), draw(2, 5, ITEM_SIZE)
    found = shared(states, targets).detach().numpy()
    for replica in range(2):
        for sample in range(5):
            both = np.concatenate([states[replica, sample].numpy(), targets[replica, sample].numpy()])
            hidden = np.maximum(linear(shared.hidden, replica, both), 0)
            (expected,) = linear(shared.output, replica, hidden)
            assert found[replica, sample] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", HEADS)
def test_a_head_is_found_by_its_name_and_reads_rows_of_its_kind(name: str) -> None:
    found = head(name, Replicas([0, 1]), STATE_SIZE, ITEM_SIZE)
    rows = initial_rows(found.READS, STATE_SIZE, ITEM_SIZE)(["a", "b"], 7)
    own = {"per_item": logit_rows(STATE_SIZE), "tied": embeddings(ITEM_SIZE), "shared": embeddings(ITEM_SIZE)}[name]
    assert torch.equal(rows, own(["a", "b"], 7))
    assert found(torch.ones(2, 2, STATE_SIZE), rows.expand(2, -1, -1)).shape == (2, 2)


def test_an_unknown_head_is_refused() -> None:
    with pytest.raises(ValueError, match="head 'mean' is not one of per_item, tied, shared"):
        head("mean", Replicas([0]), STATE_SIZE, ITEM_SIZE)
