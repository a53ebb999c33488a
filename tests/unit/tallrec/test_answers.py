import math

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from benchmark.errors import DataError
from tallrec.answers import AnswerTokens, answer_scores, answer_tokens

TOKENS = AnswerTokens(yes=1, no=2)


def test_answer_tokens_are_what_follows_the_prompt(tokenizer: PreTrainedTokenizerFast) -> None:
    found = answer_tokens(tokenizer, "### Response:\n")
    assert tokenizer.decode([found.yes]) == "Yes"
    assert tokenizer.decode([found.no]) == "No"


def test_answers_with_the_same_first_token_are_refused() -> None:
    unknowing = Tokenizer(models.WordLevel({"[UNK]": 0, "prompt": 1}, unk_token="[UNK]"))
    unknowing.pre_tokenizer = pre_tokenizers.Whitespace()
    with pytest.raises(DataError, match="both answers begin with token 0"):
        answer_tokens(PreTrainedTokenizerFast(tokenizer_object=unknowing), "prompt\n")


def test_a_tokenizer_that_merges_an_answer_into_the_prompt_is_refused() -> None:
    vocabulary = {token: number for number, token in enumerate(["p", "\n", "Y", "e", "s", "N", "o", ".", "\nY"])}
    merging = Tokenizer(models.BPE(vocabulary, [("\n", "Y")]))
    with pytest.raises(DataError, match=r"'Yes\.' after a prompt changes the tokens of the prompt"):
        answer_tokens(PreTrainedTokenizerFast(tokenizer_object=merging), "p\n")


def test_a_tokenizer_that_drops_the_answers_is_refused() -> None:
    deaf = Tokenizer(models.BPE({"p": 0}, []))
    with pytest.raises(DataError, match="changes the tokens of the prompt"):
        answer_tokens(PreTrainedTokenizerFast(tokenizer_object=deaf), "p")


def test_the_released_score_lies_within_the_softmax_of_a_unit() -> None:
    certain = torch.tensor([[0.0, 100.0, -100.0], [0.0, -100.0, 100.0], [100.0, 0.0, 0.0]])
    highest, lowest, silent = answer_scores(certain, TOKENS, "double_softmax").tolist()
    assert highest == pytest.approx(math.e / (1 + math.e))
    assert lowest == pytest.approx(1 / (1 + math.e))
    assert silent == pytest.approx(0.5)


def test_the_two_rules_rank_differently() -> None:
    # The first sample hardly speaks of the answers, but has the better odds.
    logits = torch.tensor([[10.0, 3.0, 0.0], [0.0, 1.0, 0.5]])
    released = answer_scores(logits, TOKENS, "double_softmax").tolist()
    odds = answer_scores(logits, TOKENS, "logit_difference").tolist()
    assert odds == [3.0, 0.5]
    assert released[0] < released[1]


@pytest.mark.parametrize("rule", ["double_softmax", "logit_difference"])
def test_close_scores_of_half_precision_stay_apart(rule: str) -> None:
    logits = torch.tensor([[0.0, 1.0, 1.0], [0.0, 1.001, 1.0]], dtype=torch.float16)
    first, second = answer_scores(logits, TOKENS, rule).tolist()
    assert second > first
