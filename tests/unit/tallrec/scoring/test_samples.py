from dataclasses import replace
from types import SimpleNamespace

import pytest
from transformers import AutoConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from benchmark.errors import DataError
from benchmark.schema import FewShotTask, check_predictions
from tallrec.models.architecture import positions_of
from tallrec.prompts.styles import released
from tallrec.scoring.logits import last_logits
from tallrec.scoring.samples import EncodedSamples, Scoring, encode_samples, score_samples


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
        assert prediction.details["n_dropped_demonstrations"] == 0
        assert prediction.details["n_dropped_interactions"] == 0


def test_the_limit_of_training_rows_cuts_no_prompt(
    tiny_model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, toy_task: FewShotTask, scoring: Scoring
) -> None:
    expected = score_samples(tiny_model, tokenizer, toy_task.test, toy_task.items, scoring)
    short = replace(scoring, max_length=4)
    assert score_samples(tiny_model, tokenizer, toy_task.test, toy_task.items, short) == expected


def test_a_prompt_beyond_the_positions_loses_the_earliest_demonstrations_first(
    tokenizer: PreTrainedTokenizerFast, toy_task: FewShotTask, scoring: Scoring
) -> None:
    def encoded(n_dropped: int, n_positions: int | None = None) -> EncodedSamples:
        shown = toy_task.train[n_dropped:3]
        return encode_samples(tokenizer, toy_task.test, toy_task.items, scoring, shown, n_positions=n_positions)

    whole = [encoded(n_dropped).prompts for n_dropped in range(4)]
    n_positions = min(len(prompt) for prompt in whole[1])
    found = encoded(0, n_positions)
    assert {dropped.demonstrations for dropped in found.dropped} >= {1, 2}
    for place, dropped in enumerate(found.dropped):
        assert dropped.interactions == 0
        assert found.prompts[place] == whole[dropped.demonstrations][place]
        fits = [len(prompts[place]) <= n_positions for prompts in whole]
        assert dropped.demonstrations == fits.index(True), "no more than it takes"


def test_a_prompt_without_demonstrations_loses_the_oldest_interactions(
    tiny_model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, toy_task: FewShotTask, scoring: Scoring
) -> None:
    long = [replace(sample, history=sample.history * 2) for sample in toy_task.test]
    whole = encode_samples(tokenizer, long, toy_task.items, scoring)
    tiny_model.config.max_position_embeddings = min(len(prompt) for prompt in whole.prompts)
    assert positions_of(tiny_model) == tiny_model.config.max_position_embeddings
    found = score_samples(tiny_model, tokenizer, long, toy_task.items, scoring, toy_task.train[:2])
    n_dropped = [int(prediction.details["n_dropped_interactions"]) for prediction in found]
    assert min(n_dropped) == 0 < max(n_dropped)
    assert {prediction.details["n_dropped_demonstrations"] for prediction in found} == {2}
    tiny_model.config.max_position_embeddings = 2048
    shorter = [replace(sample, history=sample.history[n:]) for sample, n in zip(long, n_dropped, strict=True)]
    expected = score_samples(tiny_model, tokenizer, shorter, toy_task.items, scoring)
    assert [prediction.score for prediction in found] == [prediction.score for prediction in expected]


def test_a_prompt_that_fits_no_model_loses_its_beginning_and_is_counted(
    tokenizer: PreTrainedTokenizerFast, toy_task: FewShotTask, scoring: Scoring
) -> None:
    found = encode_samples(tokenizer, toy_task.test, toy_task.items, scoring, toy_task.train[:1], n_positions=9)
    bare = [replace(sample, history=()) for sample in toy_task.test]
    whole = encode_samples(tokenizer, bare, toy_task.items, scoring)
    assert found.prompts == [prompt[-9:] for prompt in whole.prompts]
    assert [dropped.tokens for dropped in found.dropped] == [len(prompt) - 9 for prompt in whole.prompts]
    assert {dropped.demonstrations for dropped in found.dropped} == {1}


@pytest.mark.parametrize(
    ("kind", "settings", "expected"),
    [
        ("gpt2", {"n_positions": 77}, 77),
        ("mpt", {"max_seq_len": 66}, 66),
        ("mistral", {"max_position_embeddings": 55, "sliding_window": 8}, 55),
        ("mamba", {}, None),
        ("bloom", {}, None),
    ],
)
def test_positions_are_those_that_the_architecture_names(kind: str, settings: dict, expected: int | None) -> None:
    config = AutoConfig.for_model(kind, **settings)
    assert positions_of(SimpleNamespace(config=config)) == expected  # type: ignore[arg-type]  # no weight is looked at


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
