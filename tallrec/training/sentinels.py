"""Refuse scores that cannot be those of a tuned model, and a validation that says nothing about it.

The failure that most users of the released code met is an adapter that was silently not saved or not applied: the
test AUC is then the base model's, near 0.46 and the same for every seed.

Source: issues 20, 23, 34, 39, 41, 53 and 58 of SAI990323/TALLRec.
"""

from collections.abc import Mapping, Sequence

from benchmark.errors import DataError
from benchmark.schema import Prediction

SAME = 1e-12
"""Scores that differ by less come from the same weights; one update changes them by far more."""


def refuse_inert(cell: str, tuned: Sequence[Prediction], base: Sequence[Prediction]) -> None:
    """Refuse the scores of a cell if its adapter has no effect.

    Args:
        cell: what is scored, for the message.
        tuned: scores with the adapter.
        base: scores of the same samples, or of some of them, without it.

    Raises:
        DataError: all scores are equal, or they are the base model's.
    """
    scores = [prediction.score for prediction in tuned]
    if len(scores) > 1 and max(scores) - min(scores) < SAME:
        raise DataError(f"{cell}: all {len(scores)} scores are {scores[0]:.6g}, so they rank nothing")
    of_tuned = {prediction.sample_id: prediction.score for prediction in tuned}
    if base and all(abs(prediction.score - of_tuned[prediction.sample_id]) < SAME for prediction in base):
        raise DataError(f"{cell}: its {len(base)} scores are those of the model without the adapter")


def taught_token(row: Mapping[str, Sequence[int]], prompt: Sequence[int]) -> int:
    """The token that a training row has a loss on where `prompt`, as validation encodes it, ends.

    Args:
        row: an encoded row, which may be cut at the left.
        prompt: the ids of its prompt up to where the answers differ.

    Returns:
        A label of the row; no token (-100) where the row has no loss there.
    """
    ids = list(row["input_ids"])
    ends = (n for n in range(min(len(ids) - 1, len(prompt)), 0, -1) if ids[:n] == list(prompt[-n:]))
    return row["labels"][next(ends, 0)]


def refuse_unread_answers(sample_ids: Sequence[str], trained: Sequence[int], read: Sequence[int]) -> None:
    """Refuse a validation that reads other tokens than those that tuning teaches.

    Its AUC is then a number about tokens that are no answers: in one public run it was 1 at every step.

    Args:
        sample_ids: names of the training rows, for the message.
        trained: the token whose probability each row raises where its answer begins.
        read: the token that validation reads as that answer.

    Raises:
        DataError: they differ in a row.

    Source:
        mhajiaghayi/tallrec, where the ids of LLaMA's tokenizer were used with another one.
    """
    for sample_id, token, expected in zip(sample_ids, trained, read, strict=True):
        if token != expected:
            raise DataError(
                f"{sample_id}: tuning teaches token {token} as the answer and validation reads token {expected}"
            )
