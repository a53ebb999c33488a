"""The one training loop of the conventional baselines: all draws, seeds and weight decays of a model in one run.

As in the released scripts, the score is the sigmoid of the target's logit, the loss its squared error against the
label, Adam has coupled L2 decay, short histories repeat their last interaction, and the checkpoint is chosen by the
AUC on the validation rows. Test samples are scored once, at the chosen checkpoint.

Draws of one size form a group, whose replicas (a draw with a seed and a decay) share every operation. Groups advance
side by side, since they share the idle rows. The result of a replica does not depend on its company, but for the
rounding of matrix products.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from baselines.heads import head, initial_rows
from baselines.items import IdleRows, ItemRows, embeddings
from baselines.model import Inputs, Model
from baselines.replicas import Replicas
from baselines.samples import Encoded, encode, items_in_histories, targets_of
from benchmark.errors import ConfigError, DataError
from benchmark.schema import FewShotTask, Labelled, Prediction, Sample

STEPS_AT_ONCE = 1 << 15
"""Replicas times rows scored at once; bounds memory."""

Texts = Mapping[str, Tensor]
"""Text vector of every item, by item id."""


@dataclass(frozen=True, slots=True)
class Training:
    """Values of the loop, from the section `baselines.training` of `params.yaml`."""

    learning_rate: float
    batch_size: int
    """Rows an update; all of them where there are fewer."""
    n_updates: int
    eval_every: int
    """Updates between two validations; the last update is always followed by one."""
    history_length: int
    item_size: int
    """Width of an item embedding."""
    n_threads: int
    """Threads of torch while the model is trained."""


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
    tell: Callable[[int, int], object] = lambda done, total: None,
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
        run = _Run(build, training, head_name, weight_decays, texts)
        groups = {size: _Group(run, [task for task in tasks if len(task.train) == size]) for size in sizes}
        _train(groups.values(), run, valid, tell)
        scores = _test(groups.values(), run, test)
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


@dataclass(frozen=True, slots=True)
class _Run:
    """What all groups share."""

    build: Callable[[Inputs], Model]
    training: Training
    head_name: str
    weight_decays: Sequence[float]
    texts: Texts | None


class _Scored:
    """Samples to be scored, with the idle rows of their items."""

    def __init__(self, samples: Sequence[Sample], groups: Sequence["_Group"], run: _Run) -> None:
        reads, state_size = groups[0].head.READS, groups[0].model.state_size
        self.conditions = sorted({condition for group in groups for condition in group.conditions})
        targets = targets_of(samples)
        self.items = sorted({*items_in_histories(samples), *(targets if reads == "embedding" else ())})
        self.targets = self.items if reads == "embedding" else targets
        size, rate = run.training.item_size, run.training.learning_rate
        self.rows = encode(samples, self.items, self.targets, run.training.history_length)
        self.idle_items = IdleRows(self.items, embeddings(size), self.conditions, rate)
        self.idle_targets = (
            self.idle_items
            if reads == "embedding"
            else IdleRows(targets, initial_rows(reads, state_size, size), self.conditions, rate)
        )

    def advance(self, n_updates: int) -> None:
        """Bring all idle rows to where they are after `n_updates` updates."""
        self.idle_items.advance(n_updates)
        if self.idle_targets is not self.idle_items:
            self.idle_targets.advance(n_updates)


class _Group(nn.Module):
    """The replicas whose draws have one size."""

    def __init__(self, run: _Run, tasks: Sequence[FewShotTask]) -> None:
        super().__init__()
        self.run = run
        self.conditions = [(task.seed, decay) for task in tasks for decay in run.weight_decays]
        drawn = [task.train for task in tasks for _ in run.weight_decays]
        self.replicas = Replicas([seed for seed, _ in self.conditions])
        samples = [[row.sample for row in rows] for rows in drawn]
        everything = [sample for rows in samples for sample in rows]
        targets = targets_of(everything)
        training = run.training
        n_text = len(next(iter(run.texts.values()))) if run.texts else 0
        inputs = Inputs(self.replicas, n_text + training.item_size + 1, training.history_length)
        self.model = run.build(inputs)
        self.encoder = self.model.encoder
        self.head = head(run.head_name, self.replicas, self.model.state_size, training.item_size)
        reads_embedding = self.head.READS == "embedding"
        items = sorted({*items_in_histories(everything), *(targets if reads_embedding else ())})
        self.embeddings = ItemRows(items, embeddings(training.item_size), self.replicas.seeds)
        initial = initial_rows(self.head.READS, self.model.state_size, training.item_size)
        self.targets = self.embeddings if reads_embedding else ItemRows(targets, initial, self.replicas.seeds)
        known = {item for task in tasks[:1] for item in targets_of([row.sample for row in task.valid])}
        self.n_other_targets = len(known.difference(targets))
        names = items if reads_embedding else targets
        self.rows = Encoded.stacked([encode(rows, items, names, training.history_length) for rows in samples])
        self.labels = torch.tensor([[row.liked for row in rows] for rows in drawn], dtype=torch.float32)
        self.texts = _text_table(run.texts, items) if self.model.reads_text else None
        self.decays = torch.tensor([decay for _, decay in self.conditions])
        self.optimizer = torch.optim.Adam(self.parameters(), training.learning_rate, fused=True)
        self.best_auc = torch.full((len(self.replicas),), -1.0)
        self.best_update = torch.zeros(len(self.replicas), dtype=torch.int64)
        self.best = {name: value.detach().clone() for name, value in self.named_parameters()}

    def step(self) -> None:
        """One update of every replica."""
        self.train()
        rows, labels = self.rows, self.labels
        n_rows = labels.shape[1]
        if n_rows > self.run.training.batch_size:  # else the batch is all of them, in whatever order
            batch = self.replicas.permutations(n_rows, self.run.training.batch_size)
            rows, labels = rows.batch(batch), labels.gather(1, batch)
        steps = _steps(self.embeddings.look_up(rows.history), rows, None if self.texts is None else self.texts[rows.history])
        states = self.encoder(steps)
        logits = self.head(states, self.targets.look_up(rows.target))
        losses = (logits.sigmoid() - labels).square().mean(1)
        if self.model.penalty is not None:
            losses = losses + self.model.penalty(states, self._output_rows(), rows.target, self.n_other_targets)
        self.optimizer.zero_grad()
        losses.sum().backward()
        for parameter in self.parameters():
            if parameter.grad is not None:
                decays = self.decays.view(-1, *[1] * (parameter.dim() - 1))
                parameter.grad.addcmul_(parameter.detach(), decays)
        self.optimizer.step()

    def _output_rows(self) -> Tensor:
        if self.head.READS == "logit":
            return self.targets.learned
        raise ConfigError("grid.heads: a model with a robust term has output rows of its own, expected per_item alone")

    @torch.inference_mode()
    def scores(self, scored: _Scored) -> Tensor:
        """Scores of all samples by all replicas as they are now; shape (R, n)."""
        self.eval()
        conditions = [scored.conditions.index(condition) for condition in self.conditions]
        items = self.embeddings.table(scored.items, scored.idle_items, conditions)
        targets = (
            items
            if scored.idle_targets is scored.idle_items
            else self.targets.table(scored.targets, scored.idle_targets, conditions)
        )
        texts = _text_table(self.run.texts, scored.items) if self.texts is not None else None
        parts: list[Tensor] = []
        for rows in scored.rows.split(max(1, STEPS_AT_ONCE // len(conditions))):
            text = None if texts is None else texts[rows.history].expand(len(conditions), -1, -1, -1)
            states = self.encoder(_steps(items[:, rows.history[0]], rows, text))
            parts.append(self.head(states, targets[:, rows.target[0]]).sigmoid())
        return torch.cat(parts, dim=1) if parts else torch.empty(len(conditions), 0)

    def keep(self, aucs: Tensor, update: int) -> None:
        """Remember the weights of every replica whose AUC is better than before."""
        better = aucs > self.best_auc
        self.best_auc[better], self.best_update[better] = aucs[better], update
        for name, value in self.named_parameters():
            self.best[name][better] = value.detach()[better]

    def restore(self) -> None:
        """Go back to the best weights of every replica."""
        self.load_state_dict(self.best)

    def results(self) -> list[dict[str, float]]:
        """What happened to each replica."""
        rows = zip(self.best_update.tolist(), self.best_auc.tolist(), self.conditions, strict=True)
        return [
            {
                "n_updates": self.run.training.n_updates,
                "best_update": update,
                "valid_auc": auc,
                "weight_decay": decay,
            }
            for update, auc, (_, decay) in rows
        ]


def _train(
    groups: "Sequence[_Group]", run: _Run, valid: Sequence[Labelled], tell: Callable[[int, int], object]
) -> None:
    groups = list(groups)
    labels = [row.liked for row in valid]
    scored = _Scored([row.sample for row in valid], groups, run)
    last = run.training.n_updates
    for update in range(1, last + 1):
        for group in groups:
            group.step()
        if update % run.training.eval_every == 0 or update == last:
            scored.advance(update)
            for group in groups:
                group.keep(_aucs(labels, group.scores(scored), update), update)
            tell(update, last)


def _test(groups: "Sequence[_Group]", run: _Run, test: Sequence[Sample]) -> dict[int, Tensor]:
    """Scores of each group, by the size of its draws; idle rows go through the chosen checkpoints in their order."""
    groups = list(groups)
    scored = _Scored(test, groups, run)
    found = {group.labels.shape[1]: torch.empty(len(group.replicas), len(test)) for group in groups}
    for group in groups:
        group.restore()
    for update in sorted({update for group in groups for update in group.best_update.tolist()}):
        scored.advance(update)
        for group in groups:
            chosen = group.best_update == update
            if chosen.any():
                found[group.labels.shape[1]][chosen] = group.scores(scored)[chosen]
    return found


def _steps(items: Tensor, rows: Encoded, texts: Tensor | None) -> Tensor:
    """What an encoder reads: text, embedding (zero for no interaction) and flag; (R, length, n, n_in)."""
    liked = rows.liked.unsqueeze(-1).expand(len(items), -1, -1, -1)
    if rows.exists is not None:
        items = items * rows.exists.unsqueeze(-1)
    return torch.cat([*([] if texts is None else [texts]), items, liked], dim=-1)


def _text_table(texts: Texts | None, item_ids: Sequence[str]) -> Tensor:
    missing = [item_id for item_id in item_ids if texts is None or item_id not in texts]
    if texts is None or missing:
        raise DataError(f"{len(missing)} of {len(item_ids)} items have no text vector, e.g. {missing[0]!r}")
    return torch.stack([texts[item_id] for item_id in item_ids])


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
