"""Hostile raw files: stage `prepare` takes each or refuses it in one line, and accounts for every row of it."""

import csv
import functools
import io
import json
import random
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mutation import mutated, mutated_value

from benchmark.artifacts import files, paths
from benchmark.config.params import DataParams, DomainParams, EvaluateParams, Params
from benchmark.data.domains import FORMATS, format_module
from benchmark.methods.configuration import load_config
from benchmark.stages.prepare import prepare

Stats = dict[str, Any]
"""`stats.json` of a prepared domain."""

ROOT = Path(__file__).parents[2]
WORLD = load_config(ROOT / "params.yaml").world
MOVIE: dict[str, Any] = {"source": "official", "noun": "movie", "liked_above": 3.0, "split": (0.6, 0.2, 0.2)}
BOOK: dict[str, Any] = {"source": "official", "noun": "book", "liked_above": 5.0}
SELECTION: dict[str, Any] = {"history_length": 2, "n_samples": 12, "selection": "described"}
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


def lines(rows: Iterable[Any]) -> bytes:
    return "".join(f"{row}\n" for row in rows).encode()


def released_rows(first: int) -> bytes:
    rows = [f'{first + n},"[1, 2, {n}]","[1, 0, 1]",{5 + n},{n % 2}' for n in range(3)]
    return lines(["user,history_item_id,history_rating,item_id,rating", *rows])


PROMPTS = [book_prompt(number) for number in range(3)]
MANIFEST = {"train.json": {"sha256": "", "origin": "mirror", "stand_in": "train.sample.json"}}


def section(name: str, **keys: Any) -> DomainParams:
    """The section of a domain in format `name`."""
    return format_module(name).Params(format=name, **keys)


def split_rows(stats: Stats) -> int:
    return sum(split["rows"] for split in stats["splits"].values())


def n_lines(content: bytes, ends: bytes = b"\n", header: int = 0) -> int:
    """Lines, empty ones too, of a file whose last line may lack its end."""
    rows = re.split(ends, content)
    return len(rows) - (not rows[-1]) - header


def check_accounts(account: Mapping[str, int], n_rows: int) -> None:
    """All rows were read, and each was used or left out for one reason."""
    assert account["read"] == n_rows, account
    assert sum(account.values()) == 2 * n_rows


def check_ml_100k(raw: Path, stats: Stats) -> None:
    ratings = re.split(b"\r\n|\r|\n", (raw / "u.data").read_bytes())
    assert stats["notes"]["ratings"] == sum(map(bool, ratings))
    assert split_rows(stats) == SELECTION["n_samples"]


def check_tables(layout: str, raw: Path, stats: Stats) -> None:
    for what, file, ends in (("ratings", f"ratings.{layout}", b"\r\n|\r|\n"), ("titles", f"movies.{layout}", b"\n")):
        check_accounts(stats["notes"][what], n_lines((raw / file).read_bytes(), ends, header=layout == "csv"))


def check_bookcrossing(raw: Path, stats: Stats) -> None:
    for what, file in (("ratings", "BX-Book-Ratings.csv"), ("books", "BX-Books.csv")):
        content = (raw / file).read_bytes().decode("latin-1")
        check_accounts(stats["notes"][what], sum(bool(line.strip()) for line in content.split("\n")[1:]))
    assert split_rows(stats) == stats["notes"]["users"]


def check_released_json(raw: Path, stats: Stats) -> None:
    assert split_rows(stats) == sum(len(json.loads((raw / f"{split}.json").read_bytes())) for split in paths.SPLITS)


def check_released_csv(raw: Path, stats: Stats) -> None:
    texts = [(raw / f"{split}.csv").read_bytes().decode("ascii", "replace") for split in paths.SPLITS]
    assert split_rows(stats) == sum(len(list(csv.reader(io.StringIO(text, newline="")))) - 1 for text in texts)


@dataclass(frozen=True)
class Case:
    """A format, and valid raw files of it to be broken."""

    section: DomainParams
    files: Mapping[str, bytes]
    check: Callable[[Path, Stats], None]
    """Rows in the files = rows used + rows reported; counted by other means than those of the reader."""
    many: Mapping[str, int]
    """Each file that is broken -> how often, in `make harden`."""


