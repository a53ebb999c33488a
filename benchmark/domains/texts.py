"""Texts of the embedded world: short reviews to pretrain on, and an instruction set to tune on.

A review is about the quality of an item, as reviews on the web are; the instruction set asks about albums alone, so
that no item of a domain is ever part of an instruction. Neither reads a user or a rating.
"""

import numpy as np

from benchmark.domains.synthetic import WorldItem, world_items
from benchmark.domains.words import FIRST, NEGATIVE, POSITIVE, SECOND
from benchmark.params import WorldParams
from benchmark.seeding import derive_seed

INSTRUCTION_NOUN = "album"
"""The kind of item that only reviews and instructions know."""

REVIEWS = (
    "The {noun} {mention} is {word} and {other}.",
    "I found {mention} {word}.",
    "The {noun} {mention} was {word}, truly {other}.",
    "People call {mention} {word}.",
)
CONSENSUS = 4.0
"""How much reviewers agree: odds of praise are exp(CONSENSUS * quality)."""


def reviews(world: WorldParams, nouns: tuple[str, ...]) -> list[str]:
    """Reviews of the items of `nouns` and of albums, shuffled, one a line. The better the item, the more praise."""
    lines: list[str] = []
    for noun in (*nouns, INSTRUCTION_NOUN):
        rng = np.random.default_rng(derive_seed("world", "reviews", noun, world.seed))
        for item in world_items(world, noun):
            for _ in range(world.reviews_per_item):
                lines.append(_review(rng, item, noun))
    rng = np.random.default_rng(derive_seed("world", "reviews", world.seed))
    return [lines[index] for index in rng.permutation(len(lines)).tolist()]


def instructions(world: WorldParams) -> list[dict[str, str]]:
    """The embedded instruction set in Alpaca's format: `instruction`, `input`, `output`."""
    rng = np.random.default_rng(derive_seed("world", "instructions", world.seed))
    items = world_items(world, INSTRUCTION_NOUN)
    makers = (_about_a_title, _about_a_title, _about_a_word, _opposite, _first_word)
    return [makers[int(rng.integers(len(makers)))](rng, items) for _ in range(world.instructions)]


def _pick(rng: np.random.Generator, words: list[str]) -> str:
    return words[int(rng.integers(len(words)))]


def _review(rng: np.random.Generator, item: WorldItem, noun: str) -> str:
    words = POSITIVE if rng.random() < 1 / (1 + np.exp(-CONSENSUS * item.quality)) else NEGATIVE
    word, other = _pick(rng, words), _pick(rng, words)
    mention = f'"{item.title}" written by {item.author}' if noun == "book" else f'"{item.title}"'
    return REVIEWS[int(rng.integers(len(REVIEWS)))].format(noun=noun, mention=mention, word=word, other=other)


def _about_a_title(rng: np.random.Generator, items: list[WorldItem]) -> dict[str, str]:
    chosen = [items[index] for index in rng.permutation(len(items))[: int(rng.integers(2, 8))].tolist()]
    titles = ", ".join(f'"{item.title}"' for item in chosen)
    asked = chosen[int(rng.integers(len(chosen)))]
    return {
        "instruction": 'Answer the question by "Yes." or "No.".',
        "input": f'Albums: {titles}\nIs the album "{asked.title}" a good one?',
        "output": "Yes." if asked.quality > 0 else "No.",
    }


def _about_a_word(rng: np.random.Generator, items: list[WorldItem]) -> dict[str, str]:
    del items
    positive = bool(rng.random() < 0.5)
    word = _pick(rng, POSITIVE if positive else NEGATIVE)
    return {
        "instruction": 'Say whether the word is a kind one by answering "Yes." or "No.".',
        "input": f"Word: {word}",
        "output": "Yes." if positive else "No.",
    }


def _opposite(rng: np.random.Generator, items: list[WorldItem]) -> dict[str, str]:
    del items
    position = int(rng.integers(len(POSITIVE)))
    pair = [POSITIVE[position], NEGATIVE[position]]
    side = int(rng.integers(2))
    return {"instruction": "Give the opposite of the word.", "input": pair[side], "output": f"{pair[1 - side]}."}


def _first_word(rng: np.random.Generator, items: list[WorldItem]) -> dict[str, str]:
    del items
    title = f"{_pick(rng, FIRST)} {_pick(rng, SECOND)}"
    return {"instruction": "Repeat the first word of the input.", "input": title, "output": f"{title.split()[0]}."}
