import hashlib
from dataclasses import replace

import pytest

from benchmark.schema import FewShotTask, Interaction, Item, Labelled, Sample
from tallrec.prompts.layouts import alpaca_template
from tallrec.prompts.rendering import (
    TUNED,
    answer_texts,
    conversation,
    render,
    style_named,
    style_names,
    templates,
)

every_style = pytest.mark.parametrize("style", style_names())
ITEMS = {
    name: Item(name, "movie", title, f'"{title}"')
    for name, title in {"a": "Amber Gate", "b": "Broken Bell", "c": "Calm Canyon", "d": "Distant Door"}.items()
}
SAMPLE = Sample("s", "u", (Interaction("a", True), Interaction("b", False), Interaction("c", True)), "d")


def after_the_instruction(prompt: str) -> str:
    """What follows the task, which names both answers."""
    return prompt.partition('"No')[2].partition("\n\n")[2]


@every_style
def test_a_prompt_ends_where_the_answer_begins(style: str) -> None:
    end = "\nAnswer:" if style == "gpt" else "\n\n### Response:\n"
    assert render(style, SAMPLE, ITEMS, stray_comment=True).endswith(end)


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
        question = after_the_instruction(render(style, row.sample, toy_task.items, stray_comment=True))
        assert row.sample.target_item_id.title() in question
        assert "Yes" not in question
        assert "No" not in question


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
    question = render(style, replace(SAMPLE, history=()), ITEMS, stray_comment=True)
    assert "Distant Door" in question
    assert "Amber" not in question


@every_style
def test_demonstrations_carry_their_answers_and_the_question_comes_last(style: str) -> None:
    shown = [Labelled(Sample("x", "v", (), "a"), True), Labelled(Sample("y", "v", (), "b"), False)]
    prompt = render(style, replace(SAMPLE, history=()), ITEMS, stray_comment=True, demonstrations=shown)
    told = after_the_instruction(prompt)
    order = ["Amber Gate", answer_texts(style)[True], "Broken Bell", answer_texts(style)[False], "Distant Door"]
    places = [told.index(word) for word in order[:2]]
    places += [told.index(word, places[-1]) for word in order[2:]]
    assert places == sorted(places)
    bare = render(style, replace(SAMPLE, history=()), ITEMS, stray_comment=True)
    assert prompt.endswith(bare[-len("Distant Door") - 30 :])


@every_style
def test_a_demonstration_ends_as_a_prompt_with_its_answer(style: str) -> None:
    # What a model is shown is what it is asked to continue: the answer stands at the same place.
    first = Labelled(Sample("x", "v", (), "a"), True)
    prompt = render(style, SAMPLE, ITEMS, stray_comment=False, demonstrations=[first])
    line_before = render(style, SAMPLE, ITEMS, stray_comment=False).rpartition("\n")[2]
    assert f"{line_before}{answer_texts(style)[True]}\n\n" in prompt


@every_style
def test_a_conversation_tells_what_the_text_tells(style: str) -> None:
    shown = [Labelled(Sample("x", "v", (), "a"), True), Labelled(Sample("y", "v", (), "b"), False)]
    text = render(style, SAMPLE, ITEMS, stray_comment=True, demonstrations=shown)
    messages = conversation(style, SAMPLE, ITEMS, stray_comment=True, demonstrations=shown)
    assert [message["role"] for message in messages] == ["user", "assistant"] * (len(messages) // 2) + ["user"]
    place = 0
    for message in messages:
        place = text.index(message["content"], place) + len(message["content"])
    assert text[place:] == "\nAnswer:" * style_named(style).is_chat


def test_the_stray_comment_ends_the_first_line() -> None:
    with_comment, without = (alpaca_template("Do it.", "Now?", stray) for stray in (True, False))
    assert with_comment.splitlines()[0].endswith("the request.  # noqa: E501")
    assert with_comment.replace("  # noqa: E501", "") == without


def test_an_instruction_without_input_has_no_input_section() -> None:
    text = alpaca_template("Do it.", "", stray_comment=False)
    assert "### Input" not in text
    assert "paired with an input" not in text
    assert text.endswith("### Instruction:\nDo it.\n\n### Response:\n")


def test_templates_show_every_tuned_style_for_every_noun() -> None:
    shown = templates(["movie", "book"])
    assert len(shown) == len(TUNED) * 2
    assert sum("target movie" in text or "target new movie" in text for text in shown) == len(TUNED)


def test_the_tiny_tokenizer_learns_from_the_same_templates_as_ever() -> None:
    # Their digest, taken before there were other styles: results of the tiny model hang on every byte of them.
    told = "\0".join(templates(["movie", "book"]))
    assert (
        hashlib.sha256(told.encode()).hexdigest() == "4bf15f929bdf0624b00b8f8a7e6638d66f54a85dce5d2237b9108b0e2e18b2e3"
    )
