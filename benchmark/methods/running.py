"""Runs the cells of a stage: task -> predictions, checked and written, with provenance and progress."""

import functools
import hashlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from benchmark.artifacts.files import write_predictions
from benchmark.artifacts.provenance import recorded
from benchmark.schema import Cell, FewShotTask, Method, Prediction, Sample, asked_of, check_predictions

_LOG = logging.getLogger(__name__)


def run_cells(
    cells: Sequence[Cell],
    task_of: Callable[[Cell], FewShotTask],
    method_of: Callable[[Cell], Method],
    settings_of: Callable[[Cell], Mapping[str, Any]],
    notes_of: Callable[[Cell], Mapping[str, Any]] = lambda _: {},
) -> None:
    """Predict `cells` one after the other; each is written as soon as it is done.

    Args:
        cells: what to run, in order.
        task_of: the task of a cell.
        method_of: the method of a cell.
        settings_of: the values that decide the result of a cell, for its provenance.
        notes_of: what is to be said of its run once it is predicted, for its provenance too.

    Raises:
        SchemaError: a method broke the contract; its cell is not written.
    """
    start = time.perf_counter()
    for n_done, cell in enumerate(cells, start=1):
        task = task_of(cell)
        with recorded(cell, settings_of(cell)) as record:
            predictions = method_of(cell)(task)
            check_predictions(predictions, task)
            _write(cell, task, predictions, record)
            record.update(notes_of(cell))
        left = (time.perf_counter() - start) / n_done * (len(cells) - n_done)
        progress = f"{n_done} of {len(cells)} cells, {left:.0f} s left"
        _LOG.info("%s: %d samples scored (%s)", cell, len(predictions), progress)


def write_cells(
    cells: Sequence[Cell],
    task_of: Callable[[Cell], FewShotTask],
    predictions_of: Callable[[Cell], Sequence[Prediction]],
    settings: Mapping[str, Any],
    seconds: float,
) -> None:
    """Check and write the predictions of cells that were made together; each bears its share of the time.

    Args:
        cells: what was made.
        task_of: the task of a cell.
        predictions_of: its predictions.
        settings: the values that decide the results.
        seconds: what all of them took.

    Raises:
        SchemaError: predictions break the contract; nothing is written then.
    """
    for cell in cells:
        check_predictions(predictions_of(cell), task_of(cell))
    for cell in cells:
        with recorded(cell, settings, seconds_before=seconds / len(cells)) as record:
            _write(cell, task_of(cell), predictions_of(cell), record)
            record["n_made_together"] = len(cells)


def _write(cell: Cell, task: FewShotTask, predictions: Sequence[Prediction], record: dict[str, Any]) -> None:
    write_predictions("predictions", cell, predictions)
    record["test_sha256"] = rows_digest(task.test)
    record.update(n_train=len(task.train), n_valid=len(task.valid), n_test=len(task.test))
    record.update(_details_of_the_run(predictions))
    if all("n_prompt_tokens" in prediction.details for prediction in predictions):
        record["n_tokens"] = int(sum(prediction.details["n_prompt_tokens"] for prediction in predictions))
    dropped = [_n_dropped(prediction) for prediction in predictions]
    if any(n is not None for n in dropped):
        record["n_truncated"] = sum(bool(n) for n in dropped)
    if predictions and all("answer_mass" in prediction.details for prediction in predictions):
        record["answer_mass"] = fmean(prediction.details["answer_mass"] for prediction in predictions)


@functools.lru_cache(8)  # the cells of a stage share their test samples
def rows_digest(samples: tuple[Sample, ...]) -> str:
    """SHA-256, in hexadecimal, of what is asked: two runs that share it scored the same rows."""
    digest = hashlib.sha256()
    for sample in samples:
        digest.update(asked_of(sample).encode())
    return digest.hexdigest()


def _n_dropped(prediction: Prediction) -> float | None:
    """Demonstrations, interactions and tokens that a prompt lacks; None of a method that writes no prompt."""
    found = [prediction.details.get(f"n_dropped_{what}") for what in ("demonstrations", "interactions", "tokens")]
    return None if None in found else sum(n for n in found if n is not None)


def _details_of_the_run(predictions: Sequence[Prediction]) -> dict[str, float]:
    """Details that all samples share tell of the run, not of a sample: updates done, best checkpoint, ..."""
    first = dict(predictions[0].details) if predictions else {}
    return {name: value for name, value in first.items() if all(p.details.get(name) == value for p in predictions)}
