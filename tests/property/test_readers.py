import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.data.domains import bookcrossing, movielens
from benchmark.data.domains.released_json import Prompt, parse_books, render_input
from benchmark.data.domains.splits import split_in_order

MARK = '" written by '
TITLES = st.text("ab \"',.:&\xe9", max_size=12).filter(lambda title: MARK not in f'{title}"')
AUTHORS = st.text("ab ',.\xe9", max_size=8)
BOOKS = st.lists(st.tuples(TITLES, AUTHORS), max_size=5)


def mention(title: str, author: str) -> str:
    return f'"{title}" written by {author}'


@given(books=BOOKS)
def test_a_list_of_books_is_parsed_back_whatever_commas_and_quotes_its_titles_hold(books):
    mentions = tuple(mention(*book) for book in books)
    assert parse_books(", ".join(mentions)) == mentions


@given(text=st.lists(st.sampled_from(['"', ", ", " written by ", "a", "b", MARK])).map("".join))
def test_no_character_of_a_list_is_lost_or_made_up(text):
    try:
        books = parse_books(text)
    except ValueError:
        return
    assert ", ".join(books) == text
    assert render_input(Prompt(books, (), "x", True), "book").startswith(f"User Preference: {text}\n")


@given(
    n_rows=st.integers(0, 200),
    parts=st.tuples(*[st.integers(1, 20)] * 3),
)
def test_a_split_keeps_every_row_once_and_in_order(n_rows, parts):
    fractions = [part / sum(parts) for part in parts]
    splits = split_in_order(list(range(n_rows)), fractions)
    assert [row for rows in splits.values() for row in rows] == list(range(n_rows))
    for rows, part in zip(splits.values(), parts, strict=True):
        assert abs(len(rows) - n_rows * part / sum(parts)) < 1 + 1e-6


RATINGS = st.lists(
    st.tuples(st.integers(1, 4), st.integers(1, 12), st.integers(1, 5), st.integers(8, 12)),
    min_size=8,
    max_size=48,
    unique_by=lambda rating: rating[:2],
)


@settings(max_examples=40)
@given(ratings=RATINGS, length=st.integers(1, 3))
def test_each_movielens_row_follows_what_its_user_rated_just_before(ratings, length):
    by_user: dict[int, list[tuple[int, int, int, int]]] = {}
    for rating in ratings:
        by_user.setdefault(rating[0], []).append(rating)
    expected = []
    for rows in by_user.values():
        # The timestamps 8 to 12 sort as strings: 10, 11, 12, 8, 9.
        rows.sort(key=lambda rating: str(rating[3]))
        for end in range(length, len(rows)):
            window = [(f"movie-{item}", stars > 3) for _, item, stars, _ in rows[end - length : end + 1]]
            expected.append((str(rows[end][0]), window))
    n_samples = max(len(expected), 1)
    keys = {"format": "ml-100k", "source": "official", "noun": "movie", "history_length": length}
    rest = {"liked_above": 3.0, "selection": "released", "n_samples": n_samples, "split": (0.8, 0.1, 0.1)}
    rest |= {"extended_rows_per_user": 0}
    if not expected:
        return
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder)
        (raw / "u.data").write_text("".join("\t".join(map(str, rating)) + "\n" for rating in ratings))
        (raw / "u.item").write_text("".join(f"{item}|Title {item}|\n" for item in range(1, 13)))
        data = movielens.read(raw, movielens.Params(**keys, **rest))
    found = [
        (
            row.sample.user_id,
            [
                *((event.item_id, event.liked) for event in row.sample.history),
                (row.sample.target_item_id, row.liked),
            ],
        )
        for split in ("train", "valid", "test")
        for row in data.splits[split]
    ]
    assert found == expected


LINES = st.lists(
    st.one_of(
        st.builds('"{}";"{}";"{}"'.format, st.integers(1, 3), st.integers(0, 9), st.integers(0, 11)),
        st.text('"\\;0123', min_size=1, max_size=12).filter(lambda line: line.strip()),
    ),
    max_size=40,
)


@settings(max_examples=60)
@given(lines=LINES, zero_ratings=st.sampled_from(["dislike", "drop"]))
def test_every_bookcrossing_rating_is_used_or_counted(lines, zero_ratings):
    always = [f'"9";"{isbn}";"7"' for isbn in range(4)]
    params = bookcrossing.Params(
        format="bookcrossing",
        source="official",
        noun="book",
        history_length=3,
        liked_above=5.0,
        zero_ratings=zero_ratings,
        min_ratings=4,
        split=(0.8, 0.1, 0.1),
        seed=0,
    )
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder)
        books = ['"ISBN";"Book-Title";"Book-Author"', *(f'"{isbn}";"T{isbn}";"A"' for isbn in range(8))]
        (raw / "BX-Books.csv").write_text("\n".join(books))
        (raw / "BX-Book-Ratings.csv").write_text("\n".join(['"User-ID";"ISBN";"Book-Rating"', *lines, *always]))
        counts = dict(bookcrossing.read(raw, params).notes["ratings"])
    assert counts.pop("read") == len(lines) + len(always) == sum(counts.values())
