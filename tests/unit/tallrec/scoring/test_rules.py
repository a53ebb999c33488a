import math

import pytest
import torch

from tallrec.prompts.answer_tokens import AnswerTokens
from tallrec.scoring.rules import answer_scores

TOKENS = AnswerTokens(yes=1, no=2)
# Logits whose softmax is known (a number added to all of them changes nothing), and the scores worked out by hand:
# e^P(Yes) / (e^P(Yes) + e^P(No)) = 1 / (1 + e^(P(No) - P(Yes))), and log(P(Yes) / P(No)).
BY_HAND = [
    # probabilities of (another token, Yes, No), double softmax, logit difference
    ((0.2, 0.6, 0.2), 0.598687660112452, 1.0986122886681098),  # 1 / (1 + e^-0.4), log 3
    ((0.1, 0.1, 0.8), 0.331812227831834, -2.0794415416798357),  # 1 / (1 + e^0.7), -log 8
    ((0.5, 0.25, 0.25), 0.5, 0.0),
    ((0.99, 0.008, 0.002), 0.501499995500016, 1.3862943611198906),  # 1 / (1 + e^-0.006), log 4
]


def test_the_released_score_lies_within_the_softmax_of_a_unit() -> None:
    certain = torch.tensor([[0.0, 100.0, -100.0], [0.0, -100.0, 100.0], [100.0, 0.0, 0.0]])
    highest, lowest, silent = answer_scores(certain, TOKENS, "double_softmax").tolist()
    assert highest == pytest.approx(math.e / (1 + math.e))
    assert lowest == pytest.approx(1 / (1 + math.e))
    assert silent == pytest.approx(0.5)


@pytest.mark.parametrize("added", [0.0, -7.0, 300.0])
@pytest.mark.parametrize(("probabilities", "released", "difference"), BY_HAND)
def test_both_rules_give_what_was_worked_out_by_hand(
    probabilities: tuple[float, ...], released: float, difference: float, added: float
) -> None:
    logits = torch.tensor([[math.log(probability) + added for probability in probabilities]], dtype=torch.float64)
    assert answer_scores(logits, TOKENS, "double_softmax").item() == pytest.approx(released, abs=1e-12)
    assert answer_scores(logits, TOKENS, "logit_difference").item() == pytest.approx(difference, abs=1e-12)


def test_the_released_rule_takes_its_columns_in_the_released_order() -> None:
    # evaluate.py: columns 8241 ("Yes") and 3782 ("No") of LLaMA's 32,000, softmax over the two, the first of them.
    logits = torch.randn(4, 32_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    logits[:, 8241] += torch.tensor([9.0, 5.0, 0.0, 9.0])
    logits[:, 3782] += torch.tensor([5.0, 9.0, 0.0, 9.0])
    twice = torch.softmax(torch.softmax(logits, dim=1)[:, [8241, 3782]], dim=1)[:, 0]
    found = answer_scores(logits, AnswerTokens(yes=8241, no=3782), "double_softmax")
    torch.testing.assert_close(found, twice, rtol=1e-15, atol=0)
    assert found[0] > found[2] > found[1]


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
