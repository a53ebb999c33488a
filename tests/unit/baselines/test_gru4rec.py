from dataclasses import replace

import numpy as np
import pytest
import torch

from baselines.gru4rec import Gru4Rec, predict
from baselines.training import Training
from benchmark.schema import FewShotTask

ITEMS = ["a", "b", "c"]
TRAINING = Training(
    learning_rate=0.001,
    weight_decay=0.001,
    batch_size=256,
    n_updates=4,
    eval_every=2,
    history_length=5,
    n_threads=1,
)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def gru_layer(steps: np.ndarray, weights: dict[str, np.ndarray], layer: int) -> np.ndarray:
    """The equations of a gated recurrent unit, one sample, written out: steps (length, size) -> states."""
    w, u, b, c = (weights[f"gru.{name}_l{layer}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    state, states = np.zeros(u.shape[1]), []
    for step in steps:
        reset_x, update_x, new_x = np.split(w @ step + b, 3)
        reset_h, update_h, new_h = np.split(u @ state + c, 3)
        reset, update = sigmoid(reset_x + reset_h), sigmoid(update_x + update_h)
        state = (1 - update) * np.tanh(new_x + reset * new_h) + update * state
        states.append(state)
    return np.stack(states)


@pytest.mark.parametrize("n_layers", [1, 4])
def test_the_logit_is_that_of_the_equations(n_layers: int) -> None:
    torch.manual_seed(0)
    model = Gru4Rec(ITEMS, seed=0, hidden_size=6, n_layers=n_layers).double()
    weights = {name: value.detach().numpy() for name, value in model.named_parameters()}
    history, liked, target = np.array([[1, 3, 2]]), np.array([[1.0, 0.0, 1.0]]), np.array([2])
    steps = np.column_stack([weights["embedding.weight"][history[0]], liked[0]])
    for layer in range(n_layers):
        steps = gru_layer(steps, weights, layer)
    expected = weights["logits.weight"][2] @ steps[-1] + weights["logits.bias"][2]
    logit = model(*(torch.from_numpy(array) for array in (history, liked, target)))
    assert logit.detach().numpy() == pytest.approx(expected, abs=1e-12)


def test_the_flag_is_the_last_of_as_many_coordinates_as_the_state_has() -> None:
    model = Gru4Rec(ITEMS, seed=0, hidden_size=64, n_layers=4)
    assert model.embedding.weight.shape == (4, 63)
    assert (model.gru.input_size, model.gru.hidden_size, model.gru.num_layers) == (64, 64, 4)
    assert model.logits.weight.shape == (4, 64)


def test_scores_lie_between_0_and_1_and_belong_to_the_test_samples(toy_task: FewShotTask) -> None:
    predictions = predict(toy_task, TRAINING, hidden_size=8, n_layers=2)
    assert [prediction.sample_id for prediction in predictions] == [sample.sample_id for sample in toy_task.test]
    assert all(0 < prediction.score < 1 for prediction in predictions)


def test_another_seed_gives_other_scores(toy_task: FewShotTask) -> None:
    one, other = (predict(replace(toy_task, seed=seed), TRAINING, hidden_size=8, n_layers=1) for seed in (0, 1))
    assert [prediction.score for prediction in one] != [prediction.score for prediction in other]


def test_the_history_and_its_flags_count(toy_task: FewShotTask) -> None:
    sample = toy_task.test[0]
    flags = tuple(replace(event, liked=not event.liked) for event in sample.history)
    changed = (
        replace(sample, sample_id="flags", history=flags),
        replace(sample, sample_id="none", history=()),
    )
    task = replace(toy_task, test=(sample, *changed))
    scores = [prediction.score for prediction in predict(task, TRAINING, hidden_size=8, n_layers=1)]
    assert len(set(scores)) == 3
