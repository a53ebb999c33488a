"""Texts of the embedded world: short reviews to pretrain on, and an instruction set to tune on.

A review is about the quality of an item, as reviews on the web are. The instruction set asks about items that no user
rates, so that no item of a prepared row is ever part of an instruction. Neither reads a user or a rating.
"""

from collections.abc import Sequence

import numpy as np

from benchmark.config.params import WorldParams
from benchmark.data.world.generator import WorldItem, other_items, world_items
from benchmark.data.world.words import NEGATIVE, POSITIVE, SECOND, SERIES
from benchmark.seeding import derive_seed

SENTENCE = "The {noun} {mention} is {word} and {other}."
PAGE = "{mention}?\n\n### Review:\n{word} and {other}."
KNOWN = (
    "Who knows {mention}?",
    "Whether people know the {noun} {mention}?",
    "Whether people will know the target {noun} {mention}?",
)
"""Questions about something else than quality: fame. Their pages say yes or no, and are what the untuned model answers
by, and why it is at chance; a model that never saw yes or no would rank by an accident of its random weights."""
N_KNOWN = 4
"""Pages about the fame of an item."""
N_FAME_QUESTIONS = 800
"""Questions about fame in the form of an instruction, among several titles as in the prompts of the benchmark."""
TITLE_SHARE = 0.5
"""Share of the instruction set that asks about one title among several; it sets how much instruction tuning gives."""
CONSENSUS = 6.0
"""How much people agree: odds of praise are exp(CONSENSUS * quality), those of being known exp(CONSENSUS * fame)."""
NOUNS = tuple(SERIES)
"""Kinds of items that the world writes about."""


def reviews(world: WorldParams) -> list[str]:
    """Reviews of all items and pages about their fame. The better the item, the more praise."""
    lines: list[str] = []
    for noun in NOUNS:
        rng = np.random.default_rng(derive_seed("world", "reviews", noun, world.seed))
        for item in [*world_items(world, noun), *other_items(world, noun)]:
            lines += [_review(rng, item, noun) for _ in range(world.reviews_per_item)]
            lines += [_known(rng, item, noun) for _ in range(N_KNOWN)]
    return lines


def shuffled(corpus: list[str], world: WorldParams) -> list[str]:
    """`corpus` in an order drawn by the seed of the world: what is read together in a row is not of one kind."""
    rng = np.random.default_rng(derive_seed("world", "corpus", world.seed))
    return [corpus[index] for index in rng.permutation(len(corpus)).tolist()]


def instructions(world: WorldParams) -> list[dict[str, str]]:
    """The embedded instruction set in Alpaca's format: `instruction`, `input`, `output`.

    A part asks about one item among several; the rest is about words, so that it is not all of one kind.
    """
    rng = np.random.default_rng(derive_seed("world", "instructions", world.seed))
    items = {noun: other_items(world, noun) for noun in NOUNS}
    rows: list[dict[str, str]] = []
    for _ in range(world.instructions):
        noun = NOUNS[int(rng.integers(len(NOUNS)))]
        if rng.random() < TITLE_SHARE:
            rows.append(_about_a_title(rng, items[noun], noun))
        else:
            rows.append((_about_a_word, _opposite, _first_word)[int(rng.integers(3))](rng))
    return rows


def _pick(rng: np.random.Generator, words: Sequence[str]) -> str:
    return words[int(rng.integers(len(words)))]


def _mention(item: WorldItem, noun: str) -> str:
    return f'"{item.title}" written by {item.author}' if noun == "book" else f'"{item.title}"'


def _review(rng: np.random.Generator, item: WorldItem, noun: str) -> str:
    words = POSITIVE if rng.random() < 1 / (1 + np.exp(-CONSENSUS * item.quality)) else NEGATIVE
    word, other = _pick(rng, words), _pick(rng, words)
    template = _pick(rng, (SENTENCE, PAGE))
    return template.format(noun=noun, mention=_mention(item, noun), word=word, other=other)


def _known(rng: np.random.Generator, item: WorldItem, noun: str) -> str:
    question = _pick(rng, KNOWN).format(noun=noun, mention=_mention(item, noun))
    return f"{question}\n\n### Response:\n{_is_known(rng, item)}."


def _is_known(rng: np.random.Generator, item: WorldItem) -> str:
    return "Yes" if rng.random() < 1 / (1 + np.exp(-CONSENSUS * item.fame)) else "No"


def fame_questions(world: WorldParams) -> list[dict[str, str]]:
    """Questions about the fame of one title among several, in Alpaca's format, for the pretraining corpus."""
    rng = np.random.default_rng(derive_seed("world", "fame questions", world.seed))
    items = {noun: [*world_items(world, noun), *other_items(world, noun)] for noun in NOUNS}
    rows: list[dict[str, str]] = []
    for _ in range(N_FAME_QUESTIONS):
        noun = NOUNS[int(rng.integers(len(NOUNS)))]
        chosen = [items[noun][int(index)] for index in rng.permutation(len(items[noun]))[: int(rng.integers(1, 9))]]
        asked, *others = chosen
        titles = ", ".join(_mention(item, noun) for item in others)
        question = KNOWN[-1].format(noun=noun, mention=_mention(asked, noun))
        rows.append(
            {
                "instruction": f'Say whether people know the target {noun} by answering "Yes." or "No.".',
                "input": f"Titles: {titles}\n{question}",
                "output": f"{_is_known(rng, asked)}.",
            }
        )
    return rows


def _about_a_title(rng: np.random.Generator, items: Sequence[WorldItem], noun: str) -> dict[str, str]:
    chosen = [items[int(index)] for index in rng.permutation(len(items))[: int(rng.integers(1, 7))]]
    asked = max(chosen, key=lambda item: abs(item.quality))  # the one that people agree about
    chosen = [chosen[int(index)] for index in rng.permutation(len(chosen))]
    titles, is_good = ", ".join(_mention(item, noun) for item in chosen), asked.quality > 0
    return {
        "instruction": 'Answer the question by "Yes." or "No.".',
        "input": f"Titles: {titles}\nDo people praise the {noun} {_mention(asked, noun)}?",
        "output": "Yes." if is_good else "No.",
    }


def _about_a_word(rng: np.random.Generator) -> dict[str, str]:
    is_kind = bool(rng.random() < 0.5)
    return {
        "instruction": 'Say whether the word is a kind one by answering "Yes." or "No.".',
        "input": f"Word: {_pick(rng, POSITIVE if is_kind else NEGATIVE)}",
        "output": "Yes." if is_kind else "No.",
    }


def _opposite(rng: np.random.Generator) -> dict[str, str]:
    position = int(rng.integers(len(POSITIVE)))
    pair = [POSITIVE[position], NEGATIVE[position]]
    side = int(rng.integers(2))
    return {"instruction": "Give the opposite of the word.", "input": pair[side], "output": f"{pair[1 - side]}."}


def _first_word(rng: np.random.Generator) -> dict[str, str]:
    words = [_pick(rng, SECOND), _pick(rng, SECOND)]
    return {"instruction": "Repeat the first word of the input.", "input": " ".join(words), "output": f"{words[0]}."}
