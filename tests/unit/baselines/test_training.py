from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from baselines import training as loop
from baselines.training import Training, fit
from benchmark.errors import ConfigError, DataError
from benchmark.schema import FewShotTask, Interaction, Sample

TRAINING = Training(
    learning_rate=0.05,
    weight_decay=0.0,
    batch_size=256,
    n_updates=10,
    eval_every=4,
    history_length=4,
    n_threads=1,
)


class ItemBias(nn.Module):
    """The smallest model: one number an item."""

    def __init__(self, item_ids: Sequence[str]) -> None:
        super().__init__()
        self.bias = nn.Embedding(len(item_ids) + 1, 1)
        nn.init.zeros_(self.bias.weight)

    def forward(self, history: Tensor, liked: Tensor, target: Tensor) -> Tensor:
        return self.bias(target).squeeze(-1)


class Watched(ItemBias):
    """Keeps the inputs of each training step."""

    def __init__(self, item_ids: Sequence[str]) -> None:
        super().__init__(item_ids)
        self.item_ids = list(item_ids)
        self.batches: list[tuple[Tensor, Tensor, Tensor]] = []

    def forward(self, history: Tensor, liked: Tensor, target: Tensor) -> Tensor:
        if self.training:
            self.batches.append((history, liked, target))
        return super().forward(history, liked, target)


def watch(task: FewShotTask, training: Training = TRAINING) -> Watched:
    models: list[Watched] = []

    def build(item_ids: Sequence[str]) -> Watched:
        models.append(Watched(item_ids))
        return models[0]

    fit(build, task, training)
    return models[0]


def with_history(task: FewShotTask, *history: Interaction) -> FewShotTask:
    """One training row with this history."""
    row = task.train[0]
    return replace(task, train=(replace(row, sample=replace(row.sample, history=history)),))


def test_a_few_shot_task_is_fitted(toy_task: FewShotTask) -> None:
    scores = {prediction.sample_id: prediction.score for prediction in fit(ItemBias, toy_task, TRAINING)}
    assert len(scores) == 8
    for sample in toy_task.test:
        assert (scores[sample.sample_id] > 0.5) == sample.target_item_id.startswith("good")


def test_one_update_is_adam_on_the_squared_error_with_coupled_decay(toy_task: FewShotTask) -> None:
    one = replace(TRAINING, n_updates=1, learning_rate=0.1, weight_decay=0.5)

    class Started(ItemBias):
        def __init__(self, item_ids: Sequence[str]) -> None:
            super().__init__(item_ids)
            nn.init.constant_(self.bias.weight, 2.0)

    untouched = toy_task.train[0].sample
    asked = (replace(untouched, sample_id="seen"), replace(untouched, sample_id="unseen", target_item_id="x"))
    seen, unseen = fit(Started, replace(toy_task, test=asked), one)
    # The first step of Adam has length learning_rate whatever the gradient; without data, decay alone steps.
    expected = torch.tensor(2.0 - 0.1).sigmoid().item()
    assert seen.score == pytest.approx(expected, abs=1e-5)
    assert unseen.score == pytest.approx(expected, abs=1e-5)


def test_the_loss_is_the_squared_error_of_the_sigmoid(toy_task: FewShotTask) -> None:
    gradients: list[float] = []

    class Recorded(ItemBias):
        def __init__(self, item_ids: Sequence[str]) -> None:
            super().__init__(item_ids)
            self.row = list(item_ids).index(row.sample.target_item_id) + 1
            self.bias.weight.register_hook(lambda gradient: gradients.append(gradient[self.row].item()))

    row = toy_task.train[0]
    fit(Recorded, replace(toy_task, train=(row,)), replace(TRAINING, n_updates=1))
    # d (s - 1)^2 / d logit = 2 (s - 1) s (1 - s) at s = 1/2, for one liked row
    assert gradients == [pytest.approx(2 * (0.5 - 1) * 0.25)]


def test_short_histories_repeat_their_last_interaction(toy_task: FewShotTask) -> None:
    model = watch(with_history(toy_task, Interaction("good-1", True), Interaction("bad-1", False)))
    history, liked, target = model.batches[0]
    rows = [model.item_ids.index(item_id) + 1 for item_id in ("good-1", "bad-1")]
    assert history.tolist() == [[rows[0], rows[1], rows[1], rows[1]]]
    assert liked.tolist() == [[1.0, 0.0, 0.0, 0.0]]
    assert target.tolist() == [model.item_ids.index(toy_task.train[0].sample.target_item_id) + 1]


def test_long_histories_keep_their_newest_interactions(toy_task: FewShotTask) -> None:
    model = watch(with_history(toy_task, *(Interaction(f"good-{n}", n % 2 == 0) for n in range(6))))
    history, liked, _ = model.batches[0]
    assert [model.item_ids[row - 1] for row in history[0].tolist()] == [
        "good-2",
        "good-3",
        "good-4",
        "good-5",
    ]
    assert liked.tolist() == [[1.0, 0.0, 1.0, 0.0]]


def test_an_empty_history_is_no_interaction(toy_task: FewShotTask) -> None:
    history, liked, _ = watch(with_history(toy_task)).batches[0]
    assert history.tolist() == [[0, 0, 0, 0]]
    assert liked.tolist() == [[0.5, 0.5, 0.5, 0.5]]


