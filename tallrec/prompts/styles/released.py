"""The prompt of the released code and data.

Source: the task text of TALLRec's data/ and evaluate.py at c1db29ce.
"""

from collections.abc import Mapping

from benchmark.schema import Item, Sample
from tallrec.prompts.layouts import ANSWER_TEXTS, Style, mentions, one_input


def instruction(noun: str) -> str:
    """The task of the released data."""
    return (
        "Given the user's preference and unpreference, identify whether the user will like the target "
        f'{noun} by answering "Yes." or "No.".'
    )


def question(sample: Sample, items: Mapping[str, Item]) -> str:
    """The input of the released data."""
    liked, disliked = mentions(sample, items)
    target = items[sample.target_item_id]
    return (
        f"User Preference: {liked}\nUser Unpreference: {disliked}\n"
        f'Whether the user will like the target {target.noun} "{target.text}"?'
    )


STYLE = Style(instruction, question, one_input, ANSWER_TEXTS)