CASES: dict[str, Case] = {
    "ml-100k": Case(
        section("ml-100k", **MOVIE, **SELECTION, extended_rows_per_user=0),
        {
            "u.data": lines(["\t".join(map(str, row)) for row in RATINGS]),
            "u.item": "".join(f"{n}|{title}|01-Jan-1990||\n" for n, title in enumerate(TITLES, 1)).encode("latin-1"),
        },
        check_ml_100k,
        {"u.data": 12_000, "u.item": 8_000},
    ),
    "csv": Case(
        section("ratings-table", release="mine", layout="csv", **MOVIE, **SELECTION),
        {
            "ratings.csv": lines(["userId,movieId,rating,timestamp", *(",".join(map(str, row)) for row in RATINGS)]),
            "movies.csv": lines(["movieId,title,genres", '1,"A, ""B""",x', *(f"{n},Title {n},x" for n in range(2, 7))]),
        },
        functools.partial(check_tables, "csv"),
        {"ratings.csv": 5_000, "movies.csv": 3_000},
    ),
    "dat": Case(
        section("ratings-table", release="mine", layout="dat", **MOVIE, **SELECTION),
        {
            "ratings.dat": lines(["::".join(map(str, row)) for row in RATINGS]),
            "movies.dat": lines([f"{n}::{title}::Drama" for n, title in enumerate(TITLES, 1)]),
        },
        functools.partial(check_tables, "dat"),
        {"ratings.dat": 3_000, "movies.dat": 2_000},
    ),
    "ml-1m": Case(
        section("ml-1m", **{k: v for k, v in MOVIE.items() if k != "split"}, history_length=2, selection="collm"),
        {
            **{
                f"{split}.csv": lines(
                    [
                        "user_id,item_id,timestamp,liked,history",
                        *(f"{u},{i},{t},{int(s > 3)},1 2" for u, i, s, t in RATINGS),
                    ]
                )
                for split in paths.SPLITS
            },
            "items.csv": lines(["item_id,title", '1,"A, ""B"""', *(f"{n},Title {n}" for n in range(2, 7))]),
        },
        check_released_csv,
        {"train.csv": 5_000, "items.csv": 3_000},
    ),
    "bookcrossing": Case(
        section(
            "bookcrossing",
            **BOOK,
            split=(0.25, 0.25, 0.5),
            history_length=3,
            zero_ratings="drop",
            min_ratings=4,
            seed=0,
        ),
        {
            "BX-Book-Ratings.csv": lines(
                [
                    '"User-ID";"ISBN";"Book-Rating"',
                    *(f'"{user + more}";"{item}";"{2 * stars}"' for user, item, stars, _ in RATINGS for more in (0, 4)),
                ]
            ),
            "BX-Books.csv": lines(
                [
                    '"ISBN";"Book-Title";"Book-Author";"Year"',
                    *(f'"{n}";"T \\"{n}\\"; x";"A. {n}";"1990"' for n in range(7)),
                ]
            ),
        },
        check_bookcrossing,
        {"BX-Book-Ratings.csv": 10_000, "BX-Books.csv": 8_000},
    ),
    "released-json": Case(
        section("released-json", **BOOK, history_length=10),
        {
            **{f"{split}.json": json.dumps(PROMPTS, indent=1).encode() for split in paths.SPLITS},
            "manifest.json": json.dumps(MANIFEST).encode(),
        },
        check_released_json,
        {"train.json": 8_000, "manifest.json": 1_000},
    ),
    "released-csv": Case(
        section("released-csv", **BOOK, history_length=10),
        {f"{split}.csv": released_rows(10 * n) for n, split in enumerate(paths.SPLITS)},
        check_released_csv,
        {"test.csv": 8_000},
    ),
}


def test_every_format_is_broken_here():
    assert {case.section.format for case in CASES.values()} == set(FORMATS)


@pytest.mark.parametrize(
    ("name", "file", "many"), [(name, file, many) for name, case in CASES.items() for file, many in case.many.items()]
)
def test_a_hostile_raw_file_is_read_whole_or_refused(
    name: str, file: str, many: int, repository: Path, survive: Callable[..., None]
):
    case = CASES[name]
    domain = case.section.noun
    evaluate = EvaluateParams.model_construct(max_test_samples=None)
    params = Params.model_construct(
        domains={domain: case.section}, data=DataParams(mirror=None), world=WORLD, evaluate=evaluate
    )
    raw = paths.raw_folder(domain)
    raw.mkdir(parents=True)
    for other, content in case.files.items():
        (raw / other).write_bytes(content)
    prepare(domain, params)
    stats = paths.prepared_folder(domain) / "stats.json"
    case.check(raw, files.read_json(stats))

    def make(rng: random.Random) -> bytes:
        content = case.files[file]
        if file.endswith("json") and rng.random() < 0.4:
            return json.dumps(mutated_value(rng, json.loads(content))).encode()
        return mutated(rng, content)

    def read(hostile: bytes) -> None:
        (raw / file).write_bytes(hostile)
        prepare(domain, params)
        case.check(raw, files.read_json(stats))

    survive(file, many, make, read)
