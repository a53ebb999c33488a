"""Hostile raw files: stage `prepare` takes each or refuses it in one line, and accounts for every row of it."""

import csv
import io
import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mutation import mutated, mutated_value

from benchmark import files
from benchmark.config import load_config
from benchmark.domains import bookcrossing, movielens, ratings_table, released_csv, released_json
from benchmark.params import DataParams, DomainParams, Params
from benchmark.stages.prepare import prepare

ROOT = Path(__file__).parents[2]
WORLD = load_config(ROOT / "params.yaml").world
MOVIE: dict[str, Any] = {"source": "official", "noun": "movie", "liked_above": 3.0, "split": (0.6, 0.2, 0.2)}
BOOK: dict[str, Any] = {"source": "official", "noun": "book", "liked_above": 5.0}
SELECTION: dict[str, Any] = {"history_length": 2, "n_samples": 5, "selection": "described"}
SECTIONS: dict[str, DomainParams] = {
    "ml-100k": movielens.Params(format="ml-100k", **MOVIE, **SELECTION),
    "csv": ratings_table.Params(format="ratings-table", release="mine", layout="csv", **MOVIE, **SELECTION),
    "dat": ratings_table.Params(format="ratings-table", release="mine", layout="dat", **MOVIE, **SELECTION),
    "bookcrossing": bookcrossing.Params(
        format="bookcrossing",
        **BOOK,
        split=(0.4, 0.3, 0.3),
        history_length=3,
        zero_ratings="drop",
        min_ratings=4,
        seed=0,
    ),
    "released-json": released_json.Params(format="released-json", **BOOK, history_length=10),
    "released-csv": released_csv.Params(format="released-csv", **BOOK, history_length=10),
}
TITLES = ["Été (1990)", "Two, The", 'A "B"', "Four", "Five: 5", "Six"]
RATINGS = [(user, item, 1 + (user + item) % 5, 880_000_000 + 7 * item) for user in range(1, 5) for item in range(1, 6)]
BOOKS = [f'"{title}" written by A. {number}' for number, title in enumerate(["One", "T, Two", 'A "B"', "D"])]


def book_prompt(number: int) -> dict[str, str]:
    liked, disliked, target = BOOKS[number % 2], ", ".join(BOOKS[1:3]), BOOKS[3]
    question = f'Whether the user will like the target book "{target}"?'
    return {
        "instruction": "x",
        "input": f"User Preference: {liked}\nUser Unpreference: {disliked}\n{question}",
        "output": "Yes." if number % 2 else "No.",
    }


def lines(rows: list[Any]) -> bytes:
    return "".join(f"{row}\n" for row in rows).encode()


def released_rows(first: int) -> bytes:
    rows = [f'{first + n},"[1, 2, {n}]","[1, 0, 1]",{5 + n},{n % 2}' for n in range(3)]
    return lines(["user,history_item_id,history_rating,item_id,rating", *rows])


PROMPTS = [book_prompt(number) for number in range(3)]
MANIFEST = {"train.json": {"sha256": "", "origin": "mirror", "stand_in": "train.sample.json"}}
VALID: dict[str, dict[str, bytes]] = {
    "ml-100k": {
        "u.data": lines(["\t".join(map(str, row)) for row in RATINGS]),
        "u.item": "".join(f"{n}|{title}|01-Jan-1990||\n" for n, title in enumerate(TITLES, 1)).encode("latin-1"),
    },
    "csv": {
        "ratings.csv": lines(["userId,movieId,rating,timestamp", *(",".join(map(str, row)) for row in RATINGS)]),
        "movies.csv": lines(["movieId,title,genres", '1,"A, ""B""",x', *(f"{n},Title {n},x" for n in range(2, 7))]),
    },
    "dat": {
        "ratings.dat": lines(["::".join(map(str, row)) for row in RATINGS]),
        "movies.dat": lines([f"{n}::{title}::Drama" for n, title in enumerate(TITLES, 1)]),
    },
    "bookcrossing": {
        "BX-Book-Ratings.csv": lines(
            ['"User-ID";"ISBN";"Book-Rating"', *(f'"{user}";"{item}";"{stars}"' for user, item, stars, _ in RATINGS)]
        ),
        "BX-Books.csv": lines(
            ['"ISBN";"Book-Title";"Book-Author";"Year"', *(f'"{n}";"T \\"{n}\\"; x";"A. {n}";"1990"' for n in range(7))]
        ),
    },
    "released-json": {
        **{f"{split}.json": json.dumps(PROMPTS, indent=1).encode() for split in files.SPLITS},
        "manifest.json": json.dumps(MANIFEST).encode(),
    },
    "released-csv": {f"{split}.csv": released_rows(10 * n) for n, split in enumerate(files.SPLITS)},
}


