"""Prompt styles, byte exact. Adding one is one entry of `PROMPTS`, and a function where it says something new.

Source: `released` is the template and the task text of TALLRec's evaluate.py and data/ at c1db29ce, stray comment
included; `paper` is the prompt printed in the paper (its table of a rec-tuning sample). No prompt of the paper's
in-context models was released; `alpaca` and `gpt` ask what the paper prints in the two forms such models know.
"""

from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmark.schema import Item, Labelled, Sample

ANSWERS: Mapping[bool, str] = {True: "Yes.", False: "No."}
"""The answers below "### Response:"."""
PREAMBLE = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request."
)
PREAMBLE_WITHOUT_INPUT = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request."
)
STRAY_COMMENT = "  # noqa: E501"
"""Stands at the end of the released template's first line, in training and in evaluation."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A task, a question, and its answer, which is empty where it is asked for."""

    instruction: str
    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Style:
    """How a question is put."""

    instruction: Callable[[str], str]
    """The task, given the noun of the items."""
    question: Callable[[Sample, Mapping[str, Item]], str]
    layout: Callable[[Sequence[Turn], bool], str]
    """The text of all turns, the last one asked; the flag says whether the stray comment is wanted."""
    answers: Mapping[bool, str]
    """The text of each answer as it follows that of `layout`."""
    is_chat: bool = False
    """Whether a model that knows chat messages gets those instead of the text."""


def alpaca_template(instruction: str, question: str, stray_comment: bool) -> str:
    """Alpaca's template up to where the answer begins; `question` may be empty."""
    comment = STRAY_COMMENT if stray_comment else ""
    if not question:
        return f"{PREAMBLE_WITHOUT_INPUT}{comment}\n\n### Instruction:\n{instruction}\n\n### Response:\n"
    return f"{PREAMBLE}{comment}\n\n### Instruction:\n{instruction}\n\n### Input:\n{question}\n\n### Response:\n"


def released_instruction(noun: str) -> str:
    """The task of the released data."""
    return (
        "Given the user's preference and unpreference, identify whether the user will like the target "
        f'{noun} by answering "Yes." or "No.".'
    )


def released_question(sample: Sample, items: Mapping[str, Item]) -> str:
    """The input of the released data."""
    liked, disliked = _mentions(sample, items)
    target = items[sample.target_item_id]
    return (
        f"User Preference: {liked}\nUser Unpreference: {disliked}\n"
        f'Whether the user will like the target {target.noun} "{target.text}"?'
    )


def disliked_instruction(noun: str) -> str:
    """The task of the released data with the opposite question; ours."""
    return released_instruction(noun).replace("will like", "will dislike")


def disliked_question(sample: Sample, items: Mapping[str, Item]) -> str:
    """The input of the released data with the opposite question; ours."""
    target = items[sample.target_item_id]
    question = f'the target {target.noun} "{target.text}"?'
    return released_question(sample, items).removesuffix(f"like {question}") + f"dislike {question}"


def paper_instruction(noun: str) -> str:
    """The task as the paper prints it."""
    return (
        "Given the user's historical interactions, please determine whether the user will enjoy the target new "
        f'{noun} by answering "Yes" or "No".'
    )


def paper_question(sample: Sample, items: Mapping[str, Item]) -> str:
    """The input as the paper prints it."""
    liked, disliked = _mentions(sample, items)
    target = items[sample.target_item_id]
    return f"User's liked items: {liked}.\nUser's disliked items: {disliked}.\nTarget new {target.noun}: {target.text}"


def one_input(turns: Sequence[Turn], stray_comment: bool) -> str:
    """Alpaca's template once, with all demonstrations and their answers in its input, before the question."""
    *shown, asked = turns
    question = "".join([*(f"{turn.question}\n{turn.answer}\n\n" for turn in shown), asked.question])
    return alpaca_template(asked.instruction, question, stray_comment)


def blocks(turns: Sequence[Turn], stray_comment: bool) -> str:
    """Alpaca's template with one whole block of instruction, input and response a turn, without a stray comment."""
    del stray_comment
    block = "### Instruction:\n{0.instruction}\n\n### Input:\n{0.question}\n\n### Response:\n{0.answer}"
    return "\n\n".join([PREAMBLE, *(block.format(turn) for turn in turns)])


def completion(turns: Sequence[Turn], stray_comment: bool) -> str:
    """The task once, then question and answer of each turn, as GPT-3 was shown demonstrations."""
    del stray_comment
    return "\n\n".join([turns[-1].instruction, *(f"{turn.question}\nAnswer:{turn.answer}" for turn in turns)])


PROMPTS = {
    "released": Style(released_instruction, released_question, one_input, ANSWERS),
    "paper": Style(paper_instruction, paper_question, one_input, ANSWERS),
    "alpaca": Style(paper_instruction, paper_question, blocks, ANSWERS),
    "gpt": Style(paper_instruction, paper_question, completion, {True: " Yes", False: " No"}, is_chat=True),
}
"""The styles by the names that `grid.prompts` may hold."""
PROBES = {"released_dislike": Style(disliked_instruction, disliked_question, one_input, ANSWERS)}
"""Styles that tuned models are asked with to see what they read; no row of a table is made with them."""
STYLES: Mapping[str, Style] = ChainMap(PROMPTS, PROBES)
"""Every style by its name."""
TUNED = ("released", "paper")
"""Styles that a model is tuned with."""


def answers(style: str) -> Mapping[bool, str]:
    """The text of each answer as it follows that of `render`."""
    return STYLES[style].answers


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
    return STYLES[style].layout(_turns(style, sample, items, demonstrations), stray_comment)


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
    knows a system message. Of the other styles, one message holds the text of `render`. The reply is one of `answers`
    without the white space around it.
    """
    if not STYLES[style].is_chat:
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
    kind = STYLES[style]

    def turn(shown: Sample, answer: str) -> Turn:
        return Turn(kind.instruction(items[shown.target_item_id].noun), kind.question(shown, items), answer)

    return (*(turn(row.sample, kind.answers[row.liked]) for row in demonstrations), turn(sample, ""))


def _mentions(sample: Sample, items: Mapping[str, Item]) -> tuple[str, str]:
    """Liked and disliked items of the history as comma-separated lists."""
    lists: dict[bool, list[str]] = {True: [], False: []}
    for event in sample.history:
        lists[event.liked].append(items[event.item_id].mention)
    return ", ".join(lists[True]), ", ".join(lists[False])
