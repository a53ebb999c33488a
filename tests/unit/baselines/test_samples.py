"""Samples as tensors, by hand."""

import pytest
import torch

from baselines.group import _steps
from baselines.samples import Encoded, encode, items_in_histories, targets_of
from benchmark.schema import Interaction, Sample

ITEMS, TARGETS = ["a", "b", "c"], ["x", "y"]


def sample(target: str, *history: tuple[str, bool]) -> Sample:
    return Sample("id", "user", tuple(Interaction(*event) for event in history), target)


FULL = sample("y", ("a", True), ("c", False))
SHORT = sample("x", ("b", True))
LONG = sample("x", ("a", True), ("b", False), ("c", True))
EMPTY = sample("y")


def test_a_history_stands_in_a_column_oldest_first() -> None:
    found = encode([FULL, SHORT, LONG], ITEMS, TARGETS, 2)
    assert found.history.tolist() == [[[0, 1, 1], [2, 1, 2]]]
    assert found.liked.tolist() == [[[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]]]
    assert found.target.tolist() == [[1, 0, 0]]
    assert found.exists is None


def test_an_empty_history_does_not_exist() -> None:
    found = encode([FULL, EMPTY], ITEMS, TARGETS, 2)
    assert found.history.tolist() == [[[0, 0], [2, 0]]]
    assert found.liked.tolist() == [[[1.0, 0.5], [0.0, 0.5]]]
    assert found.exists is not None
    assert found.exists.tolist() == [[[1.0, 0.0], [1.0, 0.0]]]


def test_stacked_rows_of_replicas_keep_what_does_not_exist() -> None:
    found = Encoded.stacked([encode([FULL, SHORT], ITEMS, TARGETS, 2), encode([EMPTY, FULL], ITEMS, TARGETS, 2)])
    assert found.history.tolist() == [[[0, 1], [2, 1]], [[0, 0], [0, 2]]]
    assert found.target.tolist() == [[1, 0], [1, 1]]
    assert found.exists is not None
    assert found.exists.tolist() == [[[1.0, 1.0], [1.0, 1.0]], [[0.0, 1.0], [0.0, 1.0]]]
    assert Encoded.stacked([encode([FULL], ITEMS, TARGETS, 2)] * 2).exists is None


def test_a_batch_has_of_each_replica_its_own_rows() -> None:
    whole = Encoded.stacked(
        [encode([FULL, SHORT, LONG], ITEMS, TARGETS, 2), encode([EMPTY, FULL, SHORT], ITEMS, TARGETS, 2)]
    )
    found = whole.batch(torch.tensor([[2, 0], [0, 1]]))
    expected = Encoded.stacked([encode([LONG, FULL], ITEMS, TARGETS, 2), encode([EMPTY, FULL], ITEMS, TARGETS, 2)])
    for name in ("history", "liked", "target", "exists"):
        assert torch.equal(getattr(found, name), getattr(expected, name))


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_parts_are_the_whole_in_its_order(n: int) -> None:
    whole = encode([FULL, SHORT, EMPTY], ITEMS, TARGETS, 2)
    parts = list(whole.split(n))
    assert all(part.target.shape[1] <= n for part in parts)
    for name in ("history", "liked", "target", "exists"):
        assert torch.equal(torch.cat([getattr(part, name) for part in parts], dim=-1), getattr(whole, name))


def test_items_are_named_in_their_order() -> None:
    assert items_in_histories([LONG, FULL]) == ["a", "b", "c"]
    assert items_in_histories([EMPTY]) == [""]
    assert targets_of([FULL, SHORT, LONG]) == ["x", "y"]


def test_a_step_is_text_and_embedding_and_flag() -> None:
    rows = encode([FULL], ITEMS, TARGETS, 2)
    embeddings, texts = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), torch.tensor([[10.0], [20.0], [30.0]])
    found = _steps(embeddings[rows.history], rows, texts[rows.history])
    assert found[0, :, 0].tolist() == [[10.0, 1.0, 2.0, 1.0], [30.0, 5.0, 6.0, 0.0]]


def test_a_step_without_interaction_has_neither_text_nor_embedding() -> None:
    rows = encode([EMPTY], ITEMS, TARGETS, 2)
    found = _steps(torch.ones(1, 2, 1, 2), rows, torch.ones(1, 2, 1, 1))
    assert found[0, :, 0].tolist() == [[0.0, 0.0, 0.0, 0.5]] * 2
