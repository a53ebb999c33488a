"""The one way an LLM is trained here: transformers' Trainer on encoded rows, with an AUC validation of our own."""

import inspect
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import EarlyStoppingCallback, PreTrainedModel, Trainer, TrainerCallback, TrainingArguments

from tallrec.encoding import Rows, collate


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


def silent(done: int, total: int) -> None:
    """Tell nobody of the updates done."""
    del done, total


class AucTrainer(Trainer):
    """Trainer whose evaluation is a function that returns metrics, e.g. the AUC on the validation rows."""

    def __init__(self, *, validate: Callable[[], Mapping[str, float]] | None, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.validate = validate

    def evaluate(self, *arguments: Any, **keywords: Any) -> dict[str, float]:
        """Metrics of `validate`, logged and shown to the callbacks as Trainer's own would be."""
        del arguments, keywords
        assert self.validate is not None
        metrics = {f"eval_{name}": value for name, value in self.validate().items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


class _Progress(TrainerCallback):
    """One call an update, for the stage's own progress line."""

    def __init__(self, tell: Callable[[int, int], object]) -> None:
        self.tell = tell

    def on_step_end(self, args: TrainingArguments, state: Any, control: Any, **keywords: Any) -> None:
        del control, keywords
        self.tell(state.global_step, args.max_steps)


def fit(
    model: PreTrainedModel | PeftModel,
    rows: Sequence[dict[str, list[int]]],
    schedule: Schedule,
    scratch: Path,
    *,
    validate: Callable[[], Mapping[str, float]] | None = None,
    tell: Callable[[int, int], object] = silent,
) -> list[dict[str, float]]:
    """Train `model` in place and return the log: one entry an evaluation or logged update.

    Args:
        model: what to train; only parameters that require gradients change.
        rows: encoded rows (`tallrec.encoding.encode_row`).
        schedule: how long and how fast; a batch never holds more rows than there are.
        scratch: folder for checkpoints, removed at the end.
        validate: metrics by name, `auc` among them where the best weights are kept.
        tell: told the updates done and to do after each update.

    Raises:
        ValueError: there is no row to train on.
    """
    if not rows:
        raise ValueError("no row to train on")
    batch_size = min(schedule.batch_size, len(rows))
    micro_batch_size = min(schedule.micro_batch_size, batch_size)
    cadence = "no" if schedule.eval_every is None else "steps"
    arguments = TrainingArguments(
        output_dir=str(scratch),
        max_steps=schedule.n_updates,
        per_device_train_batch_size=micro_batch_size,
        gradient_accumulation_steps=math.ceil(batch_size / micro_batch_size),
        learning_rate=schedule.learning_rate,
        warmup_steps=schedule.warmup_updates,
        lr_scheduler_type="linear",
        optim="adamw_torch",
        adam_beta2=schedule.adam_beta2,
        seed=schedule.seed,
        data_seed=schedule.seed,
        eval_strategy=cadence,
        eval_steps=schedule.eval_every,
        save_strategy=cadence,
        save_steps=schedule.eval_every or 500,
        save_total_limit=1,
        load_best_model_at_end=schedule.keep_best,
        metric_for_best_model="auc" if schedule.keep_best else None,
        greater_is_better=True if schedule.keep_best else None,
        **_checkpointing(schedule.gradient_checkpointing),
        logging_steps=max(1, schedule.n_updates // 20),
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        train_sampling_strategy="random",
        remove_unused_columns=False,
        report_to=[],
        disable_tqdm=True,
        log_level="error",
    )
    callbacks: list[TrainerCallback] = [_Progress(tell)]
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
    trainer.train()
    shutil.rmtree(scratch, ignore_errors=True)
    return [dict(entry) for entry in trainer.state.log_history]


def _printer() -> type[TrainerCallback]:
    from transformers.trainer_callback import PrinterCallback

    return PrinterCallback


def _checkpointing(is_on: bool) -> dict[str, Any]:
    """The Trainer's switch for gradient checkpointing, whose name changed in transformers 5."""
    names = inspect.signature(TrainingArguments).parameters
    new, old = "activation_checkpointing", "gradient_checkpointing"
    return {new if new in names else old: True} if is_on else {}
