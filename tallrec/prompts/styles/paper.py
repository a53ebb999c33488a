"""The prompt that the paper prints.

Source: the paper's table of a rec-tuning sample.
"""

from collections.abc import Mapping

from benchmark.schema import Item, Sample
from tallrec.prompts.layouts import ANSWER_TEXTS, Style, mentions, one_input


def instruction(noun: str) -> str:
    """The task as the paper prints it."""
    return (
        "Given the user's historical interactions, please determine whether the user will enjoy the target new "
        f'{noun} by answering "Yes" or "No".'
    )


def question(sample: Sample, items: Mapping[str, Item]) -> str:
    """The input as the paper prints it."""
    liked, disliked = mentions(sample, items)
    target = items[sample.target_item_id]
    return f"User's liked items: {liked}.\nUser's disliked items: {disliked}.\nTarget new {target.noun}: {target.text}"


STYLE = Style(instruction, question, one_input, ANSWER_TEXTS)
