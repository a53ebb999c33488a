from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmark.artifacts import files
from benchmark.errors import SchemaError
from benchmark.schema import Cell, FewShotTask, Prediction, Sample, check_predictions

CELL = Cell("tuned", "tallrec-both", "both", "book", 16, 0)

sample_ids = st.lists(st.text(st.characters(codec="utf-8"), max_size=8), min_size=1, max_size=20, unique=True)
finite = st.floats(allow_nan=False, allow_infinity=False)


def task_of(ids: list[str]) -> FewShotTask:
    return FewShotTask((), (), tuple(Sample(sample_id, "user", (), "item") for sample_id in ids), {}, 0)


@given(sample_ids, st.randoms(use_true_random=False), st.data())
def test_one_finite_score_a_sample_is_accepted_in_any_order(
    ids: list[str], random: Random, data: st.DataObject
) -> None:
    predictions = [Prediction(sample_id, data.draw(finite)) for sample_id in ids]
    random.shuffle(predictions)
    check_predictions(predictions, task_of(ids))


@given(sample_ids, st.data())
def test_any_single_damage_is_refused(ids: list[str], data: st.DataObject) -> None:
    predictions = [Prediction(sample_id, 0.5) for sample_id in ids]
    at = data.draw(st.integers(0, len(ids) - 1))
    score = data.draw(st.sampled_from([float("nan"), float("inf"), float("-inf")]))
    for damaged in (
        predictions[:at] + predictions[at + 1 :],
        [*predictions, predictions[at]],
        [*predictions, Prediction("".join(ids) + "other", 0.5)],
        [replace(p, score=score) if n == at else p for n, p in enumerate(predictions)],
    ):
        with pytest.raises(SchemaError):
            check_predictions(damaged, task_of(ids))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(ids=sample_ids, data=st.data())
def test_scores_come_back_bit_for_bit(repository: Path, ids: list[str], data: st.DataObject) -> None:
    scores = {sample_id: data.draw(finite) for sample_id in ids}
    files.write_predictions("predictions", CELL, [Prediction(name, score) for name, score in scores.items()])
    read = files.read_scores("predictions", CELL)
    assert read is not None
    assert {name: score.hex() for name, score in read.items()} == {n: s.hex() for n, s in scores.items()}
    assert list(read) == sorted(read)
