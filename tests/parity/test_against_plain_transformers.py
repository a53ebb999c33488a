"""What is batched, padded, masked or stored here against the plain way of doing it, on a tiny random model."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM

from tallrec.models.adapters import Lora, load_adapter, save_adapter, trainable_adapter
from tallrec.prompts.answer_tokens import AnswerTokens
from tallrec.scoring.logits import last_logits
from tallrec.scoring.rules import answer_scores
from tallrec.training.fitting import fit
from tallrec.training.micro_batches import collate
from tallrec.training.rows import IGNORED
from tallrec.training.schedule import Schedule

LENGTHS = (3, 17, 1, 40, 17, 8)
PROMPTS = [[(7 * row + 3 * place) % 400 + 20 for place in range(length)] for row, length in enumerate(LENGTHS)]
ROWS = [
    {"input_ids": ids, "labels": [IGNORED] * (len(ids) // 2) + ids[len(ids) // 2 :]} for ids in PROMPTS if len(ids) > 1
]


def test_the_double_softmax_is_the_formula_by_hand() -> None:
    logits = np.random.default_rng(0).normal(scale=3, size=(50, 11))
    tokens = AnswerTokens(yes=4, no=9)
    probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    yes, no = probability[:, tokens.yes], probability[:, tokens.no]
    expected = np.exp(yes) / (np.exp(yes) + np.exp(no))
    found = answer_scores(torch.tensor(logits), tokens, "double_softmax").numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-14)
    assert (np.argsort(found) == np.argsort(yes - no)).all()


@pytest.mark.parametrize("batch_tokens", [1, 40, 10_000])
def test_last_logits_are_those_of_a_plain_forward_of_each_prompt(
    tiny_model: LlamaForCausalLM, batch_tokens: int
) -> None:
    found = last_logits(tiny_model, PROMPTS, batch_tokens)
    with torch.inference_mode():
        expected = torch.stack([tiny_model(input_ids=torch.tensor([ids])).logits[0, -1] for ids in PROMPTS])
    assert expected.abs().max() > 1
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_the_loss_of_a_padded_batch_is_the_mean_over_its_tokens(tiny_model: LlamaForCausalLM) -> None:
    with torch.inference_mode():
        batch = collate(ROWS)
        together = float(tiny_model(**batch).loss)
        # The first position is no target, since nothing comes before it.
        n_tokens = [sum(label != IGNORED for label in row["labels"][1:]) for row in ROWS]
        alone = [float(tiny_model(**collate([row])).loss) for row in ROWS]
    assert batch["input_ids"].shape == (5, 40)
    assert together == pytest.approx(np.average(alone, weights=n_tokens), abs=1e-5)
    assert together != pytest.approx(np.mean(alone), abs=1e-3)


@pytest.mark.parametrize("micro_batch_size", [5, 1])
def test_the_first_loss_of_training_is_that_of_the_whole_batch(
    tiny_model: LlamaForCausalLM, tmp_path: Path, micro_batch_size: int
) -> None:
    with torch.inference_mode():
        expected = float(tiny_model(**collate(ROWS)).loss)
    log = fit(tiny_model, ROWS, Schedule(1, 5, micro_batch_size, 1e-9, 0, 0), tmp_path / "scratch").log
    assert log[0]["loss"] == pytest.approx(expected, abs=1e-4)


def test_micro_batches_take_the_step_of_the_whole_batch(
    new_tiny_model: Callable[[], LlamaForCausalLM], tmp_path: Path
) -> None:
    ends: list[torch.Tensor] = []
    for micro_batch_size in (5, 1):
        model = new_tiny_model()
        # Large gradients only: Adam's first step is the sign of the gradient, which rounding could turn near zero.
        fit(model, ROWS, Schedule(1, 5, micro_batch_size, 0.01, 0, 0), tmp_path / "scratch")
        ends.append(model.model.layers[0].mlp.down_proj.weight.detach())
    start = new_tiny_model().model.layers[0].mlp.down_proj.weight.detach()
    torch.testing.assert_close(ends[0], ends[1], atol=1e-4, rtol=0)
    assert (ends[0] - start).abs().max() > 5e-3


@pytest.mark.parametrize("micro_batch_size", [5, 2, 1])
def test_a_model_that_cannot_divide_by_the_labels_of_an_update_is_trained_on_their_mean(
    tiny_model: LlamaForCausalLM, tmp_path: Path, micro_batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with torch.inference_mode():
        expected = float(tiny_model(**collate(ROWS)).loss)
    monkeypatch.setattr(LlamaForCausalLM, "accepts_loss_kwargs", False, raising=False)
    log = fit(tiny_model, ROWS, Schedule(1, 5, micro_batch_size, 1e-9, 0, 0), tmp_path / "scratch").log
    assert log[0]["loss"] == pytest.approx(expected, abs=1e-4)


def test_an_adapter_scores_the_same_bit_for_bit_once_stored(
    new_tiny_model: Callable[[], LlamaForCausalLM], fresh_start: Path, lora: Lora, tmp_path: Path
) -> None:
    adapted = trainable_adapter(new_tiny_model(), fresh_start, lora, seed=0)
    fit(adapted, ROWS, Schedule(5, 5, 5, 0.01, 0, 0), tmp_path / "scratch")
    before = last_logits(adapted, PROMPTS, 100)
    save_adapter(adapted, tmp_path / "adapter")
    after = last_logits(load_adapter(new_tiny_model(), tmp_path / "adapter"), PROMPTS, 100)
    assert torch.equal(before, after)
    assert not torch.equal(before, last_logits(new_tiny_model(), PROMPTS, 100))
