"""The one training loop of the conventional baselines: all draws, seeds and weight decays of a model in one run.

As in the released scripts, the score is the sigmoid of the target's logit, the loss its squared error against the
label, Adam has coupled L2 decay, short histories repeat their last interaction, and the checkpoint is chosen by the
AUC on the validation rows. Test samples are scored once, at the chosen checkpoint.

Draws of one size form a group, whose replicas (a draw with a seed and a decay) share every operation. Groups advance
side by side, since they share the idle rows. The result of a replica does not depend on its company, but for the
rounding of matrix products.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from baselines.group import Group, Run, Scored, Texts, Training
from baselines.model import Inputs, Model
from benchmark.errors import ConfigError, DataError
from benchmark.schema import FewShotTask, Labelled, Prediction, Sample

__all__ = ["Fitted", "Texts", "Training", "fit", "untold"]


def untold(*progress: object) -> None:
    """Tell nobody how far the work is."""
    del progress


@dataclass(frozen=True, slots=True)
class Fitted:
    """One replica at its chosen checkpoint."""

    predictions: list[Prediction]
    valid_auc: float


def fit(
    build: Callable[[Inputs], Model],
    tasks: Sequence[FewShotTask],
    training: Training,
    *,
    head_name: str = "per_item",
    weight_decays: Sequence[float],
    texts: Texts | None = None,
    tell: Callable[[int, int], object] = untold,
) -> list[list[Fitted]]:
    """Train on the draw of each task, choose each checkpoint on the validation rows, score the test samples.

    Args:
        build: the function `model` of a model file, with its own values bound.
        tasks: draws of one domain: their validation rows and test samples are the same.
        training: values of the loop.
        head_name: one of `baselines.heads.HEADS`.
        weight_decays: coupled decays of Adam; each draw is trained with each of them.
        texts: for models that read text.
        tell: told the updates done and to do after each validation.

    Returns:
        For each task, one `Fitted` a weight decay. Scores lie in (0, 1); `details` hold n_updates, best_update,
        valid_auc and weight_decay.

    Raises:
        DataError: a draw has no row, or the validation rows do not have both labels, so that they can choose no
            checkpoint; or an item has no text.
        ConfigError: training diverged.
        ValueError: the tasks differ in validation rows or test samples.
    """
    _check(tasks)
    valid, test = tasks[0].valid, tasks[0].test
    sizes = sorted({len(task.train) for task in tasks})
    with _threads(training.n_threads):
        run = Run(build, training, head_name, weight_decays, texts)
        groups = {size: Group(run, [task for task in tasks if len(task.train) == size]) for size in sizes}
        _train(list(groups.values()), run, valid, tell)
        scores = _test(list(groups.values()), run, test)
    taken = {size: iter(zip(groups[size].results(), scores[size], strict=True)) for size in sizes}
    fitted: list[list[Fitted]] = []
    for task in tasks:
        fitted.append([])
        for _ in weight_decays:
            details, values = next(taken[len(task.train)])
            rows = zip(test, values.tolist(), strict=True)
            predictions = [Prediction(sample.sample_id, score, details) for sample, score in rows]
            fitted[-1].append(Fitted(predictions, details["valid_auc"]))
    return fitted


def _train(groups: Sequence[Group], run: Run, valid: Sequence[Labelled], tell: Callable[[int, int], object]) -> None:
    labels = [row.liked for row in valid]
    scored = Scored([row.sample for row in valid], groups, run)
    last = run.training.n_updates
    for update in range(1, last + 1):
        for group in groups:
            group.step()
        if update % run.training.eval_every == 0 or update == last:
            scored.advance(update)
            for group in groups:
                group.keep(_aucs(labels, group.scores(scored), update), update)
            tell(update, last)


def _test(groups: Sequence[Group], run: Run, test: Sequence[Sample]) -> dict[int, Tensor]:
    """Scores of each group, by the size of its draws.

    Idle rows go through the checkpoints in their order; each replica takes them as they are at its own.
    """
    scored = Scored(test, groups, run)
    taken = {group: scored.idle_of(group.conditions_in(scored)) for group in groups}
    for update in sorted({update for group in groups for update in group.best_update.tolist()}):
        scored.advance(update)
        for group in groups:
            chosen = group.best_update == update
            for rows, now in zip(taken[group], scored.idle_of(group.conditions_in(scored)), strict=True):
                rows[chosen] = now[chosen]
    found: dict[int, Tensor] = {}
    for group in groups:
        group.restore()
        found[group.labels.shape[1]] = group.scores(scored, taken[group])
    return found


def _aucs(labels: Sequence[bool], scores: Tensor, update: int) -> Tensor:
    if not scores.isfinite().all():
        raise ConfigError(f"baselines.training.learning_rate: training diverged by update {update}")
    return torch.tensor([float(roc_auc_score(labels, row)) for row in scores.numpy()])


def _check(tasks: Sequence[FewShotTask]) -> None:
    for task in tasks:
        if not task.train:
            raise DataError("the few-shot draw: no training row, expected at least one")
        if task.valid != tasks[0].valid or task.test != tasks[0].test:
            raise ValueError("the tasks differ in their validation rows or test samples")
    labels = [row.liked for row in tasks[0].valid]
    if len(set(labels)) < 2:
        counts = f"{sum(labels)} of {len(labels)} are liked"
        raise DataError(f"validation rows: {counts}, expected both labels to choose a checkpoint by AUC")


@contextmanager
def _threads(n_threads: int) -> Generator[None, None, None]:
    """Torch's number of threads as the run needs it, and then as it was."""
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
