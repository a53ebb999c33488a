from dataclasses import replace

import pytest

from benchmark.schema import FewShotTask, Interaction, Item, Labelled, Sample
from tallrec.prompts import ANSWERS, PROMPTS, STYLES, alpaca_template, render, templates

every_style = pytest.mark.parametrize("style", STYLES)
ITEMS = {
    name: Item(name, "movie", title, f'"{title}"')
    for name, title in {"a": "Amber Gate", "b": "Broken Bell", "c": "Calm Canyon", "d": "Distant Door"}.items()
}
SAMPLE = Sample("s", "u", (Interaction("a", True), Interaction("b", False), Interaction("c", True)), "d")


def question_of(prompt: str) -> str:
    return prompt.partition("### Input:\n")[2].partition("\n\n### Response:")[0]


def test_every_named_style_can_be_rendered() -> None:
    assert PROMPTS.keys() == STYLES.keys()


@every_style
def test_a_prompt_ends_where_the_answer_begins(style: str) -> None:
    assert render(style, SAMPLE, ITEMS, stray_comment=True).endswith("\n\n### Response:\n")


@every_style
def test_a_prompt_holds_each_title_once_and_in_the_order_of_the_history(style: str) -> None:
    prompt = render(style, SAMPLE, ITEMS, stray_comment=True)
    assert [prompt.count(item.text) for item in ITEMS.values()] == [1, 1, 1, 1]
    assert prompt.index("Amber Gate") < prompt.index("Calm Canyon") < prompt.index("Broken Bell")
    assert prompt.index("Broken Bell") < prompt.index("Distant Door")


@every_style
def test_a_question_holds_no_answer(style: str, toy_task: FewShotTask) -> None:
    # The instruction names both answers; the question, which is about one sample, names none.
    for row in toy_task.train:
        question = question_of(render(style, row.sample, toy_task.items, stray_comment=True))
        assert not [answer for answer in ANSWERS.values() if answer.removesuffix(".") in question]


@every_style
def test_a_like_and_a_dislike_change_places(style: str) -> None:
    swapped = replace(SAMPLE, history=tuple(Interaction(e.item_id, not e.liked) for e in SAMPLE.history))
    assert render(style, swapped, ITEMS, stray_comment=True) != render(style, SAMPLE, ITEMS, stray_comment=True)


@every_style
def test_names_of_samples_users_and_items_are_not_told(style: str) -> None:
    renamed = replace(SAMPLE, sample_id="sample-77", user_id="user-77")
    assert render(style, renamed, ITEMS, stray_comment=True) == render(style, SAMPLE, ITEMS, stray_comment=True)


@every_style
def test_an_empty_history_leaves_the_target(style: str) -> None:
    question = question_of(render(style, replace(SAMPLE, history=()), ITEMS, stray_comment=True))
    assert "Distant Door" in question
    assert "Amber" not in question


@every_style
def test_demonstrations_carry_their_answers_and_the_question_comes_last(style: str) -> None:
    shown = [Labelled(Sample("x", "v", (), "a"), True), Labelled(Sample("y", "v", (), "b"), False)]
    asked = replace(SAMPLE, history=())
    prompt = render(style, asked, ITEMS, stray_comment=True, demonstrations=shown)
    question = question_of(prompt)
    first, second, last = question.split("\n\n")
    assert first.endswith("\nYes.")
    assert second.endswith("\nNo.")
    assert "Distant Door" in last
    assert last == question_of(render(style, asked, ITEMS, stray_comment=True))


def test_the_stray_comment_ends_the_first_line() -> None:
    with_comment, without = (alpaca_template("Do it.", "Now?", stray) for stray in (True, False))
    assert with_comment.splitlines()[0].endswith("the request.  # noqa: E501")
    assert with_comment.replace("  # noqa: E501", "") == without


def test_an_instruction_without_input_has_no_input_section() -> None:
    text = alpaca_template("Do it.", "", stray_comment=False)
    assert "### Input" not in text
    assert "paired with an input" not in text
    assert text.endswith("### Instruction:\nDo it.\n\n### Response:\n")


def test_templates_show_every_style_for_every_noun() -> None:
    shown = templates(["movie", "book"])
    assert len(shown) == len(STYLES) * 2
    assert sum("target movie" in text or "target new movie" in text for text in shown) == len(STYLES)