def n_lines(content: bytes, header: int = 0) -> int:
    return sum(bool(line.strip()) for line in content.split(b"\n")[header:])


def check_rows(name: str, raw: Path, stats: dict[str, Any]) -> None:
    """Rows in the files = rows used + rows reported; by other means than those of the readers."""
    notes, splits = stats["notes"], sum(split["rows"] for split in stats["splits"].values())
    if name == "ml-100k":
        ratings = re.split(b"\r\n|\r|\n", (raw / "u.data").read_bytes())
        assert notes["ratings"] == sum(map(bool, ratings))
        assert splits == SELECTION["n_samples"]
    elif name in ("csv", "dat"):
        for what, file, ends in (("ratings", f"ratings.{name}", b"\r\n|\r|\n"), ("titles", f"movies.{name}", b"\n")):
            content = (raw / file).read_bytes()
            rows = re.split(ends, content)
            expected = len(rows) - (not rows[-1]) - (name == "csv")
            assert notes[what]["read"] == expected, (what, notes)
            assert sum(notes[what].values()) == 2 * expected
    elif name == "bookcrossing":
        for what, file in (("ratings", "BX-Book-Ratings.csv"), ("books", "BX-Books.csv")):
            content = (raw / file).read_bytes().decode("latin-1")
            expected = sum(bool(line.strip()) for line in content.split("\n")[1:])
            assert notes[what]["read"] == expected, (what, notes)
            assert sum(notes[what].values()) == 2 * expected
        assert splits == notes["users"]
    elif name == "released-json":
        assert splits == sum(len(json.loads((raw / f"{split}.json").read_bytes())) for split in files.SPLITS)
    else:
        texts = [(raw / f"{split}.csv").read_bytes().decode("ascii", "replace") for split in files.SPLITS]
        assert splits == sum(len(list(csv.reader(io.StringIO(text, newline="")))) - 1 for text in texts)


@pytest.mark.parametrize(
    ("name", "file", "many"),
    [
        ("ml-100k", "u.data", 12_000),
        ("ml-100k", "u.item", 8_000),
        ("csv", "ratings.csv", 5_000),
        ("csv", "movies.csv", 3_000),
        ("dat", "ratings.dat", 3_000),
        ("dat", "movies.dat", 2_000),
        ("bookcrossing", "BX-Book-Ratings.csv", 10_000),
        ("bookcrossing", "BX-Books.csv", 8_000),
        ("released-json", "train.json", 8_000),
        ("released-json", "manifest.json", 1_000),
        ("released-csv", "test.csv", 8_000),
    ],
)
def test_a_hostile_raw_file_is_read_whole_or_refused(
    name: str, file: str, many: int, repository: Path, survive: Callable[..., None]
):
    section = SECTIONS[name]
    params = Params.model_construct(domains={section.noun: section}, data=DataParams(mirror=None), world=WORLD)
    raw = files.raw_folder(section.noun)
    raw.mkdir(parents=True)
    for other, content in VALID[name].items():
        (raw / other).write_bytes(content)
    prepare(section.noun, params)
    stats = files.prepared_folder(section.noun) / "stats.json"
    check_rows(name, raw, files.read_json(stats))

    def make(rng: random.Random) -> bytes:
        content = VALID[name][file]
        if file.endswith("json") and rng.random() < 0.4:
            return json.dumps(mutated_value(rng, json.loads(content))).encode()
        return mutated(rng, content)

    def read(hostile: bytes) -> None:
        (raw / file).write_bytes(hostile)
        prepare(section.noun, params)
        check_rows(name, raw, files.read_json(stats))

    survive(file, many, make, read)