def test_no_test_target_is_trained_on(toy_task: FewShotTask) -> None:
    model = watch(toy_task)
    assert len(model.batches) == TRAINING.n_updates
    trained = {model.item_ids[row - 1] for _, _, target in model.batches for row in target.tolist()}
    assert trained == {row.sample.target_item_id for row in toy_task.train}


@pytest.mark.parametrize(("batch_size", "rows"), [(256, 16), (16, 16), (5, 5), (1, 1)])
def test_a_batch_never_repeats_a_row(toy_task: FewShotTask, batch_size: int, rows: int) -> None:
    for _, _, target in watch(toy_task, replace(TRAINING, batch_size=batch_size)).batches:
        assert len(target) == rows == len(set(target.tolist()))  # the toy rows have different targets


class Scheduled(nn.Module):
    """Scores good items best after `best` updates and worst at any other time."""

    best = 0

    def __init__(self, item_ids: Sequence[str]) -> None:
        super().__init__()
        good = [0.0, *(1.0 if item_id.startswith("good") else -1.0 for item_id in item_ids)]
        self.register_buffer("good", torch.tensor(good))
        self.register_buffer("n_updates", torch.zeros(1))
        self.free = nn.Parameter(torch.zeros(1))

    def forward(self, history: Tensor, liked: Tensor, target: Tensor) -> Tensor:
        if self.training:
            self.n_updates += 1
        sign = 1.0 if int(self.n_updates) == self.best else -1.0
        return sign * self.good[target] + self.free


@pytest.mark.parametrize("best", [4, 8, 10])
def test_the_checkpoint_with_the_best_validation_auc_is_tested(
    toy_task: FewShotTask, monkeypatch: pytest.MonkeyPatch, best: int
) -> None:
    monkeypatch.setattr(Scheduled, "best", best)
    predictions = fit(Scheduled, toy_task, TRAINING)
    liked = [sample.target_item_id.startswith("good") for sample in toy_task.test]
    assert roc_auc_score(liked, [prediction.score for prediction in predictions]) == 1.0
    assert all(
        prediction.details == {"n_updates": 10, "best_update": best, "valid_auc": 1.0} for prediction in predictions
    )


def test_the_test_samples_have_no_part_in_the_choice(toy_task: FewShotTask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scheduled, "best", 7)  # between two validations: good for the test, never seen to be good
    assert {prediction.details["best_update"] for prediction in fit(Scheduled, toy_task, TRAINING)} == {4}


def test_validation_follows_the_last_update_if_it_comes_first(toy_task: FewShotTask) -> None:
    short = replace(TRAINING, n_updates=2, eval_every=5)
    assert {prediction.details["best_update"] for prediction in fit(ItemBias, toy_task, short)} == {2}


def test_one_shot_is_enough(toy_task: FewShotTask) -> None:
    assert len(fit(ItemBias, replace(toy_task, train=toy_task.train[:1]), TRAINING)) == len(toy_task.test)


def test_no_training_row_is_refused(toy_task: FewShotTask) -> None:
    with pytest.raises(DataError, match="no training row, expected at least one"):
        fit(ItemBias, replace(toy_task, train=()), TRAINING)


@pytest.mark.parametrize(
    ("rows", "counts"), [(slice(0, 8, 2), "4 of 4"), (slice(1, 8, 2), "0 of 4"), (slice(0), "0 of 0")]
)
def test_validation_rows_of_one_label_are_refused(toy_task: FewShotTask, rows: slice, counts: str) -> None:
    with pytest.raises(DataError, match=f"validation rows: {counts} are liked, expected both labels"):
        fit(ItemBias, replace(toy_task, valid=toy_task.valid[rows]), TRAINING)


def test_training_that_diverges_is_refused(toy_task: FewShotTask) -> None:
    class Diverging(ItemBias):
        def forward(self, history: Tensor, liked: Tensor, target: Tensor) -> Tensor:
            return super().forward(history, liked, target) * float("nan")

    with pytest.raises(ConfigError, match=r"baselines\.training\.learning_rate: training diverged by update 4"):
        fit(Diverging, toy_task, TRAINING)


def test_scoring_in_parts_changes_nothing(toy_task: FewShotTask, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fit(ItemBias, toy_task, TRAINING)
    monkeypatch.setattr(loop, "SCORING_ROWS", 3)
    assert fit(ItemBias, toy_task, TRAINING) == whole


def test_no_test_sample_gives_no_prediction(toy_task: FewShotTask) -> None:
    assert fit(ItemBias, replace(toy_task, test=()), TRAINING) == []


def test_torch_is_left_as_it_was(toy_task: FewShotTask) -> None:
    state, n_threads = torch.get_rng_state(), torch.get_num_threads()
    fit(ItemBias, toy_task, replace(TRAINING, n_threads=n_threads + 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == n_threads


def test_the_model_is_built_under_the_seed_of_the_task(toy_task: FewShotTask) -> None:
    class Random(ItemBias):
        def __init__(self, item_ids: Sequence[str]) -> None:
            super().__init__(item_ids)
            nn.init.normal_(self.bias.weight)

    one, same, other = (fit(Random, replace(toy_task, seed=seed), TRAINING) for seed in (1, 1, 2))
    assert one == same != other


def test_items_of_a_sample_may_be_in_no_other_row(toy_task: FewShotTask) -> None:
    alone = Sample("alone", "user", (Interaction("only-here", True),), "nor-this")
    assert len(fit(ItemBias, replace(toy_task, test=(alone,)), TRAINING)) == 1
