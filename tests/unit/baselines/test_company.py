"""All draws, seeds and decays at once, and only the items of a task: neither changes a result."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import nn

from baselines.gru import WEIGHTS
from baselines.heads import HEADS
from baselines.items import embeddings, logit_rows
from baselines.model import Inputs, Model
from baselines.replicas import Replicas
from baselines.training import Fitted, Training, fit
from benchmark.schema import FewShotTask, Interaction, Item, Labelled, Sample

TRAINING = Training(
    learning_rate=0.01, batch_size=12, n_updates=6, eval_every=2, history_length=4, item_size=3, n_threads=1
)
GRU = {"hidden_size": 4, "n_layers": 2}
ROBUST = {"alpha": 0.4, "beta": 1.0, "gamma": 0.5}
VALUES: dict[str, dict[str, Any]] = {
    "gru4rec": GRU,
    "caser": {"heights": (2, 3), "n_filters": 2, "dropout": 0.2},
    "sasrec": {"n_heads": 2, "dropout": 0.2},
    "dros": GRU | ROBUST,
    "gru_bert": GRU,
    "dros_bert": GRU | ROBUST,
}
PAIRS = [(name, head) for name in VALUES for head in getattr(import_module(f"baselines.{name}"), "HEADS", HEADS)]
DECAYS = [0.0, 1e-2, 1e-4]


def build_of(name: str) -> Callable[[Inputs], Model]:
    return partial(import_module(f"baselines.{name}").model, **VALUES[name])


def texts_of(name: str, items: Mapping[str, Item]) -> dict[str, NDArray[np.float32]] | None:
    """Vectors of 5 numbers for models that read text."""
    if not getattr(import_module(f"baselines.{name}"), "READS_TEXT", False):
        return None
    generator = np.random.default_rng(0)
    return {item_id: generator.standard_normal(5).astype(np.float32) for item_id in sorted(items)}


def draws(task: FewShotTask) -> list[FewShotTask]:
    """Draws of 4, 8 and 16 rows with seeds of their own; 16 are more than a batch."""
    cells = [(4, 0), (8, 1), (16, 2), (4, 3), (8, 4), (16, 0)]
    drawn = [(seed, [(3 * seed + 5 * n) % 16 for n in range(n_shots)]) for n_shots, seed in cells]
    return [replace(task, train=tuple(task.train[row] for row in rows), seed=seed) for seed, rows in drawn]


def assert_same(found: Fitted, expected: Fitted) -> None:
    for one, other in zip(found.predictions, expected.predictions, strict=True):
        assert one.sample_id == other.sample_id
        assert one.score == pytest.approx(other.score, abs=1e-5)
        assert one.details == pytest.approx(other.details)


def test_every_pair_of_model_and_head_is_here() -> None:
    assert len(PAIRS) == 4 * 3 + 2 * 1


@pytest.mark.parametrize(("name", "head"), PAIRS)
def test_a_draw_with_a_decay_gives_alone_what_it_gives_among_others(
    name: str, head: str, toy_task: FewShotTask
) -> None:
    tasks = draws(toy_task)
    texts = texts_of(name, toy_task.items)
    run = partial(fit, build_of(name), training=TRAINING, head_name=head, texts=texts)
    together = run(tasks, weight_decays=DECAYS)
    assert len({one.predictions[0].score for of_task in together for one in of_task}) > len(tasks)
    for n, (task, of_task) in enumerate(zip(tasks, together, strict=True)):
        assert [one.predictions[0].details["weight_decay"] for one in of_task] == DECAYS
        ((alone,),) = run([task], weight_decays=[DECAYS[n % 3]])
        assert_same(of_task[n % 3], alone)


@pytest.mark.parametrize("name", VALUES)
def test_the_number_of_threads_changes_nothing(name: str, toy_task: FewShotTask) -> None:
    tasks, texts = draws(toy_task), texts_of(name, toy_task.items)
    run = partial(fit, build_of(name), tasks, weight_decays=DECAYS, texts=texts)
    alone = run(replace(TRAINING, n_threads=1))
    for n_threads in (2, 5):
        assert run(replace(TRAINING, n_threads=n_threads)) == alone


@pytest.mark.parametrize("name", ["gru4rec", "caser", "sasrec", "gru_bert"])
def test_a_draw_with_an_empty_history_gives_alone_what_it_gives_among_others(name: str, toy_task: FewShotTask) -> None:
    first, second, third, *_ = toy_task.train
    none = replace(first, sample=replace(first.sample, history=()))
    # Its item is the first of all items of the two draws, but none of the first draw.
    other = replace(third, sample=replace(third.sample, history=(Interaction("a", True),)))
    items = {**toy_task.items, "a": replace(toy_task.items["good-0"], item_id="a")}
    drawn = [replace(toy_task, train=rows, seed=seed) for seed, rows in enumerate([(none, second), (second, other)])]
    run = partial(fit, build_of(name), training=TRAINING, texts=texts_of(name, items), weight_decays=[1e-2])
    for task, (found,) in zip(drawn, run(drawn), strict=True):
        ((alone,),) = run([task])
        assert_same(found, alone)


class WholeCatalogue(nn.Module):
    """GRU4Rec as anybody would write it: a row for every item of the catalogue, layers of torch, one run."""

    def __init__(self, catalogue: list[str], seed: int) -> None:
        super().__init__()
        size, n_layers = GRU["hidden_size"], GRU["n_layers"]
        self.row_of = {item_id: row for row, item_id in enumerate(catalogue)}
        self.embedding = nn.Embedding.from_pretrained(embeddings(3)(catalogue, seed), freeze=False)
        self.output = nn.Linear(size, len(catalogue))
        self.gru = nn.GRU(4, size, n_layers, batch_first=True)
        weights = logit_rows(size)(catalogue, seed)
        ours = dict(build_of("gru4rec")(Inputs(Replicas([seed]), 4, 4)).encoder.named_parameters())
        with torch.no_grad():
            self.output.weight.copy_(weights[:, :-1])
            self.output.bias.copy_(weights[:, -1])
            for layer in range(n_layers):
                theirs = ("weight_ih", "bias_ih", "weight_hh", "bias_hh")
                for our_name, their_name in zip(WEIGHTS, theirs, strict=True):
                    value = ours[f"{our_name}_{layer}"][0]
                    getattr(self.gru, f"{their_name}_l{layer}").copy_(value.T if "weight" in our_name else value[0])

    def forward(self, samples: list[Sample]) -> torch.Tensor:
        """Scores of samples whose histories have up to 4 interactions."""
        padded = [[*sample.history, *[sample.history[-1]] * (4 - len(sample.history))] for sample in samples]
        history = torch.tensor([[self.row_of[event.item_id] for event in events] for events in padded])
        liked = torch.tensor([[float(event.liked) for event in events] for events in padded])
        states = self.gru(torch.cat([self.embedding(history), liked.unsqueeze(2)], dim=2))[0][:, -1]
        target = torch.tensor([self.row_of[sample.target_item_id] for sample in samples])
        return self.output(states).gather(1, target.unsqueeze(1)).squeeze(1).sigmoid()


def reference(task: FewShotTask, catalogue: list[str], decay: float) -> tuple[int, list[float]]:
    """Best update by validation AUC, and the test scores there."""
    model = WholeCatalogue(catalogue, task.seed)
    optimizer = torch.optim.Adam(model.parameters(), TRAINING.learning_rate, weight_decay=decay)
    best_auc, best = -1.0, (0, [0.0])

    def samples(rows: tuple[Labelled, ...]) -> list[Sample]:
        return [row.sample for row in rows]

    for update in range(1, TRAINING.n_updates + 1):
        labels = torch.tensor([float(row.liked) for row in task.train])
        optimizer.zero_grad()
        nn.functional.mse_loss(model(samples(task.train)), labels).backward()
        optimizer.step()
        if update % TRAINING.eval_every == 0:
            with torch.no_grad():
                auc = roc_auc_score([row.liked for row in task.valid], model(samples(task.valid)).tolist())
                if auc > best_auc:
                    best_auc, best = auc, (update, model(list(task.test)).tolist())
    return best


@pytest.mark.parametrize("decay", [0.0, 1e-7, 1e-3, 1e-1])
def test_rows_of_items_that_no_sample_reads_change_nothing(decay: float, toy_task: FewShotTask) -> None:
    tasks = [task for task in draws(toy_task) if len(task.train) <= TRAINING.batch_size]
    catalogue = [*toy_task.items, *(f"other-{n}" for n in range(30))]
    fitted = fit(build_of("gru4rec"), tasks, TRAINING, weight_decays=[decay])
    for task, (found,) in zip(tasks, fitted, strict=True):
        trained = {row.sample.target_item_id for row in task.train}
        assert {sample.target_item_id for sample in task.test} - trained  # some rows are idle
        best_update, scores = reference(task, catalogue, decay)
        assert {one.details["best_update"] for one in found.predictions} == {best_update}
        assert [one.score for one in found.predictions] == pytest.approx(scores, abs=1e-5)
