"""Does a model know a data set by heart? Texts of its own lines that it would have to complete, and controls.

What stands in a prompt, beside the line to be completed, are lines of other items, or other lines of the same user,
which show the form. A control breaks what only one who knows the file knows (which title has this id, which year this
title, which rating this item) and leaves the rest as it is.

Source:
    Di Palma et al. 2025, "Do LLMs Memorize Recommendation Datasets? A Preliminary Study on MovieLens-1M"
    (arXiv 2505.10212): a few lines of the file are shown, and a record counts as memorised if the model writes the
    next one exactly. Bordt et al. 2024, "Elephants Never Forget" (arXiv 2404.06209): completion of rows and of single
    features of a table. The controls and the ratings as an AUC are ours.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from benchmark.data.domains.movielens import Rating
from benchmark.data.domains.titles import plain
from benchmark.errors import DataError
from benchmark.seeding import derive_seed

N_LINES = 5
"""Lines of other items before the one to be completed."""
N_RATINGS = 10
"""Lines of the user before the one to be completed: as many as the history of a sample has."""
FORMAT = "ml-100k"
"""The format whose files are asked about."""

Row = TypeVar("Row")
_YEAR = re.compile(r"(.*\S) \(([0-9]{4})\)")


@dataclass(frozen=True, slots=True)
class Completion:
    """A line to be completed."""

    prompt: str
    answer: str
    other_prompt: str
    """That of another question, as a control: the answer is as likely by itself, but it is not the one to this."""


@dataclass(frozen=True, slots=True)
class RatingQuestion:
    """The last line of a user, without its rating."""

    prompt: str
    stars: int
    """The rating, 1 to 5."""
    shown: tuple[int, ...]
    """The ratings in the lines before, oldest first."""
    other_prompt: str
    """The same lines, and an item that another question ends with, as a control."""


def records(titles: Mapping[str, str], n: int, raw: Path) -> list[Completion]:
    """`id|` -> the title, as lines of `u.item` begin.

    Args:
        titles: by item id.
        n: most questions; fewer where there are no more items.
        raw: where the files lie, for errors.

    Raises:
        DataError: there are too few items.
    """
    lines = {item: (f"{item}|", plain(title)) for item, title in titles.items()}
    return _completions("records", lines, n, f"{raw / 'u.item'}: {len(lines)} items")


def years(titles: Mapping[str, str], n: int, raw: Path) -> list[Completion]:
    """`title (` -> the year, of titles that end in one.

    Args:
        titles: by item id.
        n: as of `records`.
        raw: as of `records`.

    Raises:
        DataError: too few titles end in a year.
    """
    found = {title: parts for title in map(plain, titles.values()) if (parts := _YEAR.fullmatch(title))}
    lines = {title: (f"{parts[1]} (", parts[2]) for title, parts in found.items()}
    return _completions("years", lines, n, f"{raw / 'u.item'}: {len(lines)} titles with a year", end=")")


def _completions(
    name: str, lines: Mapping[str, tuple[str, str]], n: int, what_there_is: str, end: str = ""
) -> list[Completion]:
    """The first lines of a shuffled list are shown, the same before each question; the next ones are asked."""
    if len(lines) < N_LINES + 2:
        raise DataError(f"{what_there_is}, expected {N_LINES + 2} at least")
    order = [lines[key] for key in _shuffled(name, lines)]
    shown = "".join(f"{prompt}{answer}{end}\n" for prompt, answer in order[:N_LINES])
    asked = order[N_LINES : N_LINES + n]
    others = [prompt for prompt, _ in _turned(asked)]
    return [
        Completion(shown + prompt, answer, shown + other) for (prompt, answer), other in zip(asked, others, strict=True)
    ]


def ratings(rows_of_users: Mapping[str, Sequence[Rating]], n: int, raw: Path) -> list[RatingQuestion]:
    """`user<TAB>item<TAB>` -> the rating, as lines of `u.data` are: one question a user, at a random place.

    Args:
        rows_of_users: ratings by user, oldest first.
        n: most users; fewer where there are no more.
        raw: as of `records`.

    Raises:
        DataError: too few users have a rating after `N_RATINGS` others.
    """
    users = [user for user, rows in rows_of_users.items() if len(rows) > N_RATINGS]
    if len(users) < 2:
        raise DataError(f"{raw / 'u.data'}: {len(users)} users with more than {N_RATINGS} ratings, expected 2 at least")
    chosen: list[tuple[str, Sequence[Rating], Rating]] = []
    for user in _shuffled("ratings", users)[:n]:
        rows = rows_of_users[user]
        at = N_RATINGS + derive_seed("memorisation", "place", user) % (len(rows) - N_RATINGS)
        chosen.append((user, rows[at - N_RATINGS : at], rows[at]))
    questions: list[RatingQuestion] = []
    for (user, before, target), (_, _, other) in zip(chosen, _turned(chosen), strict=True):
        shown = "".join(f"{user}\t{row.item}\t{row.stars}\n" for row in before)
        prompt, other_prompt = (f"{shown}{user}\t{row.item}\t" for row in (target, other))
        questions.append(RatingQuestion(prompt, target.stars, tuple(row.stars for row in before), other_prompt))
    return questions


def _shuffled(name: str, keys: Iterable[str]) -> list[str]:
    return sorted(keys, key=lambda key: (derive_seed("memorisation", name, key), key))


def _turned(rows: Sequence[Row]) -> list[Row]:
    """Each row gets the next one's place: of a shuffled list, a random order in which none stays."""
    return [*rows[1:], *rows[:1]]
