"""The one training loop: what it feeds, and how it updates."""

from collections.abc import Sequence
from dataclasses import replace
from math import exp

import pytest
from torch import Tensor, nn

from baselines.group import Group, Run
from baselines.items import embeddings, logit_rows
from baselines.model import Model
from baselines.training import Fitted, Training, fit
from benchmark.errors import DataError
from benchmark.schema import FewShotTask, Interaction, Sample

TRAINING = Training(
    learning_rate=0.1, batch_size=256, n_updates=10, eval_every=4, history_length=4, item_size=3, n_threads=1
)


class Watched(nn.Module):
    """Of no history: the state is 0, so the logit is the bias of the target. Keeps what it reads in training."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[Tensor] = []
        self.gradients: list[Tensor] = []

    def forward(self, steps: Tensor) -> Tensor:
        states = steps[:, -1, :, :1] * 0
        if self.training:
            self.steps.append(steps.detach())
            states.register_hook(self.gradients.append)
        return states


def watch(tasks: Sequence[FewShotTask], training: Training = TRAINING) -> Watched:
    encoder = Watched()
    fit(lambda inputs: Model(encoder, 1), tasks, training, weight_decays=[0.0])
    return encoder


def fit_one(task: FewShotTask, training: Training = TRAINING, decay: float = 0.0) -> Fitted:
    ((fitted,),) = fit(lambda inputs: Model(Watched(), 1), [task], training, weight_decays=[decay])
    return fitted


def with_history(task: FewShotTask, *history: Interaction) -> FewShotTask:
    """One training row with this history."""
    row = task.train[0]
    return replace(task, train=(replace(row, sample=replace(row.sample, history=history)),))


def step_of(task: FewShotTask, item_id: str, flag: float) -> list[float]:
    return [*embeddings(3)([item_id], task.seed)[0].tolist(), flag]


def first_bias(task: FewShotTask, item_id: str) -> float:
    return logit_rows(1)([item_id], task.seed)[0, 1].item()


def sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x))


def test_a_few_shot_task_is_fitted(toy_task: FewShotTask) -> None:
    fitted = fit_one(toy_task, replace(TRAINING, n_updates=40))
    assert [one.sample_id for one in fitted.predictions] == [sample.sample_id for sample in toy_task.test]
    for sample, one in zip(toy_task.test, fitted.predictions, strict=True):
        assert (one.score > 0.5) == sample.target_item_id.startswith("good")
        assert one.details["valid_auc"] == fitted.valid_auc == 1.0


@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_one_update_is_adam_on_the_squared_error_with_coupled_decay(toy_task: FewShotTask, decay: float) -> None:
    sample = toy_task.train[0].sample  # a liked row
    asked = (sample, replace(sample, sample_id="unseen", target_item_id="x"))
    task = replace(toy_task, train=toy_task.train[:1], test=asked)
    found = fit_one(task, replace(TRAINING, n_updates=1), decay)
    seen, unseen = (first_bias(task, item_id) for item_id in (sample.target_item_id, "x"))
    data = 2 * (sigmoid(seen) - 1) * sigmoid(seen) * (1 - sigmoid(seen))
    for one, bias, gradient in zip(
        found.predictions, (seen, unseen), (data + decay * seen, decay * unseen), strict=True
    ):
        # After one update both moments of Adam are those of the one gradient.
        expected = bias - 0.1 * gradient / (abs(gradient) + 1e-8)
        assert one.score == pytest.approx(sigmoid(expected), abs=1e-6)


def test_the_loss_is_the_squared_error_of_the_sigmoid_averaged_over_rows(toy_task: FewShotTask) -> None:
    task = replace(toy_task, train=toy_task.train[:3])
    gradients = watch([task]).gradients[0]
    for gradient, row in zip(gradients[0, :, 0].tolist(), task.train, strict=True):
        weight, bias = logit_rows(1)([row.sample.target_item_id], task.seed)[0].tolist()
        score = sigmoid(bias)
        # d (s - y)^2 / d state = 2 (s - y) s (1 - s) times the weight of the state
        assert gradient == pytest.approx(2 * (score - row.liked) * score * (1 - score) * weight / 3, abs=1e-7)


def test_short_histories_repeat_their_last_interaction(toy_task: FewShotTask) -> None:
    task = with_history(toy_task, Interaction("good-1", True), Interaction("bad-1", False))
    first, last = step_of(task, "good-1", 1.0), step_of(task, "bad-1", 0.0)
    assert watch([task]).steps[0][0, :, 0].tolist() == [first, last, last, last]


def test_long_histories_keep_their_newest_interactions_oldest_first(toy_task: FewShotTask) -> None:
    task = with_history(toy_task, *(Interaction(f"good-{n}", n % 2 == 0) for n in range(6)))
    expected = [step_of(task, f"good-{n}", float(n % 2 == 0)) for n in (2, 3, 4, 5)]
    assert watch([task]).steps[0][0, :, 0].tolist() == expected


def test_an_empty_history_has_no_embedding_and_a_flag_between_like_and_dislike(toy_task: FewShotTask) -> None:
    rows = (*with_history(toy_task).train, toy_task.train[1])
    steps = watch([replace(toy_task, train=rows)]).steps[0][0]
    assert steps[:, 0].tolist() == [[0.0, 0.0, 0.0, 0.5]] * 4
    assert steps[0, 1].tolist() == step_of(toy_task, rows[1].sample.history[0].item_id, 1.0)


def test_no_test_target_is_trained_on(toy_task: FewShotTask) -> None:
    task = replace(toy_task, train=toy_task.train[:4])
    own = Group(Run(lambda inputs: Model(Watched(), 1), TRAINING, "per_item", [0.0], None), [task])
    trained = {row.sample.target_item_id for row in task.train}
    assert set(own.targets.index) == trained
    assert {sample.target_item_id for sample in task.test} - trained
    assert len(watch([task]).steps) == TRAINING.n_updates


@pytest.mark.parametrize(("batch_size", "rows"), [(256, 16), (16, 16), (5, 5), (1, 1)])
def test_a_batch_never_repeats_a_row(toy_task: FewShotTask, batch_size: int, rows: int) -> None:
    for steps in watch([toy_task], replace(TRAINING, batch_size=batch_size, learning_rate=1e-9)).steps:
        histories = {str(steps[0, :, row].tolist()) for row in range(steps.shape[2])}
        assert steps.shape[2] == rows == len(histories)  # the toy rows have different histories


def test_one_shot_is_enough(toy_task: FewShotTask) -> None:
    assert len(fit_one(replace(toy_task, train=toy_task.train[:1])).predictions) == len(toy_task.test)


def test_no_training_row_is_refused(toy_task: FewShotTask) -> None:
    with pytest.raises(DataError, match="no training row, expected at least one"):
        fit_one(replace(toy_task, train=()))


def test_items_of_a_sample_may_be_in_no_other_row(toy_task: FewShotTask) -> None:
    alone = Sample("alone", "user", (Interaction("only-here", True),), "nor-this")
    (found,) = fit_one(replace(toy_task, test=(alone,))).predictions
    assert found.score == pytest.approx(sigmoid(first_bias(toy_task, "nor-this")), abs=1e-6)
