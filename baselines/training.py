"""The one training loop of the conventional baselines: all draws, seeds and weight decays of a model in one run.

As in the released scripts, the score is the sigmoid of the target's logit, the loss its squared error against the
label, Adam has coupled L2 decay, short histories repeat their last interaction, and the checkpoint is chosen by the
AUC on the validation rows. Test samples are scored at the chosen checkpoint, and if asked after the last update too.

Draws of one size form two groups, whose replicas (a draw with a seed and a decay) share every operation. Groups advance
side by side, since they share the idle rows, each on a thread of its own. The result of a replica does not depend on
the number of threads, nor on its company, but for the rounding of matrix products.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from baselines.group import Group, Run, Scored, Texts, Training
from baselines.model import Inputs, Model
from benchmark.errors import ConfigError, DataError
from benchmark.schema import FewShotTask, Labelled, Prediction, Sample

__all__ = ["Fitted", "Scores", "Texts", "Training", "fit", "untold"]


def untold(*progress: object) -> None:
    """Tell nobody how far the work is."""
    del progress


class Scores(Sequence[Prediction]):
    """Predictions that are made when asked for; as numbers, those of all draws of a large domain fit in memory.

    Args:
        samples: what was scored.
        values: a score each, (n,).
        details: that all of them share.
    """

    def __init__(self, samples: Sequence[Sample], values: NDArray[np.float32], details: Mapping[str, float]) -> None:
        self._samples, self._values, self._details = samples, values, details

    def __len__(self) -> int:
        return len(self._samples)

    @overload
    def __getitem__(self, index: int) -> Prediction: ...
    @overload
    def __getitem__(self, index: slice) -> "Scores": ...
    def __getitem__(self, index: int | slice) -> "Prediction | Scores":
        if isinstance(index, slice):
            return Scores(self._samples[index], self._values[index], self._details)
        return Prediction(self._samples[index].sample_id, self._values[index].item(), self._details)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __iter__(self) -> Iterator[Prediction]:
        for sample, score in zip(self._samples, self._values, strict=True):
            yield Prediction(sample.sample_id, score.item(), self._details)


@dataclass(frozen=True, slots=True)
class Fitted:
    """One replica at its chosen checkpoint."""

    predictions: Scores
    valid_auc: float
    last: Scores | None = None
    """After the last update, whatever the validation rows say."""


def fit(
    build: Callable[[Inputs], Model],
    tasks: Sequence[FewShotTask],
    training: Training,
    *,
    head_name: str = "per_item",
    weight_decays: Sequence[float],
    texts: Texts | None = None,
    with_last: bool = False,
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
        with_last: score the test samples after the last update too.
        tell: told the updates done and to do after each validation.

    Returns:
        For each task, one `Fitted` a weight decay. Scores lie in (0, 1); `details` hold n_updates, best_update (of the
        chosen checkpoint), valid_auc and weight_decay.

    Raises:
        DataError: a draw has no row, or the validation rows do not have both labels, so that they can choose no
            checkpoint; or an item has no text.
        ConfigError: training diverged.
        ValueError: the tasks differ in validation rows or test samples.
    """
    _check(tasks)
    valid, test = tasks[0].valid, tasks[0].test
    with (
        _one_thread(),
        ThreadPoolExecutor(training.n_threads, initializer=torch.set_num_threads, initargs=(1,)) as pool,
    ):
        run = Run(build, training, head_name, weight_decays, texts)
        members = _members(tasks)
        groups = [Group(run, [tasks[index] for index in own]) for own in members]
        _train(groups, run, valid, pool, tell)
        at_best, at_last = _test(groups, run, test, pool, with_last=with_last)
    fitted: list[list[Fitted]] = [[] for _ in tasks]
    for group, own, best, last in zip(groups, members, at_best, at_last, strict=True):
        chosen = _scores(test, best, group.results())
        final = [None] * len(chosen) if last is None else _scores(test, last, group.results(at_last=True))
        taken = iter(zip(chosen, group.best_auc.tolist(), final, strict=True))
        for index in own:
            fitted[index] += [Fitted(*next(taken)) for _ in weight_decays]
    return fitted


