"""The released prompt with the opposite question; ours. A probe asks it, and no row of a table."""

from collections.abc import Mapping

from benchmark.schema import Item, Sample
from tallrec.prompts.layouts import ANSWER_TEXTS, Style, one_input
from tallrec.prompts.styles import released


def instruction(noun: str) -> str:
    """The task of the released data with the opposite question; ours."""
    return released.instruction(noun).replace("will like", "will dislike")


def question(sample: Sample, items: Mapping[str, Item]) -> str:
    """The input of the released data with the opposite question; ours."""
    target = items[sample.target_item_id]
    end = f'the target {target.noun} "{target.text}"?'
    return released.question(sample, items).removesuffix(f"like {end}") + f"dislike {end}"


STYLE = Style(instruction, question, one_input, ANSWER_TEXTS)
