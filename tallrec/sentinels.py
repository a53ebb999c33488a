"""Refuse scores that cannot be those of a tuned model.

The failure that most users of the released code met is an adapter that was silently not saved or not applied: the
test AUC is then the base model's, near 0.46 and the same for every seed.

Source: issues 20, 23, 34, 39, 41, 53 and 58 of SAI990323/TALLRec.
"""

from collections.abc import Sequence

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
