"""The one training loop: which checkpoint it tests, what it leaves alone, and what it refuses."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from baselines import group, gru4rec, heads, training
from baselines.model import Inputs, Model
from baselines.training import Fitted, Training, fit
from benchmark.errors import ConfigError, DataError
from benchmark.schema import FewShotTask

TRAINING = Training(
    learning_rate=0.1, batch_size=256, n_updates=10, eval_every=4, history_length=4, item_size=3, n_threads=1
)


def build(inputs: Inputs) -> Model:
    return gru4rec.model(inputs, hidden_size=4, n_layers=1)


def fit_one(task: FewShotTask, training: Training = TRAINING, decay: float = 0.0) -> Fitted:
    ((fitted,),) = fit(build, [task], training, weight_decays=[decay])
    return fitted


class Scheduled(nn.Module):
    """The state is 1 after `best` updates and -1 at any other time."""

    def __init__(self, inputs: Inputs, best: int) -> None:
        super().__init__()
        self.best = best
        self.n_updates = nn.Parameter(torch.zeros(len(inputs.replicas), 1, 1), requires_grad=False)

    def forward(self, steps: Tensor) -> Tensor:
        if self.training:
            self.n_updates += 1
        return torch.where(self.n_updates == self.best, 1.0, -1.0) + steps[:, -1, :, :1] * 0


def fit_scheduled(task: FewShotTask, best: int, monkeypatch: pytest.MonkeyPatch) -> Fitted:
    """Good items have weight 1 and others -1: they are ranked first after `best` updates and last before and after."""

    def rows(item_ids: Sequence[str], seed: int) -> Tensor:
        return torch.tensor([[1.0 if item_id.startswith("good") else -1.0, 0.0] for item_id in item_ids])

    monkeypatch.setattr(heads, "logit_rows", lambda state_size: rows)
    slow = replace(TRAINING, learning_rate=1e-6)
    ((fitted,),) = fit(lambda inputs: Model(Scheduled(inputs, best), 1), [task], slow, weight_decays=[0.0])
    return fitted


@pytest.mark.parametrize("best", [4, 8, 10])
def test_the_checkpoint_with_the_best_validation_auc_is_tested(
    toy_task: FewShotTask, monkeypatch: pytest.MonkeyPatch, best: int
) -> None:
    predictions = fit_scheduled(toy_task, best, monkeypatch).predictions
    liked = [sample.target_item_id.startswith("good") for sample in toy_task.test]
    assert roc_auc_score(liked, [one.score for one in predictions]) == 1.0
    expected = {"n_updates": 10, "best_update": best, "valid_auc": 1.0, "weight_decay": 0.0}
    assert all(one.details == expected for one in predictions)


def test_the_test_samples_have_no_part_in_the_choice(toy_task: FewShotTask, monkeypatch: pytest.MonkeyPatch) -> None:
    # Between two validations: good for the test, never seen to be good; the first of equals is taken.
    assert {one.details["best_update"] for one in fit_scheduled(toy_task, 7, monkeypatch).predictions} == {4}


def test_a_score_does_not_depend_on_the_other_test_samples(toy_task: FewShotTask) -> None:
    whole, first = fit_one(toy_task, decay=0.1), fit_one(replace(toy_task, test=toy_task.test[:1]), decay=0.1)
    assert first.predictions == whole.predictions[:1]


def test_validation_follows_the_last_update_if_it_comes_first(toy_task: FewShotTask) -> None:
    found = fit_one(toy_task, replace(TRAINING, n_updates=2, eval_every=5))
    assert {one.details["best_update"] for one in found.predictions} == {2}


@pytest.mark.parametrize(
    ("rows", "counts"), [(slice(0, 8, 2), "4 of 4"), (slice(1, 8, 2), "0 of 4"), (slice(0), "0 of 0")]
)
def test_validation_rows_of_one_label_are_refused(toy_task: FewShotTask, rows: slice, counts: str) -> None:
    with pytest.raises(DataError, match=f"validation rows: {counts} are liked, expected both labels"):
        fit_one(replace(toy_task, valid=toy_task.valid[rows]))


@pytest.mark.parametrize("changed", ["valid", "test"])
def test_tasks_of_different_samples_are_refused(toy_task: FewShotTask, changed: str) -> None:
    other = replace(toy_task, **{changed: getattr(toy_task, changed)[::-1]})
    with pytest.raises(ValueError, match="differ in their validation rows or test samples"):
        fit(build, [toy_task, other], TRAINING, weight_decays=[0.0])


@pytest.mark.parametrize("n_values", [2, 5, 1000])
def test_each_replica_is_judged_by_its_auc_and_ties_count_one_half(n_values: int) -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randint(n_values, (4, 50), generator=generator).float()
    labels = torch.rand(50, generator=generator) < 0.3
    expected = [roc_auc_score(labels, row) for row in scores]
    assert training.aucs(labels, scores).tolist() == pytest.approx(expected, abs=1e-12)


def test_training_that_diverges_is_refused(toy_task: FewShotTask) -> None:
    class Diverging(nn.Module):
        def forward(self, steps: Tensor) -> Tensor:
            return steps[:, -1, :, :1] * float("nan")

    with pytest.raises(ConfigError, match=r"baselines\.training\.learning_rate: training diverged by update 4"):
        fit(lambda inputs: Model(Diverging(), 1), [toy_task], TRAINING, weight_decays=[0.0])


def test_scoring_in_parts_changes_nothing(toy_task: FewShotTask, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fit_one(toy_task)
    monkeypatch.setattr(group, "STEPS_AT_ONCE", 3)
    assert fit_one(toy_task) == whole


def test_no_test_sample_gives_no_prediction(toy_task: FewShotTask) -> None:
    assert fit_one(replace(toy_task, test=())).predictions == []


def test_torch_is_left_as_it_was(toy_task: FewShotTask) -> None:
    state, n_threads = torch.get_rng_state(), torch.get_num_threads()
    fit_one(toy_task, replace(TRAINING, n_threads=n_threads + 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == n_threads


def test_a_task_is_trained_under_its_seed(toy_task: FewShotTask) -> None:
    one, same, other = (fit_one(replace(toy_task, seed=seed)) for seed in (1, 1, 2))
    assert one == same != other


def test_progress_is_told_after_each_validation(toy_task: FewShotTask) -> None:
    told: list[tuple[int, int]] = []
    fit(
        build,
        [toy_task],
        TRAINING,
        weight_decays=[0.0],
        tell=lambda done, total: told.append((done, total)),
    )
    assert told == [(4, 10), (8, 10), (10, 10)]
