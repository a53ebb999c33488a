from dataclasses import replace

import pytest

from benchmark.errors import SchemaError
from benchmark.schema import (
    Cell,
    FewShotTask,
    Interaction,
    Labelled,
    Prediction,
    Sample,
    check_predictions,
    item_ids,
    reveals,
)


@pytest.fixture
def predictions(toy_task: FewShotTask) -> list[Prediction]:
    return [Prediction(sample.sample_id, float(n)) for n, sample in enumerate(toy_task.test)]


def test_a_missing_score_is_refused(toy_task: FewShotTask, predictions: list[Prediction]) -> None:
    with pytest.raises(SchemaError, match=r"1 samples have no score \(of 8 test samples\), e\.g\. 'toy-test-0'"):
        check_predictions(predictions[1:], toy_task)


def test_a_score_of_another_sample_is_refused(toy_task: FewShotTask, predictions: list[Prediction]) -> None:
    with pytest.raises(SchemaError, match=r"are not test samples.*'toy-train-0'"):
        check_predictions([*predictions, Prediction("toy-train-0", 0.0)], toy_task)


def test_two_scores_of_one_sample_are_refused(toy_task: FewShotTask, predictions: list[Prediction]) -> None:
    with pytest.raises(SchemaError, match="scored more than once"):
        check_predictions([*predictions, predictions[0]], toy_task)


@pytest.mark.parametrize("score", [float("nan"), float("inf"), float("-inf")])
def test_a_score_that_is_not_finite_is_refused(
    toy_task: FewShotTask, predictions: list[Prediction], score: float
) -> None:
    with pytest.raises(SchemaError, match="not finite"):
        check_predictions([replace(predictions[0], score=score), *predictions[1:]], toy_task)


def test_a_labelled_sample_is_no_sample() -> None:
    assert not issubclass(Labelled, Sample)
    assert not hasattr(Sample, "liked")


def test_a_cell_reads_as_a_log_line() -> None:
    assert str(Cell("tuned", "rt-movie", "movie", "book", 64, 1)) == "rt-movie movie-book k64 seed1"


def test_items_of_samples_are_their_targets_and_histories() -> None:
    samples = [
        Sample("s0", "ann", (Interaction("i1", liked=True), Interaction("i2", liked=False)), "i3"),
        Sample("s1", "bob", (), "i1"),
    ]
    assert item_ids(samples) == {"i1", "i2", "i3"}


def test_a_row_reveals_the_one_before_by_the_end_of_its_history() -> None:
    row = Labelled(Sample("s0", "ann", (), "i1"), liked=True)
    for history, told in (((("i1", True),), True), ((("i1", False),), False), ((("i1", True), ("i2", True)), False)):
        following = Sample("s1", "ann", tuple(Interaction(*event) for event in history), "i3")
        assert reveals(row, Labelled(following, liked=False)) is told
    assert not reveals(row, row), "no history"
