"""Replicas whose draws have one size: they share every operation of an update and of a validation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from baselines.heads import head, initial_rows
from baselines.items import IdleRows, ItemRows, embeddings
from baselines.model import Inputs, Model
from baselines.replicas import Replicas
from baselines.samples import Encoded, encode, items_in_histories, targets_of
from benchmark.errors import ConfigError, DataError
from benchmark.schema import FewShotTask, Sample

STEPS_AT_ONCE = 1 << 11
"""Replicas times rows scored at once; bounds memory."""

Texts = Mapping[str, NDArray[np.float32]]
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
    """Groups trained at once, each on one thread. No result depends on it."""


@dataclass(frozen=True, slots=True)
class Run:
    """What all groups share."""

    build: Callable[[Inputs], Model]
    training: Training
    head_name: str
    weight_decays: Sequence[float]
    texts: Texts | None


class Scored:
    """Samples to be scored, with the idle rows of their items."""

    def __init__(self, samples: Sequence[Sample], groups: Sequence["Group"], run: Run) -> None:
        reads, state_size = groups[0].head.READS, groups[0].model.state_size
        self.conditions = sorted({condition for group in groups for condition in group.conditions})
        targets = targets_of(samples)
        self.items = sorted({*items_in_histories(samples), *(targets if reads == "embedding" else ())})
        self.targets = self.items if reads == "embedding" else targets
        size, rate = run.training.item_size, run.training.learning_rate
        self.rows = encode(samples, self.items, self.targets, run.training.history_length)
        self.texts = _text_table(run.texts, self.items) if groups[0].model.reads_text else None
        self.idle_items = IdleRows(self.items, embeddings(size), self.conditions, rate)
        self.idle_targets = (
            self.idle_items
            if reads == "embedding"
            else IdleRows(targets, initial_rows(reads, state_size, size), self.conditions, rate)
        )

    def idle_of(self, conditions: Sequence[int]) -> tuple[Tensor, Tensor]:
        """A copy of the idle rows of items and of targets, one set a replica; one tensor where they are the same."""
        items = self.idle_items.values[list(conditions)]
        same = self.idle_targets is self.idle_items
        return items, items if same else self.idle_targets.values[list(conditions)]

    def advance(self, n_updates: int) -> None:
        """Bring all idle rows to where they are after `n_updates` updates."""
        self.idle_items.advance(n_updates)
        if self.idle_targets is not self.idle_items:
            self.idle_targets.advance(n_updates)


class Group(nn.Module):
    """The replicas whose draws have one size."""

    def __init__(self, run: Run, tasks: Sequence[FewShotTask]) -> None:
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
        names = items if reads_embedding else targets
        self.rows = Encoded.stacked([encode(rows, items, names, training.history_length) for rows in samples])
        self.target_counts = torch.zeros(len(samples), len(names)).scatter_add_(
            1, self.rows.target, torch.ones_like(self.rows.target, dtype=torch.float32)
        )
        known = targets_of([row.sample for row in tasks[0].valid])
        own = [set(targets_of(rows)) for rows in samples]
        self.n_other_targets = torch.tensor([[float(len(set(known) - targets))] for targets in own])
        self.labels = torch.tensor([[row.liked for row in rows] for rows in drawn], dtype=torch.float32)
        self.texts = _text_table(run.texts, items) if self.model.reads_text else None
        self.decays = torch.tensor([decay for _, decay in self.conditions])
        self.optimizer = torch.optim.Adam(self.parameters(), training.learning_rate, fused=True)
        self.best_auc = torch.full((len(self.replicas),), -1.0, dtype=torch.float64)
        self.best_update = torch.zeros(len(self.replicas), dtype=torch.int64)
        self.last_auc = self.best_auc
        self.best = {name: value.detach().clone() for name, value in self.named_parameters()}

    def step(self) -> None:
        """One update of every replica."""
        self.train()
        rows, labels = self.rows, self.labels
        n_rows = labels.shape[1]
        if n_rows > self.run.training.batch_size:  # else the batch is all of them, in whatever order
            batch = self.replicas.permutations(n_rows, self.run.training.batch_size)
            rows, labels = rows.batch(batch), labels.gather(1, batch)
        texts = None if self.texts is None else self.texts[rows.history]
        steps = _steps(self.embeddings.look_up(rows.history), rows, texts)
        states = self.encoder(steps)
        logits = self.head(states, self.targets.look_up(rows.target))
        losses = (logits.sigmoid() - labels).square().mean(1)
        if self.model.penalty is not None:
            about = self.target_counts, self.n_other_targets
            losses = losses + self.model.penalty(states, self._output_rows(), rows.target, *about)
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
        raise ConfigError(
            "baselines.heads: a model with a robust term has output rows of its own, expected per_item alone"
        )

    def conditions_in(self, scored: Scored) -> list[int]:
        """The set of idle rows of `scored` that each replica has."""
        return [scored.conditions.index(condition) for condition in self.conditions]

    @torch.inference_mode()
    def scores(self, scored: Scored, idle: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Scores of all samples by all replicas as they are now; shape (R, n).

        Args:
            scored: the samples.
            idle: idle rows of items and targets for each replica, (R, n_items, size); by default those of `scored`
                as far as it is advanced.
        """
        self.eval()
        items, targets = scored.idle_of(self.conditions_in(scored)) if idle is None else idle
        self.embeddings.put_learned(scored.items, items)
        if targets is not items:
            self.targets.put_learned(scored.targets, targets)
        n_replicas = len(self.replicas)
        texts = [] if scored.texts is None else [scored.texts.expand(n_replicas, -1, -1)]
        table = torch.cat([*texts, items, items.new_empty(*items.shape[:2], 1)], dim=-1)  # the flag comes with the row
        parts: list[Tensor] = []
        for rows in scored.rows.split(max(1, STEPS_AT_ONCE // n_replicas)):
            history = rows.history[0]
            steps = table.index_select(1, history.flatten()).view(n_replicas, *history.shape, -1)
            if rows.exists is not None:
                steps *= rows.exists.unsqueeze(-1)
            steps[..., -1] = rows.liked
            parts.append(self.head(self.encoder(steps), targets.index_select(1, rows.target[0])).sigmoid())
        return torch.cat(parts, dim=1) if parts else torch.empty(n_replicas, 0)

    def keep(self, aucs: Tensor, update: int) -> None:
        """Remember the weights of every replica whose AUC is better than before."""
        self.last_auc = aucs
        better = aucs > self.best_auc
        self.best_auc[better], self.best_update[better] = aucs[better], update
        for name, value in self.named_parameters():
            self.best[name][better] = value.detach()[better]

    def restore(self) -> None:
        """Go back to the best weights of every replica."""
        with torch.no_grad():
            for name, value in self.named_parameters():
                value.copy_(self.best[name])

    def results(self, *, at_last: bool = False) -> list[dict[str, float]]:
        """What happened to each replica, at its best checkpoint or at the last update, which nothing chose."""
        aucs = self.last_auc if at_last else self.best_auc
        rows = zip(self.best_update.tolist(), aucs.tolist(), self.conditions, strict=True)
        return [
            {"n_updates": self.run.training.n_updates, "valid_auc": auc, "weight_decay": decay}
            | ({} if at_last else {"best_update": update})
            for update, auc, (_, decay) in rows
        ]


def _steps(items: Tensor, rows: Encoded, texts: Tensor | None) -> Tensor:
    """What an encoder reads: text, embedding (both zero for no interaction) and flag; (R, length, n, n_in)."""
    liked = rows.liked.unsqueeze(-1).expand(len(items), -1, -1, -1)
    if rows.exists is not None:
        items = items * rows.exists.unsqueeze(-1)
        texts = texts if texts is None else texts * rows.exists.unsqueeze(-1)
    return torch.cat([*([] if texts is None else [texts]), items, liked], dim=-1)


def _text_table(texts: Texts | None, item_ids: Sequence[str]) -> Tensor:
    if texts is not None and item_ids == [""]:  # no history has an interaction
        return torch.zeros(1, len(next(iter(texts.values()))))
    missing = [item_id for item_id in item_ids if texts is None or item_id not in texts]
    if texts is None or missing:
        raise DataError(f"{len(missing)} of {len(item_ids)} items have no text vector, e.g. {missing[0]!r}")
    return torch.from_numpy(np.stack([texts[item_id] for item_id in item_ids]))
