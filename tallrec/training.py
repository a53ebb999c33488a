"""The one way an LLM is trained here: transformers' Trainer on encoded rows, with an AUC validation of our own."""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import EarlyStoppingCallback, PreTrainedModel, Trainer, TrainerCallback, TrainingArguments

from tallrec.checkpoints import Checkpoint, claim, digest_of_run, discard, last_whole, restore, writing
from tallrec.encoding import Rows, by_length, collate
from tallrec.loss import LabelledLoss

CURVE = "curve.tsv"
"""File of a scratch folder to watch a training by."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast to train."""

    n_updates: int
    batch_size: int
    """Rows an update."""
    micro_batch_size: int
    learning_rate: float
    warmup_updates: int
    seed: int
    adam_beta2: float = 0.999
    """Decay of Adam's second moment."""
    eval_every: int | None = None
    """Updates between validations; None: no validation, the last weights are kept."""
    patience: int = 0
    """Validations without a better AUC before training stops."""
    keep_best: bool = False
    """Restore the weights with the best validation AUC at the end."""
    gradient_checkpointing: bool = False


@dataclass(frozen=True, slots=True)
class Fitted:
    """What happened during a training."""

    log: list[dict[str, float]]
    """One entry an evaluation or logged update."""
    n_resumed: int
    """Updates that an earlier, killed run had done."""


def silent(done: int, total: int) -> None:
    """Tell nobody of the updates done."""
    del done, total


class AucTrainer(Trainer):
    """Trainer whose evaluation is a function that returns metrics, e.g. the AUC on the validation rows.

    Its checkpoints are checked: that they reach the disk, and that all of their weights reach the model.
    """

    def __init__(self, *, validate: Callable[[], Mapping[str, float]] | None, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.validate = validate
        self.labelled_loss = LabelledLoss(keywords["model"], shares_beginning=True)

    def compute_loss(self, model: Any, inputs: dict[str, Any], *arguments: Any, **keywords: Any) -> Any:
        """Trainer's own, scaled as it does, from the logits of positions with a label alone."""
        if self.args.n_gpu > 1:  # one process for several devices copies the model, and with it what the loss hooks
            return super().compute_loss(model, inputs, *arguments, **keywords)

        def forward(**batch: Any) -> dict[str, Any]:
            return {"loss": self.labelled_loss(model, **batch)}

        return super().compute_loss(forward, inputs, *arguments, **keywords)  # pyright: ignore[reportArgumentType]

    def get_batch_samples(self, *arguments: Any, **keywords: Any) -> Any:
        """Trainer's own: the micro-batches of an update and their number of labels; here grouped by length."""
        batches, n_labels = super().get_batch_samples(*arguments, **keywords)
        return by_length(batches), n_labels

    def evaluate(self, *arguments: Any, **keywords: Any) -> dict[str, float]:
        """Metrics of `validate`, logged and shown to the callbacks as Trainer's own would be."""
        del arguments, keywords
        assert self.validate is not None
        metrics = {f"eval_{name}": value for name, value in self.validate().items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _save_checkpoint(self, *arguments: Any, **keywords: Any) -> None:
        with writing(Path(self.args.output_dir or "")):
            super()._save_checkpoint(*arguments, **keywords)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, *arguments: Any, **keywords: Any) -> None:
        del arguments, keywords
        assert isinstance(self.model, PreTrainedModel | PeftModel)
        restore(self.model, Path(resume_from_checkpoint))


class _Progress(TrainerCallback):
    """One call an update, for the stage's own progress line; and the curve so far, to be watched."""

    def __init__(self, tell: Callable[[int, int], object], curve: Path) -> None:
        self.tell = tell
        self.curve = curve

    def on_step_end(self, args: TrainingArguments, state: Any, control: Any, **keywords: Any) -> None:
        del control, keywords
        self.tell(state.global_step, args.max_steps)

    def on_log(self, args: TrainingArguments, state: Any, control: Any, **keywords: Any) -> None:
        del args, control, keywords
        with writing(self.curve):
            write_curve(self.curve, state.log_history)


def write_curve(path: Path, log: Sequence[Mapping[str, float]]) -> None:
    """Write loss and AUC by update as tab-separated values, which `dvc plots show` draws while training goes on."""
    by_step: dict[float, dict[str, float]] = {}
    for entry in log:
        by_step.setdefault(entry["step"], {}).update(entry)
    lines = [f"{step}\t{found.get('loss', '')}\t{found.get('eval_auc', '')}\n" for step, found in by_step.items()]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(["step\tloss\tauc\n", *lines]), encoding="utf-8")


