"""How a task, a question and its answers are laid out as one text: the templates that styles share.

Source: `alpaca_template` is the template of TALLRec's evaluate.py at c1db29ce, stray comment included.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmark.schema import Item, Sample

ANSWER_TEXTS: Mapping[bool, str] = {True: "Yes.", False: "No."}
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


def mentions(sample: Sample, items: Mapping[str, Item]) -> tuple[str, str]:
    """Liked and disliked items of the history as comma-separated lists."""
    lists: dict[bool, list[str]] = {True: [], False: []}
    for event in sample.history:
        lists[event.liked].append(items[event.item_id].mention)
    return ", ".join(lists[True]), ", ".join(lists[False])
