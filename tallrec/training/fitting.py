"""The one way an LLM is trained here: transformers' Trainer on encoded rows, with an AUC validation of our own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import EarlyStoppingCallback, PreTrainedModel, TrainerCallback, TrainingArguments

from tallrec.models.architecture import refuse_unknown_tokens
from tallrec.models.sharding import is_sharded
from tallrec.processes import from_first, is_first, n_processes, wait_for_all
from tallrec.telling import Tell, silent
from tallrec.training.checkpoints import Checkpoint, StillThere, claim, digest_of_run, discard, last_whole, restore
from tallrec.training.micro_batches import collate, micro_batches
from tallrec.training.progress import CURVE, ToldProgress
from tallrec.training.rows import Rows
from tallrec.training.schedule import Schedule
from tallrec.training.trainer import AucTrainer


@dataclass(frozen=True, slots=True)
class Fitted:
    """What happened during a training."""

    log: list[dict[str, float]]
    """One entry an evaluation or logged update."""
    n_resumed: int
    """Updates that an earlier, killed run had done."""


def fit(
    model: PreTrainedModel | PeftModel,
    rows: Sequence[dict[str, list[int]]],
    schedule: Schedule,
    scratch: Path,
    *,
    validate: Callable[[], Mapping[str, float]] | None = None,
    tell: Tell = silent,
    settings: Mapping[str, Any] | None = None,
    callbacks: Sequence[TrainerCallback] = (),
) -> Fitted:
    """Train `model` in place.

    With `settings`, a run that was killed goes on from its last whole checkpoint and ends with the same weights, bit
    for bit, as one that was not. `scratch` then stays, for the caller to remove when the weights are stored.

    Args:
        model: what to train; only parameters that require gradients change.
        rows: encoded rows (`tallrec.training.rows.encode_row`).
        schedule: how long and how fast; a batch never holds more rows than there are.
        scratch: folder for checkpoints and the curve so far. One of a run with other settings, rows or code is removed
            first.
        validate: metrics by name, `auc` among them where the best weights are kept.
        tell: told the updates done and to do after each update.
        settings: what decides the result beside the other arguments, e.g. which base model this is and what
            `validate` does. None: nothing is taken over from an earlier run, and nothing left for a later one.
        callbacks: more of what the Trainer is to call, without a state of their own.

    Several processes (`tallrec.processes`) train together, and end with the same weights; `scratch` must be a folder
    that all of them see.

    Raises:
        ValueError: there is no row to train on.
        ConfigError: the rows of an update cannot be divided evenly among the processes.
        TrainingError: the loss or the gradients of an update are not finite.
        DataError: a checkpoint could not be written, or the model has no embedding for a token.
    """
    if not rows:
        raise ValueError("no row to train on")
    refuse_unknown_tokens(model, (row["input_ids"] for row in rows))

    def take_up() -> Checkpoint | None:
        if settings is None:
            discard(scratch)
            return None
        processes = {"n_processes": n_processes(), "sharded": is_sharded(model)}
        decisive = {**settings, "schedule": asdict(schedule), **processes}
        claim(scratch, digest_of_run(model, rows, decisive))
        return last_whole(scratch)

    # As the Trainer sets it, also where it has nothing left to do: the configuration is stored with the weights.
    model.config.use_cache = False
    found = from_first(take_up)
    if found is None or not found.is_last:
        told = [ToldProgress(tell, scratch / CURVE), *callbacks, *([StillThere(found.folder)] if found else [])]
        trainer = _trainer(model, rows, schedule, scratch, validate, told, is_resumable=settings is not None)
        trainer.train(resume_from_checkpoint=str(found.folder) if found else None)
        log, best = trainer.state.log_history, trainer.state.best_model_checkpoint
    else:
        log, best = found.log, found.best
        restore(model, found.folder)
    if schedule.keep_best:
        assert best is not None, "the Trainer keeps the checkpoint of the best validation"
        restore(model, Path(best))
    wait_for_all()
    if settings is None and is_first():
        discard(scratch)
    return Fitted([dict(entry) for entry in log], found.n_updates if found else 0)


def _trainer(
    model: PreTrainedModel | PeftModel,
    rows: Sequence[dict[str, list[int]]],
    schedule: Schedule,
    scratch: Path,
    validate: Callable[[], Mapping[str, float]] | None,
    callbacks: list[TrainerCallback],
    *,
    is_resumable: bool,
) -> AucTrainer:
    micro_batch_size, n_micro_batches = micro_batches(schedule, len(rows), n_processes())
    # Log and save together: the mean loss since the last entry is then the same in a resumed run.
    every = schedule.eval_every or max(1, schedule.n_updates // 20)
    arguments = TrainingArguments(
        output_dir=str(scratch),
        max_steps=schedule.n_updates,
        per_device_train_batch_size=micro_batch_size * n_processes(),  # each process reads all and takes its share
        ddp_find_unused_parameters=False,
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
        activation_checkpointing=schedule.gradient_checkpointing,
        activation_checkpointing_kwargs=checkpointing_settings(model) if schedule.gradient_checkpointing else None,
        logging_steps=every,
        logging_nan_inf_filter=False,  # which logs 0 where a loss is not a number; such a loss ends the training
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        train_sampling_strategy="random",
        remove_unused_columns=False,
        report_to=[],
        disable_tqdm=True,
        log_level="error",
    )
    # One process has one device: on several it would read as many micro-batches at a time.
    _ = arguments.device
    arguments._n_gpu = 1
    arguments.mixed_precision = "no"  # else that of `accelerate launch`, with updates that its scaler leaves out
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
