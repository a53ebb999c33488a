"""The paper's two stages: instruction tuning ("alpaca tuning") and rec-tuning of the same LoRA weights."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from peft import PeftModel
from transformers import PreTrainedTokenizerBase, TrainerCallback

from benchmark.errors import DataError
from benchmark.schema import FewShotTask, Labelled
from benchmark.seeding import derive_seed
from benchmark.statistics.auc import chance_auc, roc_auc
from tallrec.models.architecture import positions_of
from tallrec.models.sharding import in_step
from tallrec.processes import gathered, own_share
from tallrec.prompts.chat import question_of
from tallrec.prompts.layouts import alpaca_template
from tallrec.scoring.samples import Scoring, encode_samples, score_encoded
from tallrec.telling import Tell, silent
from tallrec.training.fitting import Fitted, fit
from tallrec.training.rows import encode_row
from tallrec.training.schedule import Schedule
from tallrec.training.sentinels import refuse_unread_answers, taught_token


@dataclass(frozen=True, slots=True)
class Tuned:
    """What happened during a tuning."""

    log: list[dict[str, float]]
    """One entry a logged update or validation; `eval_auc` in the latter."""
    n_steps: int
    best_step: int | None
    best_auc: float | None
    n_resumed: int = 0
    """Updates that an earlier, killed run had done."""
    chance_auc: float | None = None
    """What a validation AUC must exceed to tell something (`benchmark.statistics.auc.chance_auc`)."""

    @property
    def is_at_chance(self) -> bool | None:
        """Whether no validation was better than chance; None without validation."""
        return None if self.best_auc is None or self.chance_auc is None else self.best_auc <= self.chance_auc


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
    tell: Tell = silent,
    settings: Mapping[str, Any] | None = None,
) -> Tuned:
    """Tune the adapter of `model` in place on rows with `instruction`, `input` and `output` (Alpaca's format).

    With `settings`, which name the base model, a killed run is taken up again (`tallrec.training.fitting.fit`).
    """
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
    return _tuned(fit(model, encoded, schedule, scratch, tell=tell, settings=settings))


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
    tell: Tell = silent,
    settings: Mapping[str, Any] | None = None,
    callbacks: Sequence[TrainerCallback] = (),
) -> Tuned:
    """Tune the adapter of `model` in place on the few-shot rows of `task`; its test samples are not looked at.

    With `settings`, which name the base model, a killed run is taken up again; `callbacks` are told of updates and
    validations (both: `tallrec.training.fitting.fit`).

    Rows of one class have no AUC: where no checkpoint is chosen by it, there is no validation then.

    Raises:
        DataError: the validation rows are of one class and a checkpoint is to be chosen by their AUC, or validation
            would read other tokens than tuning teaches.

    Source:
        Paper section 3; finetune_rec.py at c1db29ce.
    """
    valid = sorted(task.valid, key=lambda row: derive_seed("valid", row.sample.sample_id))[:max_valid_samples]
    labels = [row.liked for row in valid]
    has_auc = len(set(labels)) == 2
    if not has_auc and schedule.keep_best:
        raise DataError(
            f"validation rows: {sum(labels)} of {len(labels)} are liked, expected both labels to choose a checkpoint "
            "by AUC; fidelity.checkpoint: last chooses none"
        )
    if not has_auc:
        schedule = replace(schedule, eval_every=None)

    def encode(row: Labelled) -> dict[str, list[int]]:
        asked = question_of(tokenizer, scoring.style, row.sample, task.items, stray_comment=scoring.stray_comment)
        return encode_row(
            tokenizer,
            asked.text,
            asked.answers[row.liked],
            loss=loss,
            max_length=scoring.max_length,
            add_special_tokens=asked.add_special_tokens,
        )

    encoded = [encode(row) for row in task.train]
    n_positions = positions_of(model)
    to_validate = encode_samples(tokenizer, [row.sample for row in valid], task.items, scoring, n_positions=n_positions)
    shown = encode_samples(tokenizer, [row.sample for row in task.train], task.items, scoring)
    answer = {True: to_validate.tokens.yes, False: to_validate.tokens.no}
    refuse_unread_answers(
        shown.sample_ids,
        trained=[taught_token(row, prompt) for row, prompt in zip(encoded, shown.prompts, strict=True)],
        read=[answer[row.liked] for row in task.train],
    )

    if settings is not None:
        settings = {**settings, "scoring": asdict(scoring), "validation": [to_validate.prompts, labels]}

    ids, prompts = own_share(to_validate.sample_ids), own_share(to_validate.prompts)
    dropped = own_share(to_validate.dropped)
    share = replace(to_validate, sample_ids=tuple(ids), prompts=list(prompts), dropped=tuple(dropped))

    def validate() -> dict[str, float]:
        with in_step(model):
            scores = [prediction.score for prediction in score_encoded(model, share, scoring)]
        return {"auc": roc_auc(labels, gathered(scores))}

    fitted = fit(
        model, encoded, schedule, scratch, validate=validate, tell=tell, settings=settings, callbacks=callbacks
    )
    n_looks = sum("eval_auc" in entry for entry in fitted.log)
    users = [row.sample.user_id for row in valid]
    return replace(_tuned(fitted), chance_auc=chance_auc(labels, users, n_looks) if n_looks else None)


def _tuned(fitted: Fitted) -> Tuned:
    n_steps = int(max(entry["step"] for entry in fitted.log))
    evaluations = [entry for entry in fitted.log if "eval_auc" in entry]
    if not evaluations:
        return Tuned(fitted.log, n_steps, None, None, fitted.n_resumed)
    best = max(evaluations, key=lambda entry: entry["eval_auc"])
    return Tuned(fitted.log, n_steps, int(best["step"]), best["eval_auc"], fitted.n_resumed)