def _scores(samples: Sequence[Sample], values: Tensor, details: Sequence[Mapping[str, float]]) -> list[Scores]:
    return [Scores(samples, own.numpy(), of_replica) for own, of_replica in zip(values, details, strict=True)]


def _members(tasks: Sequence[FewShotTask]) -> list[list[int]]:
    """Places in `tasks` of the draws of each group: halves of those of one size, the longest work first.

    Halves, so that two threads have the same work to do; whatever the number of threads, so that results repeat.
    """
    members: list[list[int]] = []
    for size in sorted({len(task.train) for task in tasks}, reverse=True):
        own = [index for index, task in enumerate(tasks) if len(task.train) == size]
        half = (len(own) + 1) // 2
        members += [part for part in (own[:half], own[half:]) if part]
    return members


def _train(
    groups: Sequence[Group],
    run: Run,
    valid: Sequence[Labelled],
    pool: Executor,
    tell: Callable[[int, int], object],
) -> None:
    labels = torch.tensor([row.liked for row in valid])
    scored = Scored([row.sample for row in valid], groups, run)
    done, last = 0, run.training.n_updates
    while done < last:
        update = min(done + run.training.eval_every, last)
        idle = pool.submit(scored.advance, update)  # first in the queue, since all groups wait for it
        list(pool.map(partial(_go_on, scored=scored, labels=labels, done=done, update=update, idle=idle), groups))
        tell(update, last)
        done = update


def _go_on(group: Group, scored: Scored, labels: Tensor, done: int, update: int, idle: Future[None]) -> None:
    """Train a group from `done` updates to `update`, and validate it."""
    for _ in range(done, update):
        group.step()
    idle.result()
    scores = group.scores(scored)
    if not scores.isfinite().all():
        raise ConfigError(f"baselines.training.learning_rate: training diverged by update {update}")
    group.keep(aucs(labels, scores), update)


def _test(
    groups: Sequence[Group], run: Run, test: Sequence[Sample], pool: Executor, *, with_last: bool
) -> tuple[list[Tensor], Sequence[Tensor | None]]:
    """Scores of each group at its checkpoints, and as training left it.

    Idle rows go through the checkpoints in their order; each replica takes them as they are at its own.
    """
    scored = Scored(test, groups, run)
    taken = [scored.idle_of(group.conditions_in(scored)) for group in groups]
    for update in sorted({update for group in groups for update in group.best_update.tolist()}):
        scored.advance(update)
        for group, own in zip(groups, taken, strict=True):
            chosen = (group.best_update == update).nonzero().flatten().tolist()
            if chosen:
                conditions = group.conditions_in(scored)
                now = scored.idle_of([conditions[replica] for replica in chosen])
                for rows, values in zip(own, now, strict=True):
                    rows[chosen] = values
    last: Sequence[Tensor | None] = [None] * len(groups)
    if with_last:
        scored.advance(run.training.n_updates)
        last = list(pool.map(lambda group: group.scores(scored), groups))

    def at_best(group: Group, own: tuple[Tensor, Tensor]) -> Tensor:
        group.restore()
        return group.scores(scored, own)

    return list(pool.map(at_best, groups, taken)), last


def aucs(labels: Tensor, scores: Tensor) -> Tensor:
    """AUC of each replica, labels (n,) and scores (R, n) -> (R,): share of pairs in order, a tie counts one half."""
    liked, disliked = scores[:, labels].contiguous(), scores[:, ~labels].sort().values
    below, not_above = (torch.searchsorted(disliked, liked, right=right).sum(1) for right in (False, True))
    return (below + not_above).double() / (2 * liked.shape[1] * disliked.shape[1])


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
def _one_thread() -> Generator[None, None, None]:
    """One thread for each operation of torch, and then as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
