"""The paper's two stages: instruction tuning ("alpaca tuning") and rec-tuning of the same LoRA weights."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from peft import PeftModel
from sklearn.metrics import roc_auc_score
from transformers import PreTrainedTokenizerBase

from benchmark.errors import DataError
from benchmark.schema import FewShotTask
from benchmark.seeding import derive_seed
from tallrec.encoding import encode_row
from tallrec.prompts import ANSWERS, alpaca_template, render
from tallrec.scoring import Scoring, score_samples
from tallrec.training import Schedule, fit, silent


@dataclass(frozen=True, slots=True)
class Tuned:
    """What happened during a tuning."""

    log: list[dict[str, float]]
    """One entry a logged update or validation; `eval_auc` in the latter."""
    n_steps: int
    best_step: int | None
    best_auc: float | None


def instruction_tune(
    model: PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Mapping[str, str]],
    schedule: Schedule,
    scratch: Path,
    *,
    loss: str,
    stray_comment: bool,
    max_length: int,
    tell: Callable[[int, int], object] = silent,
) -> Tuned:
    """Tune the adapter of `model` in place on rows with `instruction`, `input` and `output` (Alpaca's format)."""
    encoded = [
        encode_row(
            tokenizer,
            alpaca_template(row["instruction"], row["input"], stray_comment),
            row["output"],
            loss=loss,
            max_length=max_length,
        )
        for row in rows
    ]
    return _tuned(fit(model, encoded, schedule, scratch, tell=tell))


def rec_tune(
    model: PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    task: FewShotTask,
    schedule: Schedule,
    scoring: Scoring,
    scratch: Path,
    *,
    loss: str,
    max_valid_samples: int | None,
    tell: Callable[[int, int], object] = silent,
) -> Tuned:
    """Tune the adapter of `model` in place on the few-shot rows of `task`; its test samples are not looked at.

    Raises:
        DataError: the validation rows hold one class, so that their AUC is not defined.

    Source:
        Paper section 3; finetune_rec.py at c1db29ce.
    """
    valid = sorted(task.valid, key=lambda row: derive_seed("valid", row.sample.sample_id))[:max_valid_samples]
    labels = [row.liked for row in valid]
    if len(set(labels)) != 2:
        raise DataError(f"validation: {len(labels)} rows of one class, so their AUC is not defined")
    encoded = [
        encode_row(
            tokenizer,
            render(scoring.style, row.sample, task.items, stray_comment=scoring.stray_comment),
            ANSWERS[row.liked],
            loss=loss,
            max_length=scoring.max_length,
        )
        for row in task.train
    ]

    def validate() -> dict[str, float]:
        samples = [row.sample for row in valid]
        predictions = score_samples(model, tokenizer, samples, task.items, scoring)
        return {"auc": float(roc_auc_score(labels, [prediction.score for prediction in predictions]))}

    return _tuned(fit(model, encoded, schedule, scratch, validate=validate, tell=tell))


def _tuned(log: list[dict[str, float]]) -> Tuned:
    n_steps = int(max(entry["step"] for entry in log))
    evaluations = [entry for entry in log if "eval_auc" in entry]
    if not evaluations:
        return Tuned(log, n_steps, None, None)
    best = max(evaluations, key=lambda entry: entry["eval_auc"])
    return Tuned(log, n_steps, int(best["step"]), best["eval_auc"])
