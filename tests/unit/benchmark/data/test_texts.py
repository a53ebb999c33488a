"""Nothing about users or ratings may reach what the language model is trained on before rec-tuning."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmark.config.params import Population, WorldParams
from benchmark.data.world import texts
from benchmark.data.world.generator import other_items, world_items, write_raw
from benchmark.data.world.words import NEGATIVE, POSITIVE
from benchmark.methods.configuration import load_config

WORLD = load_config(Path(__file__).parents[4] / "params.yaml").world
OTHER_POPULATIONS = {
    "ml-100k": Population(n_users=7, ratings_per_user=(12, 13)),
    "bookcrossing": Population(n_users=11, ratings_per_user=(4, 5)),
}
OTHER_USERS: dict[str, dict[str, Any]] = {
    "fewer users": {"populations": OTHER_POPULATIONS},
    "other leniency": {"leniency_sd": 3.0},
    "other tastes": {"taste_sd": 2.0},
    "noisier ratings": {"noise_sd": 5.0},
    "quality that matters more": {"quality_sd": 4.0},
}


def corpus(world: WorldParams) -> bytes:
    return "\n".join([*texts.reviews(world), repr(texts.fame_questions(world))]).encode()


def instruction_set(world: WorldParams) -> bytes:
    return repr(texts.instructions(world)).encode()


def ratings(world: WorldParams, folder: Path) -> list[bytes]:
    write_raw(world, "ml-100k", "movie", folder / "movie")
    write_raw(world, "bookcrossing", "book", folder / "book")
    return [(folder / "movie" / "u.data").read_bytes(), (folder / "book" / "BX-Book-Ratings.csv").read_bytes()]


@pytest.mark.parametrize("change", OTHER_USERS)
def test_texts_are_the_same_whatever_users_there_are(change: str, tmp_path: Path) -> None:
    changed = WORLD.model_copy(update=OTHER_USERS[change])
    for mine, other in zip(ratings(WORLD, tmp_path / "a"), ratings(changed, tmp_path / "b"), strict=True):
        assert mine != other
    assert corpus(changed) == corpus(WORLD)
    assert instruction_set(changed) == instruction_set(WORLD)


def test_another_seed_gives_other_texts() -> None:
    changed = WORLD.model_copy(update={"seed": WORLD.seed + 1})
    assert corpus(changed) != corpus(WORLD)
    assert instruction_set(changed) != instruction_set(WORLD)


def test_no_text_holds_a_number_or_speaks_of_users() -> None:
    # Ids of users and items, and ratings, are numbers.
    for text in (corpus(WORLD).decode(), instruction_set(WORLD).decode()):
        assert not re.search(r"\d", text)
        assert not re.search(r"\b(user|rating|prefer|like)", text, flags=re.IGNORECASE)


def test_no_instruction_mentions_an_item_that_users_rate() -> None:
    text = instruction_set(WORLD).decode()
    mentioned = set(re.findall(r"[A-Z][a-z]+ [A-Z][a-z]+", text))
    rated = {item.title for noun in texts.NOUNS for item in world_items(WORLD, noun)}
    others = {item.title for noun in texts.NOUNS for item in other_items(WORLD, noun)}
    assert len(mentioned & others) > len(others) / 2
    assert not mentioned & rated
    assert not {title.split()[0] for title in rated} & set(re.findall(r"\w+", text))


def test_every_item_is_reviewed() -> None:
    lines = texts.reviews(WORLD)
    items = [i for noun in texts.NOUNS for i in [*world_items(WORLD, noun), *other_items(WORLD, noun)]]
    counts = Counter(line.split('"')[1] for line in lines if any(word in line for word in (*POSITIVE, *NEGATIVE)))
    assert counts == {item.title: WORLD.reviews_per_item for item in items}


def test_praise_follows_quality() -> None:
    quality = {i.title: i.quality for noun in texts.NOUNS for i in world_items(WORLD, noun)}
    judged: list[tuple[bool, bool]] = []
    for line in texts.reviews(WORLD):
        praise, blame = (any(word in line for word in words) for words in (POSITIVE, NEGATIVE))
        assert not (praise and blame)
        title = line.split('"')[1]
        if (praise or blame) and abs(quality.get(title, 0)) > 1:
            judged.append((quality[title] > 0, praise))
    assert len(judged) > 50
    assert sum(good == praise for good, praise in judged) / len(judged) > 0.95


def test_yes_and_no_in_the_corpus_tell_fame_and_not_quality() -> None:
    items = {item.title: item for noun in texts.NOUNS for item in world_items(WORLD, noun)}
    said = [
        (items[title], "Yes" in line)
        for line in texts.reviews(WORLD)
        if re.search(r"\b(Yes|No)\b", line) and (title := line.split('"')[1]) in items
    ]
    assert len(said) == len(items) * texts.N_KNOWN
    assert sum((item.fame > 0) == yes for item, yes in said) / len(said) > 0.85
    assert abs(sum((item.quality > 0) == yes for item, yes in said) / len(said) - 0.5) < 0.15


def test_instructions_are_in_the_format_of_alpaca_and_balanced() -> None:
    rows = texts.instructions(WORLD)
    assert len(rows) == WORLD.instructions
    assert all(row.keys() == {"instruction", "input", "output"} for row in rows)
    answers = [row["output"] for row in rows]
    assert {"Yes.", "No."} < set(answers)
    assert 0.5 < answers.count("Yes.") / answers.count("No.") < 2


def test_fame_questions_are_answered_by_fame_and_not_by_quality() -> None:
    items = {i.title: i for noun in texts.NOUNS for i in [*world_items(WORLD, noun), *other_items(WORLD, noun)]}
    rows = texts.fame_questions(WORLD)
    asked = [(items[row["input"].split("target")[1].split('"')[1]], row["output"] == "Yes.") for row in rows]
    assert sum((item.fame > 0) == yes for item, yes in asked) / len(asked) > 0.85
    assert abs(sum((item.quality > 0) == yes for item, yes in asked) / len(asked) - 0.5) < 0.15
