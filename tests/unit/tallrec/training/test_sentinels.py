import pytest

from benchmark.errors import DataError
from benchmark.schema import Prediction
from tallrec.training.sentinels import refuse_inert, refuse_unread_answers, taught_token

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


def test_tuning_may_teach_what_validation_reads() -> None:
    refuse_unread_answers(["a", "b"], [5, 9], [5, 9])


@pytest.mark.parametrize(
    ("ids", "labels", "taught"),
    [
        ([0, 3, 4, 9, 1], [0, 3, 4, 9, 1], 9),
        ([0, 3, 4, 9, 1], [-100, -100, -100, 9, 1], 9),
        ([3, 4, 9, 1], [-100, -100, 9, 1], 9),  # cut at the left
        ([0, 3, 4, 9, 1], [-100, -100, -100, -100, 1], -100),  # the mask is one too long
        ([0, 3, 4, 7, 9, 1], [-100, -100, -100, 7, 9, 1], 7),  # a space before the answer
    ],
)
def test_what_a_row_teaches_is_read_where_the_prompt_ends(ids: list[int], labels: list[int], taught: int) -> None:
    assert taught_token({"input_ids": ids, "labels": labels}, [0, 3, 4]) == taught


@pytest.mark.parametrize("read", [[5, 5], [5, 17]])
def test_a_validation_that_reads_other_tokens_is_refused(read: list[int]) -> None:
    expected = f"^b: tuning teaches token 9 as the answer and validation reads token {read[1]}$"
    with pytest.raises(DataError, match=expected):
        refuse_unread_answers(["a", "b"], [5, 9], read)
