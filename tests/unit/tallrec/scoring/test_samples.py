from dataclasses import replace

import pytest
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from benchmark.errors import DataError
from benchmark.schema import FewShotTask, check_predictions
from tallrec.prompts.styles import released
from tallrec.scoring.logits import last_logits
from tallrec.scoring.samples import Scoring, score_samples


def test_one_prediction_a_sample_in_the_order_given(
    tiny_model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, toy_task: FewShotTask, scoring: Scoring
) -> None:
    predictions = score_samples(tiny_model, tokenizer, toy_task.test, toy_task.items, scoring)
    assert [p.sample_id for p in predictions] == [sample.sample_id for sample in toy_task.test]
    check_predictions(predictions, toy_task)
    assert len({prediction.score for prediction in predictions}) > 1


def test_details_say_what_a_score_is_made_of(
    tiny_model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, toy_task: FewShotTask, scoring: Scoring
) -> None:
    for prediction in score_samples(tiny_model, tokenizer, toy_task.test, toy_task.items, scoring):
        assert 0 < prediction.details["answer_mass"] < 1
        assert prediction.details["n_prompt_tokens"] > 50
        assert prediction.details["is_truncated"] == 0


def test_a_long_prompt_is_cut_at_the_left_and_counted(
    tiny_model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, toy_task: FewShotTask, scoring: Scoring
) -> None:
    short = replace(scoring, max_length=4)
    predictions = score_samples(tiny_model, tokenizer, toy_task.test, toy_task.items, short)
    assert {prediction.details["is_truncated"] for prediction in predictions} == {1.0}
    # The last four tokens hold no title: all prompts are the same now.
    assert len({prediction.score for prediction in predictions}) == 1


def test_demonstrations_lengthen_the_prompt_and_change_scores(
    tiny_model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, toy_task: FewShotTask, scoring: Scoring
) -> None:
    bare = score_samples(tiny_model, tokenizer, toy_task.test, toy_task.items, scoring)
    shown = score_samples(tiny_model, tokenizer, toy_task.test, toy_task.items, scoring, toy_task.train[:2])
    for without, given in zip(bare, shown, strict=True):
        assert given.details["n_prompt_tokens"] > without.details["n_prompt_tokens"]
        assert given.score != without.score


def test_a_tokenizer_that_cannot_tell_the_answers_apart_is_not_scored_with(
    tiny_model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    toy_task: FewShotTask,
    scoring: Scoring,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    same = replace(released.STYLE, answers={True: "Yes", False: "Yes."})
    monkeypatch.setattr(released, "STYLE", same)
    with pytest.raises(DataError, match="the one those the other begins with"):
        score_samples(tiny_model, tokenizer, toy_task.test, toy_task.items, scoring)


@pytest.mark.parametrize("is_training", [True, False])
def test_scoring_leaves_the_mode_of_the_model(tiny_model: LlamaForCausalLM, is_training: bool) -> None:
    tiny_model.train(is_training)
    last_logits(tiny_model, [[1, 2, 3]], 100)
    assert tiny_model.training is is_training


def test_no_prompt_gives_no_logits(tiny_model: LlamaForCausalLM) -> None:
    assert last_logits(tiny_model, [], 100).shape == (0, tiny_model.config.vocab_size)
