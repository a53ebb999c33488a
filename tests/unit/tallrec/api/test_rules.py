"""Scores from what a server gives, against hand calculations and the rules of local scoring."""

import math
from typing import Any

import pytest
import torch

from tallrec.api.bodies import Reply
from tallrec.api.rules import score_of_text, score_of_top
from tallrec.prompts.answer_tokens import AnswerTokens
from tallrec.scoring.rules import answer_scores

ANSWERS = {True: "Yes.", False: "No."}
TOP = {"Yes": 0.4, "No": 0.2, "The": 0.1, "I": 0.08, "A": 0.02}


def reply(top: dict[str, float] | None, text: str = "", **changes: Any) -> Reply:
    pairs = None if top is None else tuple((token, math.log(p)) for token, p in top.items())
    return Reply(text, pairs, **({"is_withheld": False, "n_input_tokens": None, "n_output_tokens": None} | changes))


def score(top: dict[str, float], *, missing: str = "smallest_of_top", rule: str = "logit_difference") -> float:
    return score_of_top("a", reply(top), ANSWERS, missing_answer=missing, rule=rule).score


@pytest.mark.parametrize("rule", ["double_softmax", "logit_difference"])
def test_the_rules_are_those_of_local_scoring(rule: str) -> None:
    logits = torch.randn(20, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3
    local = answer_scores(logits, AnswerTokens(0, 1), rule).tolist()
    names = ["Yes", "No", "The", "I", "A"]
    tops = [dict(zip(names, row, strict=True)) for row in logits.softmax(-1).tolist()]
    assert [score(top, rule=rule) for top in tops] == pytest.approx(local, rel=1e-12)
    assert len(set(local)) == 20


@pytest.mark.parametrize(
    ("top", "missing", "yes", "no"),
    [
        (TOP, "smallest_of_top", 0.4, 0.2),
        (TOP, "remainder", 0.4, 0.2),
        (TOP | {"No": 0.2, "Yes": 0.4}, "remainder", 0.4, 0.2),
        ({"Yes": 0.9, "The": 0.05, "I": 0.01}, "smallest_of_top", 0.9, 0.01),
        ({"Yes": 0.9, "The": 0.05, "I": 0.01}, "remainder", 0.9, 0.04),
        ({"No": 0.9, "The": 0.05, "I": 0.01}, "smallest_of_top", 0.01, 0.9),
        ({"No": 0.9, "The": 0.05, "I": 0.01}, "remainder", 0.04, 0.9),
        # Both missing: nothing is known of either.
        ({"The": 0.9, "I": 0.04}, "smallest_of_top", 0.04, 0.04),
        ({"The": 0.9, "I": 0.04}, "remainder", 0.06, 0.06),
        # Rounding leaves nothing, or less.
        ({"Yes": 0.75, "The": 0.25}, "remainder", 0.75, 1e-10),
        ({"Yes": 0.75, "The": 0.2500001}, "remainder", 0.75, 1e-10),
    ],
)
def test_an_answer_that_is_missing_gets_a_probability(
    top: dict[str, float], missing: str, yes: float, no: float
) -> None:
    assert score(top, missing=missing) == pytest.approx(math.log(yes / no), abs=1e-6)
    expected = 1 / (1 + math.exp(no - yes))
    assert score(top, missing=missing, rule="double_softmax") == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("token", ["Yes", " Yes", "Yes.", "\nYes", "\u2581Yes", "\u0120Yes"])
def test_an_answer_is_matched_without_its_spaces_and_its_stop(token: str) -> None:
    assert score({token: 0.6, "No": 0.3, "x": 0.1}) == pytest.approx(math.log(2))


@pytest.mark.parametrize("token", ["yes", "YES", "Yes,", "Yesterday", "Y", ""])
def test_what_is_only_like_an_answer_is_none(token: str) -> None:
    assert score({token: 0.6, "No": 0.3, "x": 0.1}) == pytest.approx(math.log(0.1 / 0.3))


def test_spellings_of_an_answer_are_added() -> None:
    found = score_of_top(
        "a",
        reply({"Yes": 0.3, " Yes": 0.2, " No": 0.1}),
        {True: " Yes", False: " No"},
        missing_answer="remainder",
        rule="logit_difference",
    )
    assert found.score == pytest.approx(math.log(5))
    assert found.details == pytest.approx({"answer_mass": 0.6, "n_missing": 0, "is_refused": 0, "is_unparsable": 0})


def test_what_is_missing_is_counted() -> None:
    tops = [TOP, {"Yes": 0.5, "The": 0.1}, {"The": 0.5, "A": 0.1}]
    found = [
        score_of_top("a", reply(top), ANSWERS, missing_answer="remainder", rule="double_softmax").details
        for top in tops
    ]
    assert [details["n_missing"] for details in found] == [0, 1, 2]
    assert [details["is_unparsable"] for details in found] == [0, 0, 1]
    assert [details["answer_mass"] for details in found] == pytest.approx([0.6, 0.5, 0])


@pytest.mark.parametrize("rule", ["double_softmax", "logit_difference"])
@pytest.mark.parametrize("missing", ["smallest_of_top", "remainder"])
def test_what_was_withheld_is_undecided(rule: str, missing: str) -> None:
    withheld = reply(None, is_withheld=True)
    found = score_of_top("a", withheld, ANSWERS, missing_answer=missing, rule=rule)
    assert found.score == (0.5 if rule == "double_softmax" else 0.0)
    assert (found.details["is_refused"], found.details["is_unparsable"]) == (1, 0)


@pytest.mark.parametrize(
    ("text", "score", "refused", "unparsable"),
    [
        ("Yes.", 1.0, 0, 0),
        (" yes", 1.0, 0, 0),
        ("**Yes**, since they liked it", 1.0, 0, 0),
        ('"No."', 0.0, 0, 0),
        ("\nNO", 0.0, 0, 0),
        ("Answer: No", 0.0, 0, 0),
        ("I'm sorry, I cannot say yes or no.", 0.5, 1, 0),
        ("As an AI language model, I have no preferences.", 0.5, 1, 0),
        ("I can\u2019t know that", 0.5, 1, 0),
        ("There is no way to know", 0.5, 0, 1),
        ("Nothing", 0.5, 0, 1),
        ("Yesterday", 0.5, 0, 1),
        ("Possibly yes", 0.5, 0, 1),
        ("<think>\n\n</think>\n\nYes", 1.0, 0, 0),
        ("<think>\nNo idea. Sorry?\n</think>\n\nYes.", 1.0, 0, 0),
        ("Yes, or\n</think>\nNo", 0.0, 0, 0),
        ("<seed:think>no</seed:think>Yes", 1.0, 0, 0),
        ("<|START_THINKING|>no way<|END_THINKING|><|START_RESPONSE|>Yes<|END_RESPONSE|>", 1.0, 0, 0),
        ("<|begin_of_thought|>no<|end_of_thought|><|begin_of_solution|>Yes<|end_of_solution|>", 1.0, 0, 0),
        ("no<\uff5cend\u2581of\u2581thinking\uff5c>Yes", 1.0, 0, 0),
        ("<|START_THINKING|>Yes, or", 0.5, 0, 1),
        ("<reflection>no</reflection>Yes", 1.0, 0, 0),
        ("Thinking...\nno\n...done thinking.\n\nYes", 1.0, 0, 0),
        ("analysisNo doubtassistantfinalYes", 1.0, 0, 0),
        ("\\boxed{No}", 0.0, 0, 0),
        ("The final answer is **No**.", 0.0, 0, 0),
        ("<plan>no</plan>Yes", 0.5, 0, 1),
        ("[THINK]yes[/THINK]No", 0.0, 0, 0),
        ("<|channel|>analysis<|message|>yes<|channel|>final<|message|>No", 0.0, 0, 0),
        ("<think>\nNo idea. I cannot", 0.5, 0, 1),
        ("<think>Yes", 0.5, 0, 1),
        ("Yes and No", 0.5, 0, 1),
        ("Yes or No: No", 0.5, 0, 1),
        ("Answer: **Yes/No**", 0.5, 0, 1),
        ("No idea.", 0.5, 0, 1),
        ("No one can tell", 0.5, 0, 1),
        ("no-one knows", 0.5, 0, 1),
        ("No way to know; sorry", 0.5, 1, 0),
        ("No preference information is given", 0.5, 0, 1),
        ("No, one cannot expect it", 0.0, 0, 0),
        ("No information: No", 0.5, 0, 1),
        ("Yes. No doubt", 1.0, 0, 0),
        ("No\n\nContext: the user", 0.0, 0, 0),
        ("_Yes_", 1.0, 0, 0),
        ("__No.__", 0.0, 0, 0),
        ("\\boxed{\\text{Yes}}", 1.0, 0, 0),
        ("$\\boxed{\\mathrm{No}}$", 0.0, 0, 0),
        ('```json\n{"answer": "No"}\n```', 0.0, 0, 0),
        ("No <think>yes", 0.0, 0, 0),
        ("### Response:\nYes.", 1.0, 0, 0),
        ("Output: No", 0.0, 0, 0),
        ('{"response": "Yes."}', 1.0, 0, 0),
        ("<output>No</output>", 0.0, 0, 0),
        ("assistant\n\nYes", 1.0, 0, 0),
        ("<|assistant|>\nNo", 0.0, 0, 0),
        ("<s> Yes</s>", 1.0, 0, 0),
        ("[/INST] No", 0.0, 0, 0),
        ("No doubt, the user will like it.", 0.5, 0, 1),
        ("No question: they will", 0.5, 0, 1),
        ("No problem! Yes", 0.5, 0, 1),
        ("Response: No", 0.0, 0, 0),
        ("### Output:\n\nNo", 0.0, 0, 0),
        ('{"prediction": "No"}', 0.0, 0, 0),
        ("Response time is unknown: yes", 0.5, 0, 1),
        ("<|channel>thought\nNo, or<channel|>Yes", 1.0, 0, 0),
        ("<|channel>thought\nNo, or", 0.5, 0, 1),
        ("<unused94>thought\nno<unused95>Yes", 1.0, 0, 0),
        ("[unused16]no[unused17]Yes", 1.0, 0, 0),
        ("<longcat_think>no</longcat_think>Yes", 1.0, 0, 0),
        ("<|thinking|>no<|/thinking|>Yes", 1.0, 0, 0),
        ("<reason>no</reason>Yes", 1.0, 0, 0),
        ('<details type="reasoning" done="true">\nno\n</details>\nYes', 1.0, 0, 0),
        ('"Yes" or "No".', 0.5, 0, 1),
        ("**Yes** or **No**", 0.5, 0, 1),
        ("Yes (or No)", 0.5, 0, 1),
        ("| Yes | No |", 0.5, 0, 1),
        ("Yes\nNo\nYes", 1.0, 0, 0),
        ("No sufficient information is given", 0.5, 0, 1),
        ("No clear indication", 0.5, 0, 1),
        ("No doubt the user will enjoy it", 0.5, 0, 1),
        ("No comment", 0.5, 0, 1),
        ("No, the evidence is against it", 0.0, 0, 0),
        ("", 0.5, 0, 1),
    ],
)
def test_text_is_read_as_it_begins(text: str, score: float, refused: int, unparsable: int) -> None:
    found = score_of_text("a", reply(None, text))
    assert (found.score, found.details) == (score, {"is_refused": refused, "is_unparsable": unparsable})


@pytest.mark.parametrize("missing", ["smallest_of_top", "remainder"])
def test_probabilities_of_what_was_withheld_are_not_read_as_its_text_is_not(missing: str) -> None:
    withheld = Reply("Yes", (("Yes", -0.1), ("No", -3.0)), True, None, None)
    found = score_of_top("a", withheld, ANSWERS, missing_answer=missing, rule="double_softmax")
    assert found.score == score_of_text("a", withheld).score == 0.5
    assert found.details["answer_mass"] == 0


def test_text_that_was_withheld_is_a_refusal_whatever_it_says() -> None:
    found = score_of_text("a", reply(None, "Yes", is_withheld=True))
    assert (found.score, found.details) == (0.5, {"is_refused": 1, "is_unparsable": 0})