def fit(
    model: PreTrainedModel | PeftModel,
    rows: Sequence[dict[str, list[int]]],
    schedule: Schedule,
    scratch: Path,
    *,
    validate: Callable[[], Mapping[str, float]] | None = None,
    tell: Callable[[int, int], object] = silent,
    settings: Mapping[str, Any] | None = None,
) -> Fitted:
    """Train `model` in place.

    With `settings`, a run that was killed goes on from its last whole checkpoint and ends with the same weights, bit
    for bit, as one that was not. `scratch` then stays, for the caller to remove when the weights are stored.

    Args:
        model: what to train; only parameters that require gradients change.
        rows: encoded rows (`tallrec.encoding.encode_row`).
        schedule: how long and how fast; a batch never holds more rows than there are.
        scratch: folder for checkpoints and the curve so far. One of a run with other settings, rows or code is removed
            first.
        validate: metrics by name, `auc` among them where the best weights are kept.
        tell: told the updates done and to do after each update.
        settings: what decides the result beside the other arguments, e.g. which base model this is and what
            `validate` does. None: nothing is taken over from an earlier run, and nothing left for a later one.

    Raises:
        ValueError: there is no row to train on.
        DataError: a checkpoint could not be written.
    """
    if not rows:
        raise ValueError("no row to train on")
    found: Checkpoint | None = None
    if settings is None:
        discard(scratch)
    else:
        claim(scratch, digest_of_run(model, rows, {**settings, "schedule": asdict(schedule)}))
        found = last_whole(scratch)
    if found is None or not found.is_last:
        trainer = _trainer(model, rows, schedule, scratch, validate, tell, is_resumable=settings is not None)
        trainer.train(resume_from_checkpoint=str(found.folder) if found else None)
        log, best = trainer.state.log_history, trainer.state.best_model_checkpoint
    else:
        log, best = found.log, found.best
        restore(model, found.folder)
    if schedule.keep_best:
        assert best is not None, "the Trainer keeps the checkpoint of the best validation"
        restore(model, Path(best))
    if settings is None:
        discard(scratch)
    return Fitted([dict(entry) for entry in log], found.n_updates if found else 0)


def micro_batches(schedule: Schedule, n_rows: int) -> tuple[int, int]:
    """Rows of a micro-batch, no more than the schedule allows, and micro-batches an update.

    Together they are the batch exactly. Only where one batch holds all rows may the last micro-batch be shorter.
    """
    batch_size = min(schedule.batch_size, n_rows)
    n_micro_batches = math.ceil(batch_size / schedule.micro_batch_size)
    while batch_size < n_rows and batch_size % n_micro_batches:
        n_micro_batches += 1
    return math.ceil(batch_size / n_micro_batches), n_micro_batches


def _trainer(
    model: PreTrainedModel | PeftModel,
    rows: Sequence[dict[str, list[int]]],
    schedule: Schedule,
    scratch: Path,
    validate: Callable[[], Mapping[str, float]] | None,
    tell: Callable[[int, int], object],
    *,
    is_resumable: bool,
) -> AucTrainer:
    micro_batch_size, n_micro_batches = micro_batches(schedule, len(rows))
    # Log and save together: the mean loss since the last entry is then the same in a resumed run.
    every = schedule.eval_every or max(1, schedule.n_updates // 20)
    arguments = TrainingArguments(
        output_dir=str(scratch),
        max_steps=schedule.n_updates,
        per_device_train_batch_size=micro_batch_size,
        gradient_accumulation_steps=n_micro_batches,
        learning_rate=schedule.learning_rate,
        warmup_steps=schedule.warmup_updates,
        lr_scheduler_type="linear",
        optim="adamw_torch",
        adam_beta2=schedule.adam_beta2,
        seed=schedule.seed,
        data_seed=schedule.seed,
        eval_strategy="no" if schedule.eval_every is None else "steps",
        eval_steps=schedule.eval_every,
        save_strategy="steps" if is_resumable or schedule.eval_every else "no",
        save_steps=every,
        # With a limit of 1, the Trainer removes the last checkpoint at the end and leaves the best one alone.
        save_total_limit=2,
        restore_callback_states_from_checkpoint=True,
        metric_for_best_model="auc" if schedule.keep_best else None,
        greater_is_better=True if schedule.keep_best else None,
        **_checkpointing(schedule.gradient_checkpointing, model),
        logging_steps=every,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        train_sampling_strategy="random",
        remove_unused_columns=False,
        report_to=[],
        disable_tqdm=True,
        log_level="error",
    )
    callbacks: list[TrainerCallback] = [_Progress(tell, scratch / CURVE)]
    if schedule.keep_best:
        callbacks.append(EarlyStoppingCallback(early_stopping_patience=schedule.patience))
    trainer = AucTrainer(
        validate=validate,
        model=model,
        args=arguments,
        train_dataset=Rows(rows),
        eval_dataset=Rows(rows[:1]),
        data_collator=collate,
        callbacks=callbacks,
    )
    trainer.remove_callback(_printer())
    return trainer


def _printer() -> type[TrainerCallback]:
    from transformers.trainer_callback import PrinterCallback

    return PrinterCallback


def checkpointing_settings(model: PreTrainedModel | PeftModel) -> dict[str, bool]:
    """How activations are dropped and computed again.

    The layers of bitsandbytes in 8 bits keep their input in a way that torch's newer checkpointing cannot see: with it
    they drop nothing. The older one runs the forward pass without gradients, so there is nothing to keep.
    """
    return {"use_reentrant": bool(getattr(model, "is_loaded_in_8bit", False))}


def _checkpointing(is_on: bool, model: PreTrainedModel | PeftModel) -> dict[str, Any]:
    """The Trainer's switch for gradient checkpointing, whose name changed in transformers 5."""
    names = inspect.signature(TrainingArguments).parameters
    name = "activation_checkpointing" if "activation_checkpointing" in names else "gradient_checkpointing"
    return {name: True, f"{name}_kwargs": checkpointing_settings(model)} if is_on else {}
