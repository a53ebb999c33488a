"""A sample in a prompt style: as one text, or as chat messages. A style is a file of `tallrec/prompts/styles/`."""

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmark.schema import Item, Labelled, Sample
from tallrec.prompts import styles
from tallrec.prompts.layouts import Style, Turn

TUNED = ("released", "paper")
"""Styles that a model is tuned with."""


def style_names() -> list[str]:
    """Every style: the names of the files in `tallrec/prompts/styles/`."""
    return sorted(path.stem for folder in styles.__path__ for path in Path(folder).glob("[!_]*.py"))


def style_named(name: str) -> Style:
    """The style called `name`, one of `style_names`."""
    return importlib.import_module(f"{styles.__name__}.{name}").STYLE


def answer_texts(style: str) -> Mapping[bool, str]:
    """The text of each answer as it follows that of `render`."""
    return style_named(style).answers


def render(
    style: str,
    sample: Sample,
    items: Mapping[str, Item],
    *,
    stray_comment: bool,
    demonstrations: Sequence[Labelled] = (),
) -> str:
    """The prompt of one sample, ending where the answer begins; it holds no answer of the sample itself.

    Demonstrations stand before the question, each with its answer.
    """
    return style_named(style).layout(_turns(style, sample, items, demonstrations), stray_comment)


def conversation(
    style: str,
    sample: Sample,
    items: Mapping[str, Item],
    *,
    stray_comment: bool,
    demonstrations: Sequence[Labelled] = (),
) -> list[dict[str, str]]:
    """The same as chat messages with `role` and `content`, to which an assistant is to reply.

    A style made for chat has a turn a demonstration, and its task in the first message of the user: not every model
    knows a system message. Of the other styles, one message holds the text of `render`. The reply is one of
    `answer_texts` without the white space around it.
    """
    if not style_named(style).is_chat:
        text = render(style, sample, items, stray_comment=stray_comment, demonstrations=demonstrations)
        return [{"role": "user", "content": text}]
    turns = _turns(style, sample, items, demonstrations)
    messages = [
        {"role": role, "content": content}
        for turn in turns
        for role, content in (("user", turn.question), ("assistant", turn.answer.strip()))
    ]
    messages[0]["content"] = f"{turns[-1].instruction}\n\n{messages[0]['content']}"
    return messages[:-1]


def templates(nouns: Sequence[str]) -> list[str]:
    """The prompts that models are tuned with, with an empty history and no title, for each noun.

    They are a part of what the tiny tokenizer learns from, and so of every result of the tiny model. Other styles are
    left out, so that adding one changes no result of those that are there.
    """
    items = {noun: Item(noun, noun, "", "") for noun in nouns}
    samples = [Sample(noun, "", (), noun) for noun in nouns]
    return [render(style, sample, items, stray_comment=True) for style in TUNED for sample in samples]


def _turns(
    style: str, sample: Sample, items: Mapping[str, Item], demonstrations: Sequence[Labelled]
) -> tuple[Turn, ...]:
    """Each demonstration with its answer, and the sample with none."""
    kind = style_named(style)

    def turn(shown: Sample, answer: str) -> Turn:
        return Turn(kind.instruction(items[shown.target_item_id].noun), kind.question(shown, items), answer)

    return (*(turn(row.sample, kind.answers[row.liked]) for row in demonstrations), turn(sample, ""))
