import pytest

from benchmark.errors import DataError
from benchmark.schema import Prediction
from tallrec.sentinels import refuse_inert

BASE = [Prediction("a", 0.1), Prediction("b", 0.2), Prediction("c", 0.3)]


def moved(by: float) -> list[Prediction]:
    """The base model's scores, one of them moved."""
    return [Prediction("c", 0.3), Prediction("a", 0.1 + by), Prediction("b", 0.2)]


def test_scores_of_the_base_model_are_refused_in_any_order() -> None:
    with pytest.raises(DataError, match="cell k16: its 3 scores are those of the model without the adapter"):
        refuse_inert("cell k16", moved(0.0), BASE)


def test_one_other_score_is_enough() -> None:
    refuse_inert("cell k16", moved(1e-9), BASE)


def test_constant_scores_are_refused() -> None:
    with pytest.raises(DataError, match=r"cell k16: all 3 scores are 0\.5, so they rank nothing"):
        refuse_inert("cell k16", [Prediction(name, 0.5) for name in "abc"], BASE)


def test_a_single_sample_may_have_any_score() -> None:
    refuse_inert("cell k16", [Prediction("a", 0.5)], BASE[:1])


def test_some_samples_are_enough_to_compare() -> None:
    with pytest.raises(DataError, match="its 2 scores are those of the model without the adapter"):
        refuse_inert("cell k16", moved(0.0), BASE[:2])
