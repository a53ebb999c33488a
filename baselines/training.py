"""The one training loop of the conventional baselines; the checkpoint is chosen by validation AUC.

A model file gives a module (history, liked, target) -> logit; all else is here. As in the released scripts,
the score is the sigmoid of the target's logit, the loss its squared error against the label, Adam has
coupled L2 decay, and short histories repeat their last interaction. Test samples are scored once, at the
chosen checkpoint.
"""

import copy
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from baselines.items import NO_ITEM
from benchmark.errors import ConfigError, DataError
from benchmark.schema import FewShotTask, Prediction, Sample
from benchmark.seeding import derive_seed

SCORING_ROWS = 1024
"""Rows scored at once; bounds memory."""

UNKNOWN_LABEL = 0.5
"""Liked flag of an empty history, which has no interaction to repeat."""


@dataclass(frozen=True, slots=True)
class Training:
    """Values of the loop; the section `baselines.training` of `params.yaml`."""

    learning_rate: float
    weight_decay: float
    batch_size: int
    """Rows an update; all of them where there are fewer."""
    n_updates: int
    eval_every: int
    """Updates between two validations; the last update is always followed by one."""
    history_length: int
    n_threads: int
    """Threads of torch while a cell is trained."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Samples as tensors."""

    history: Tensor
    """(n, history_length), int64: item rows, oldest first."""
    liked: Tensor
    """(n, history_length), float32: 1 liked, 0 not."""
    target: Tensor
    """(n,), int64."""

    def __getitem__(self, rows: Tensor | slice) -> "Rows":
        return Rows(self.history[rows], self.liked[rows], self.target[rows])


def fit(build: Callable[[Sequence[str]], nn.Module], task: FewShotTask, training: Training) -> list[Prediction]:
    """Train on `task.train`, choose the checkpoint on `task.valid`, score `task.test`.

    Args:
        build: item_ids -> the module to train. It maps `Rows.history`, `Rows.liked` and `Rows.target` to
            logits (n,), where the row of `item_ids[i]` is i + 1 and `NO_ITEM` is no interaction. Called with
            torch seeded by the seed of the task.
        task: the cell to run.
        training: values of the loop.

    Returns:
        Scores in (0, 1); `details` hold n_updates, best_update and valid_auc of the run.

    Raises:
        DataError: there is no training row, or the validation rows do not have both labels, so that they can
            choose no checkpoint.
        ConfigError: training diverged.
    """
    train_labels, valid_labels = ([row.liked for row in rows] for rows in (task.train, task.valid))
    if not train_labels:
        raise DataError("the few-shot draw: no training row, expected at least one")
    if len(set(valid_labels)) < 2:
        counts = f"{sum(valid_labels)} of {len(valid_labels)} are liked"
        raise DataError(f"validation rows: {counts}, expected both labels to choose a checkpoint by AUC")

    train, valid = ([row.sample for row in rows] for rows in (task.train, task.valid))
    item_ids = _occurring_items([*train, *valid, *task.test])
    train_rows, valid_rows, test_rows = (
        _encode(samples, item_ids, training.history_length) for samples in (train, valid, task.test)
    )
    with _reproducible(derive_seed("baseline", task.seed), training.n_threads):
        model = build(item_ids)
        best_auc, best_update, best_state = -1.0, 0, model.state_dict()
        for update in _updates(model, train_rows, torch.tensor(train_labels, dtype=torch.float32), training):
            if update % training.eval_every == 0 or update == training.n_updates:
                auc = _auc(valid_labels, _scores(model, valid_rows), update)
                if auc > best_auc:
                    best_auc, best_update, best_state = auc, update, copy.deepcopy(model.state_dict())
        model.load_state_dict(best_state)
        scores = _scores(model, test_rows).tolist()
    details = {"n_updates": training.n_updates, "best_update": best_update, "valid_auc": best_auc}
    return [Prediction(sample.sample_id, score, details) for sample, score in zip(task.test, scores, strict=True)]


def _updates(model: nn.Module, rows: Rows, labels: Tensor, training: Training) -> Iterator[int]:
    """Train `model` in place; yield the number of each update when it is done."""
    optimizer = torch.optim.Adam(model.parameters(), training.learning_rate, weight_decay=training.weight_decay)
    for update in range(1, training.n_updates + 1):
        model.train()
        batch = torch.randperm(len(labels))[: training.batch_size]
        loss = mse_loss(_forward(model, rows[batch]).sigmoid(), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield update


@torch.inference_mode()
def _scores(model: nn.Module, rows: Rows) -> Tensor:
    model.eval()
    parts = [
        _forward(model, rows[slice(start, start + SCORING_ROWS)]).sigmoid()
        for start in range(0, len(rows.target), SCORING_ROWS)
    ]
    return torch.cat(parts) if parts else torch.empty(0)


def _forward(model: nn.Module, rows: Rows) -> Tensor:
    return model(rows.history, rows.liked, rows.target)


def _auc(labels: Sequence[bool], scores: Tensor, update: int) -> float:
    if not scores.isfinite().all():
        raise ConfigError(f"baselines.training.learning_rate: training diverged by update {update}")
    return float(roc_auc_score(labels, scores.numpy()))


def _occurring_items(samples: Sequence[Sample]) -> list[str]:
    targets = {sample.target_item_id for sample in samples}
    return sorted(targets | {event.item_id for sample in samples for event in sample.history})


def _encode(samples: Sequence[Sample], item_ids: Sequence[str], length: int) -> Rows:
    row_of = {item_id: row for row, item_id in enumerate(item_ids, start=NO_ITEM + 1)}
    history, liked = [], []
    for sample in samples:
        events = [(row_of[event.item_id], float(event.liked)) for event in sample.history[-length:]]
        padded = events + [events[-1] if events else (NO_ITEM, UNKNOWN_LABEL)] * (length - len(events))
        history.append([row for row, _ in padded])
        liked.append([flag for _, flag in padded])
    target = [row_of[sample.target_item_id] for sample in samples]
    return Rows(torch.tensor(history), torch.tensor(liked), torch.tensor(target))


@contextmanager
def _reproducible(seed: int, n_threads: int) -> Generator[None, None, None]:
    """Torch's global state as the cell needs it, and then as it was."""
    n_threads_before = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(n_threads)
        try:
            yield
        finally:
            torch.set_num_threads(n_threads_before)
