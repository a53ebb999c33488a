"""Prompt styles, byte exact. Adding one is one function and one entry of `PROMPTS`.

Source: `released` is the template and the task text of TALLRec's evaluate.py and data/ at c1db29ce, stray comment
included; `paper` is the prompt printed in the paper (its table of a rec-tuning sample).
"""

from collections.abc import Mapping, Sequence

from benchmark.schema import Item, Labelled, Sample

ANSWERS = {True: "Yes.", False: "No."}
PREAMBLE = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request."
)
PREAMBLE_WITHOUT_INPUT = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request."
)
STRAY_COMMENT = "  # noqa: E501"
"""Stands at the end of the released template's first line, in training and in evaluation."""


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


STYLES = {
    "released": (released_instruction, released_question),
    "paper": (paper_instruction, paper_question),
}
PROMPTS = {
    "released": "Alpaca's template, task of the released data",
    "paper": "Alpaca's template, task as printed",
}
"""Names that `grid.prompts` may hold."""


def render(
    style: str,
    sample: Sample,
    items: Mapping[str, Item],
    *,
    stray_comment: bool,
    demonstrations: Sequence[Labelled] = (),
) -> str:
    """The prompt of one sample, ending where the answer begins; it holds no answer of the sample itself.

    Demonstrations stand before the question, each with its answer, in the same input.
    """
    instruct, ask = STYLES[style]
    shown = [f"{ask(row.sample, items)}\n{ANSWERS[row.liked]}\n\n" for row in demonstrations]
    question = "".join([*shown, ask(sample, items)])
    return alpaca_template(instruct(items[sample.target_item_id].noun), question, stray_comment)


def _mentions(sample: Sample, items: Mapping[str, Item]) -> tuple[str, str]:
    """Liked and disliked items of the history as comma-separated lists."""
    lists: dict[bool, list[str]] = {True: [], False: []}
    for event in sample.history:
        lists[event.liked].append(items[event.item_id].mention)
    return ", ".join(lists[True]), ", ".join(lists[False])


def templates(nouns: Sequence[str]) -> list[str]:
    """Every style with an empty history and no title, for each noun: the words that all prompts share."""
    items = {noun: Item(noun, noun, "", "") for noun in nouns}
    samples = [Sample(noun, "", (), noun) for noun in nouns]
    return [render(style, sample, items, stray_comment=True) for style in STYLES for sample in samples]
