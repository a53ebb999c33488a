"""The progress of a training: told update by update, and drawn as a curve that can be watched."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainingArguments

from benchmark.seeding import derive_seed
from tallrec.disk import writing
from tallrec.processes import is_first, place
from tallrec.telling import Tell

CURVE = "curve.tsv"
"""File of a scratch folder to watch a training by."""


class ToldProgress(TrainerCallback):
    """One call an update, for the stage's own progress line; and the curve so far, to be watched."""

    def __init__(self, tell: Tell, curve: Path) -> None:
        self.tell = tell
        self.curve = curve

    def on_train_begin(self, args: TrainingArguments, state: Any, control: Any, **keywords: Any) -> None:
        """Give each process but the first one random numbers of its own; a checkpoint's win over them."""
        del state, control, keywords
        if not is_first():  # else all processes would drop out the same places of their rows
            torch.manual_seed(derive_seed("process", args.seed, place()))

    def on_step_end(self, args: TrainingArguments, state: Any, control: Any, **keywords: Any) -> None:
        """Tell the updates done."""
        del control, keywords
        if is_first():
            self.tell(state.global_step, args.max_steps)

    def on_log(self, args: TrainingArguments, state: Any, control: Any, **keywords: Any) -> None:
        """Write the curve."""
        del args, control, keywords
        if is_first():
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
