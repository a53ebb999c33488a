from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from benchmark.data.domains.bookcrossing import Params, read
from benchmark.errors import DataError
from benchmark.schema import Labelled

KEYS: dict[str, Any] = {
    "format": "bookcrossing",
    "source": "official",
    "noun": "book",
    "history_length": 4,
    "liked_above": 5.0,
    "zero_ratings": "dislike",
    "min_ratings": 4,
    "split": (0.5, 0.25, 0.25),
    "seed": 0,
}
BOOKS_HEADER = '"ISBN";"Book-Title";"Book-Author";"Year-Of-Publication"'
RATINGS_HEADER = '"User-ID";"ISBN";"Book-Rating"'


def book(isbn: str, title: str = "A Title", author: str = "An Author") -> str:
    return f'"{isbn}";"{title}";"{author}";"1999"'


def rating(user: str, isbn: str, points: object) -> str:
    return f'"{user}";"{isbn}";"{points}"'


BOOKS = [book(f"isbn{number}", f"Title {number}") for number in range(8)]
RATINGS = [
    rating(user, f"isbn{number}", 10 if number % 2 else 2)
    for user, size in {"u1": 4, "u2": 8, "u3": 5, "u4": 3, "u5": 6}.items()
    for number in range(size)
]


def write(folder: Path, ratings: list[str] = RATINGS, books: list[str] = BOOKS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in (
        ("BX-Books", [BOOKS_HEADER, *books]),
        ("BX-Book-Ratings", [RATINGS_HEADER, *ratings]),
    ):
        (folder / f"{name}.csv").write_bytes("".join(f"{line}\r\n" for line in lines).encode("latin-1"))
    return folder


def samples(folder: Path, **changes: Any) -> dict[str, Labelled]:
    data = read(folder, Params(**KEYS | changes))
    return {row.sample.user_id: row for rows in data.splits.values() for row in rows}


def test_each_user_with_enough_ratings_is_one_sample(tmp_path: Path):
    rows = samples(write(tmp_path / "book"))
    assert {user: len(row.sample.history) for user, row in rows.items()} == {
        "u1": 3,
        "u2": 4,
        "u3": 4,
        "u5": 4,
    }
    for row in rows.values():
        events = [
            *((event.item_id, event.liked) for event in row.sample.history),
            (row.sample.target_item_id, row.liked),
        ]
        assert len({item_id for item_id, _ in events}) == len(events)
        assert all(liked == (int(item_id[-1]) % 2 == 1) for item_id, liked in events)
    assert {row.sample.sample_id for row in rows.values()} == {f"book-{row}" for row in range(4)}


def test_users_are_split_and_their_draws_depend_on_the_seed_alone(tmp_path: Path):
    data = read(write(tmp_path / "book"), Params(**KEYS))
    assert {split: len(rows) for split, rows in data.splits.items()} == {"train": 2, "valid": 1, "test": 1}
    reordered = read(write(tmp_path / "again/book", RATINGS[::-1], BOOKS[::-1]), Params(**KEYS))
    assert reordered.splits == data.splits
    assert read(tmp_path / "book", Params(**KEYS | {"seed": 1})).splits != data.splits


def test_a_draw_does_not_depend_on_other_users(tmp_path: Path):
    alone = samples(write(tmp_path / "alone/book", [line for line in RATINGS if line.startswith('"u2"')]))
    assert alone["u2"] == samples(write(tmp_path / "all/book"))["u2"]


def test_quotes_escapes_and_latin_letters_of_titles_are_read(tmp_path: Path):
    books = [*BOOKS[:7], r'"isbn7";"He said \"No\"; twice & caf' + "\xe9" + r'";"O\\Brien";"2000"']
    data = read(write(tmp_path / "book", books=books), Params(**KEYS | {"history_length": 9}))
    assert data.items["book-isbn7"].text == '"He said "No"; twice & caf\xe9" written by O\\Brien'
    assert data.items["book-isbn7"].mention == data.items["book-isbn7"].text


def test_every_rating_is_used_or_counted_by_its_reason(tmp_path: Path):
    ratings = [
        *RATINGS,
        rating("u1", "isbn0", 9),  # duplicate
        rating("u1", "nowhere", 9),  # unknown ISBN
        rating("u1", "isbn7", 11),  # no such rating
        '"u1";"isbn7"',  # a field is missing
        '"u1";"isbn7;"9"',  # a quote is left open
        rating("u2", "isbn7", 9),  # duplicate, after the open quote
    ]
    notes = read(write(tmp_path / "book", ratings, [*BOOKS, book("isbn0"), '"x";"y']), Params(**KEYS)).notes
    assert notes["books"] == {"read": 10, "used": 8, "broken_line": 1, "duplicate": 1}
    assert notes["ratings"] == {
        "read": 32,
        "used": 23,
        "broken_line": 2,
        "rating_off_scale": 1,
        "unknown_isbn": 1,
        "duplicate": 2,
        "zero_rating": 0,
        "user_with_few_ratings": 3,
    }


def test_zero_ratings_are_dislikes_or_dropped(tmp_path: Path):
    zeros = [rating(user, f"isbn{number}", 0) for user in ("z1", "z2", "z3", "z4") for number in range(4)]
    folder = write(tmp_path / "book", [*RATINGS, *zeros])
    kept = samples(folder)
    assert {"z1", "z2", "z3", "z4"} <= kept.keys()
    assert not any(event.liked for event in kept["z1"].sample.history)
    assert samples(folder, zero_ratings="drop").keys() == {"u1", "u2", "u3", "u5"}
    assert read(folder, Params(**KEYS | {"zero_ratings": "drop"})).notes["ratings"]["zero_rating"] == 16


def test_a_missing_column_is_named(tmp_path: Path):
    folder = write(tmp_path / "book")
    (folder / "BX-Book-Ratings.csv").write_text('"User-ID";"ISBN"\n')
    with pytest.raises(DataError, match=r"BX-Book-Ratings\.csv: line 1: .*no column 'Book-Rating'"):
        read(folder, Params(**KEYS))


def test_no_user_with_enough_ratings_is_an_error(tmp_path: Path):
    with pytest.raises(DataError, match="no user has 9 ratings"):
        read(write(tmp_path / "book"), Params(**KEYS | {"min_ratings": 9}))


def test_a_history_has_at_least_three_items():
    with pytest.raises(ValidationError, match="greater than or equal to 4"):
        Params(**KEYS | {"min_ratings": 3})


def test_a_copy_in_utf8_has_the_same_letters_and_odd_lines_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    books = [book(f"isbn{number}", f"Cr\xf3nica \u2019{number}", "Ana Pe\xf1a") for number in range(8)]
    folder = write(tmp_path / "book", books=[])
    for mark, n_of_windows in (("\ufeff", 0), ("", 3), ("", 8)):
        lines = [f"{mark}{BOOKS_HEADER}".encode(), *(line.encode() for line in books)]
        lines[1 : 1 + n_of_windows] = [line.encode("cp1252") for line in books[:n_of_windows]]
        (folder / "BX-Books.csv").write_bytes(b"\n".join(lines))
        data = read(folder, Params(**KEYS))
        assert data.items["book-isbn0"].text == '"Cr\xf3nica \u20190" written by Ana Pe\xf1a'
        assert data.notes["books_not_utf8"] == n_of_windows
        assert data.notes["titles_changed"] == 0
    assert "BX-Books.csv: 3 lines are no UTF-8, read as Latin-1" in caplog.text


def test_doubled_quotes_and_points_with_a_zero_are_read_as_every_other_writer_has_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    books = [book(f"isbn{number}", f'The ""real"" one &amp; book {number}') for number in range(8)]
    plain = samples(write(tmp_path / "plain/book"))
    doubled = write(
        tmp_path / "book", [line.replace('"10"', '"10.0"').replace('"2"', '"2.0"') for line in RATINGS], books
    )
    assert samples(doubled) == plain
    assert caplog.text.count("left out") == 2, "users with few ratings, and nothing else"
    assert read(doubled, Params(**KEYS)).items["book-isbn1"].text == (
        '"The "real" one &amp; book 1" written by An Author'
    )


def test_losses_are_logged_and_a_refusal_says_why(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    with pytest.raises(
        DataError, match=r"no user has 4 ratings; left out 26 unknown_isbn \(first: line 2, .*\) of 26 lines"
    ):
        read(write(tmp_path / "book", books=[book("elsewhere"), '"x";"y']), Params(**KEYS))
    assert 'BX-Books.csv: left out 1 broken_line (first: line 3, \'"x";"y\') of 2 lines' in caplog.text
    assert "BX-Book-Ratings.csv: left out 26 unknown_isbn" in caplog.text


def test_more_lines_than_a_share_are_not_left_out(tmp_path: Path):
    data = read(write(tmp_path / "book", books=[*BOOKS, *['"x";"y'] * 30]), Params(**KEYS))
    assert set(data.lines) == {"BX-Books.csv", "BX-Book-Ratings.csv"}  # which stage `prepare` asks all
    with pytest.raises(DataError, match=r"left out 30 broken_line .* of 38 lines; more than 5% are broken_line"):
        data.lines["BX-Books.csv"].refuse_large_share(tmp_path)


def test_a_header_with_other_separators_is_shown(tmp_path: Path):
    folder = write(tmp_path / "book")
    (folder / "BX-Books.csv").write_text('"ISBN","Book-Title","Book-Author"\n')
    with pytest.raises(DataError, match=r"separated by ';': no column 'ISBN' in '\"ISBN\",\"Book-Title\""):
        read(folder, Params(**KEYS))
    (folder / "BX-Books.csv").write_text(f"{BOOKS_HEADER}\n", encoding="utf-16")
    with pytest.raises(DataError, match="in UTF-16, expected UTF-8"):
        read(folder, Params(**KEYS))


def test_a_book_without_a_title_is_none(tmp_path: Path):
    data = read(write(tmp_path / "book", books=[*BOOKS, book("elsewhere", " ")]), Params(**KEYS))
    assert data.notes["books"]["broken_line"] == 1


def test_a_line_without_an_isbn_or_a_user_is_broken_and_meets_no_other_such_line(tmp_path: Path):
    nameless = [rating("u1", "", 9), rating(" ", "isbn1", 9), rating("u2", " ", 9)]
    counts = read(write(tmp_path / "book", [*RATINGS, *nameless], [*BOOKS, book(""), book(" ")]), Params(**KEYS)).notes
    assert (counts["ratings"]["broken_line"], counts["ratings"]["used"]) == (3, 23)
    assert (counts["books"]["broken_line"], counts["books"]["used"]) == (2, 8)


def test_a_threshold_below_all_ratings_that_are_left_is_refused():
    assert Params(**KEYS | {"liked_above": 0.5}).liked_above == 0.5
    with pytest.raises(ValidationError, match="without zeros all ratings are liked"):
        Params(**KEYS | {"liked_above": 0.5, "zero_ratings": "drop"})
