"""Rec-tuning on the toy domain. The saved adapter has to be the one that validated best."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.metrics import roc_auc_score
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from benchmark.errors import DataError
from benchmark.schema import FewShotTask, Prediction, Sample
from benchmark.seeding import derive_seed
from benchmark.statistics.auc import chance_auc
from tallrec.models.adapters import Lora, load_adapter, save_adapter, trainable_adapter
from tallrec.prompts.answer_tokens import AnswerTokens
from tallrec.scoring.samples import EncodedSamples, Scoring, encode_samples, score_encoded, score_samples
from tallrec.training import tuning
from tallrec.training.schedule import Schedule
from tallrec.training.tuning import Tuned, instruction_tune, rec_tune

EVERYWHERE = Lora(8, 16, 0.0, ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"))
SCHEDULE = Schedule(
    n_updates=10,
    batch_size=16,
    micro_batch_size=16,
    learning_rate=0.02,
    warmup_updates=0,
    seed=0,
    eval_every=1,
    patience=10,
    keep_best=True,
)


@pytest.fixture
def tune(
    tiny_model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    toy_task: FewShotTask,
    scoring: Scoring,
    fresh_start: Path,
    lora: Lora,
    tmp_path: Path,
) -> Callable[..., Tuned]:
    """Tunes a new adapter of the tiny model on the toy rows, all values as here but for those that are given."""
    adapted = trainable_adapter(tiny_model, fresh_start, lora, seed=0)

    def run(
        schedule: Schedule = SCHEDULE,
        scoring: Scoring = scoring,
        *,
        loss: str = "answer",
        max_valid_samples: int | None = None,
    ) -> Tuned:
        scratch = tmp_path / "s"
        return rec_tune(
            adapted, tokenizer, toy_task, schedule, scoring, scratch, loss=loss, max_valid_samples=max_valid_samples
        )

    return run


@pytest.fixture
def validations(monkeypatch: pytest.MonkeyPatch) -> list[list[float]]:
    """Filled with the score of each validation row, in every validation of a tuning."""
    seen: list[list[float]] = []

    def watched(*arguments: Any) -> list[Prediction]:
        predictions = score_encoded(*arguments)
        seen.append([prediction.score for prediction in predictions])
        return predictions

    monkeypatch.setattr(tuning, "score_encoded", watched)
    return seen


@pytest.mark.parametrize("keep_best", [True, False])
def test_the_saved_adapter_scores_each_row_as_the_best_validation_did(
    new_tiny_model: Callable[..., LlamaForCausalLM],
    tokenizer: PreTrainedTokenizerFast,
    toy_task: FewShotTask,
    scoring: Scoring,
    fresh_start: Path,
    tmp_path: Path,
    validations: list[list[float]],
    keep_best: bool,
) -> None:
    # Validation labels are turned, so that what is learned makes validation worse: the last weights are not the best.
    toy_task = replace(toy_task, valid=tuple(replace(row, liked=not row.liked) for row in toy_task.valid))
    adapted = trainable_adapter(new_tiny_model(32), fresh_start, EVERYWHERE, seed=0)
    tuned = rec_tune(
        adapted,
        tokenizer,
        toy_task,
        replace(SCHEDULE, keep_best=keep_best),
        scoring,
        tmp_path / "s",
        loss="answer",
        max_valid_samples=None,
    )
    aucs = [entry["eval_auc"] for entry in tuned.log if "eval_auc" in entry]
    assert len(aucs) == len(validations) == 10
    assert tuned.best_auc == max(aucs) == aucs[(tuned.best_step or 0) - 1] > aucs[-1]
    save_adapter(adapted, tmp_path / "saved")
    loaded = load_adapter(new_tiny_model(32), tmp_path / "saved")
    # In the order of validation, since a batch of other rows is another sum.
    valid = sorted(toy_task.valid, key=lambda row: derive_seed("valid", row.sample.sample_id))
    scores = [p.score for p in score_samples(loaded, tokenizer, [r.sample for r in valid], toy_task.items, scoring)]
    kept = (tuned.best_step or 0) - 1 if keep_best else 9
    assert [scores == seen for seen in validations] == [number == kept for number in range(10)]
    assert roc_auc_score([row.liked for row in valid], scores) == aucs[kept]


def test_test_samples_are_not_looked_at(
    new_tiny_model: Callable[..., LlamaForCausalLM],
    tokenizer: PreTrainedTokenizerFast,
    toy_task: FewShotTask,
    scoring: Scoring,
    fresh_start: Path,
    lora: Lora,
    tmp_path: Path,
) -> None:
    schedule = replace(SCHEDULE, n_updates=2)
    ends: list[dict[str, torch.Tensor]] = []
    # A sample whose target is no item could not even be rendered.
    for test in (toy_task.test, (Sample("broken", "nobody", (), "no-item"),)):
        adapted = trainable_adapter(new_tiny_model(), fresh_start, lora, seed=0)
        task = replace(toy_task, test=test)
        rec_tune(adapted, tokenizer, task, schedule, scoring, tmp_path / "s", loss="answer", max_valid_samples=None)
        ends.append({name: tensor.clone() for name, tensor in adapted.state_dict().items()})
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


@pytest.mark.parametrize("loss", ["all_tokens", "answer"])
def test_what_happened_is_told(tune: Callable[..., Tuned], loss: str) -> None:
    tuned = tune(replace(SCHEDULE, n_updates=4, eval_every=2), loss=loss, max_valid_samples=4)
    assert tuned.n_steps == 4
    assert tuned.best_step in (2, 4)
    assert 0 <= (tuned.best_auc or 0) <= 1


def test_validation_rows_of_one_class_choose_no_checkpoint(tune: Callable[..., Tuned]) -> None:
    with pytest.raises(DataError, match=r"^validation rows: [01] of 1 are liked, expected both labels to choose a"):
        tune(max_valid_samples=1)
    tuned = tune(replace(SCHEDULE, n_updates=2, keep_best=False), max_valid_samples=1)
    assert (tuned.n_steps, tuned.best_auc, tuned.chance_auc, tuned.is_at_chance) == (2, None, None, None)


def test_a_validation_of_other_tokens_than_the_taught_ones_is_refused(
    tune: Callable[..., Tuned], monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_wrongly(*arguments: Any, **keywords: Any) -> EncodedSamples:
        encoded = encode_samples(*arguments, **keywords)
        return replace(encoded, tokens=AnswerTokens(encoded.tokens.yes, 8241))

    monkeypatch.setattr(tuning, "encode_samples", read_wrongly)
    with pytest.raises(DataError, match=r"^toy-train-1: tuning teaches token \d+ as the answer and validation reads"):
        tune()


@pytest.mark.parametrize("loss", ["all_tokens", "answer"])
def test_rows_that_are_cut_teach_what_validation_reads(
    tune: Callable[..., Tuned],
    tokenizer: PreTrainedTokenizerFast,
    toy_task: FewShotTask,
    scoring: Scoring,
    loss: str,
) -> None:
    samples = [row.sample for row in toy_task.train]
    assert min(map(len, encode_samples(tokenizer, samples, toy_task.items, scoring).prompts)) > 20
    tune(replace(SCHEDULE, n_updates=1), replace(scoring, max_length=20), loss=loss)  # else it is refused


@pytest.mark.parametrize(("turned", "is_at_chance"), [(False, False), (True, True)])
def test_a_curve_that_never_leaves_chance_is_flagged(
    new_tiny_model: Callable[..., LlamaForCausalLM],
    tokenizer: PreTrainedTokenizerFast,
    toy_task: FewShotTask,
    scoring: Scoring,
    fresh_start: Path,
    tmp_path: Path,
    turned: bool,
    is_at_chance: bool,
) -> None:
    # Of 48 validation rows with as many users, the best of three AUCs may be 0.70 by chance; the toy rows are learned
    # perfectly.
    valid = tuple(
        replace(row, sample=replace(row.sample, sample_id=str(number), user_id=str(number)), liked=row.liked != turned)
        for number, row in enumerate(toy_task.valid * 6)
    )
    adapted = trainable_adapter(new_tiny_model(32), fresh_start, EVERYWHERE, seed=0)
    tuned = rec_tune(
        adapted,
        tokenizer,
        replace(toy_task, valid=valid),
        replace(SCHEDULE, n_updates=30, eval_every=10),
        scoring,
        tmp_path / "s",
        loss="answer",
        max_valid_samples=None,
    )
    assert tuned.chance_auc == pytest.approx(chance_auc([row.liked for row in valid], [*map(str, range(48))], 3))
    assert tuned.chance_auc == pytest.approx(0.70, abs=0.01)
    assert tuned.is_at_chance is is_at_chance


def test_instruction_tuning_lowers_its_loss_and_has_no_best_step(
    tiny_model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, fresh_start: Path, tmp_path: Path
) -> None:
    rows = [{"instruction": "Say a word.", "input": word, "output": "Yes."} for word in ("Good", "")]
    adapted = trainable_adapter(tiny_model, fresh_start, EVERYWHERE, seed=0)
    schedule = replace(SCHEDULE, eval_every=None, keep_best=False)
    tuned = instruction_tune(
        adapted, tokenizer, rows, schedule, tmp_path / "s", loss="answer", stray_comment=True, max_length=512
    )
    losses = [entry["loss"] for entry in tuned.log if "loss" in entry]
    assert losses[-1] < losses[0]
    assert (tuned.n_steps, tuned.best_step, tuned.best_auc) == (10, None, None)
