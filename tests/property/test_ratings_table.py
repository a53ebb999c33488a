import csv
import tempfile
from collections import Counter
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.data.domains import rating_columns
from benchmark.data.domains.rating_columns import read_titles
from benchmark.data.domains.ratings_table import Params, read
from benchmark.errors import DataError

N_ITEMS = 6
STARS = {f"{half / 2:.1f}": half / 2 for half in range(1, 11)} | {str(star): float(star) for star in range(1, 6)}
GOOD = st.builds(
    "{},{},{},{}".format,
    st.integers(1, 4),
    st.integers(1, N_ITEMS + 1),
    st.sampled_from(sorted(STARS)),
    st.sampled_from([8, 9, 10, 11, 99999999999]),
)
LINES = st.lists(st.one_of(GOOD, GOOD, st.text('0123.,:-" x\u0661', max_size=14)), max_size=40)


Row = tuple[str, list[tuple[str, bool]]]
"""User, and the window of items with likes, the target last."""


def expected(lines: list[str], length: int) -> tuple[list[Row], Counter[str], dict[str, int]]:
    """Line by line: every row with a full history, the most recent last; counts; first lines left out."""
    by_user: dict[str, list[tuple[int, str, bool]]] = {}
    counts: Counter[str] = Counter(read=len(lines))
    first: dict[str, int] = {}
    for number, line in enumerate(lines, start=2):
        fields = line.split(",")
        user, item, stars, seconds = fields if len(fields) == 4 else [""] * 4
        is_time = seconds.isascii() and seconds.isdigit() and len(seconds) <= 11
        reason = "used"
        if not (user and item and stars in STARS and is_time):
            reason = "broken_line"
        elif item not in map(str, range(1, N_ITEMS + 1)):
            reason = "unknown_item"
        elif item in [known for _, known, _ in by_user.get(user, [])]:
            reason = "duplicate"
        else:
            by_user.setdefault(user, []).append((int(seconds), item, STARS[stars] > 3))
        counts[reason] += 1
        if reason != "used":
            first.setdefault(reason, number)
    rows = []
    for user, events in by_user.items():
        events.sort(key=lambda event: event[0])
        for end in range(length, len(events)):
            window = [(f"movie-{item}", liked) for _, item, liked in events[end - length : end + 1]]
            rows.append((events[end][0], (user, window)))
    rows.sort(key=lambda row: row[0])
    return [row for _, row in rows], counts, first


@settings(max_examples=150, deadline=None)
@given(lines=LINES, length=st.integers(1, 2), block=st.sampled_from([64, 1 << 20]))
def test_every_line_is_used_or_counted_and_rows_are_those_of_a_reader_line_by_line(
    lines: list[str], length: int, block: int
):
    rows, counts, first = expected(lines, length)
    keys = {"format": "ratings-table", "source": "official", "noun": "movie", "release": "mine", "layout": "csv"}
    rest = {"history_length": length, "liked_above": 3.0, "selection": "described", "split": (0.8, 0.1, 0.1)}
    params = Params(**keys, **rest, n_samples=max(len(rows), 1))
    with tempfile.TemporaryDirectory() as folder, patch.object(rating_columns, "_BLOCK_BYTES", block):
        raw = Path(folder, "movie")
        raw.mkdir()
        (raw / "ratings.csv").write_text("\n".join(["userId,movieId,rating,timestamp", *lines, ""]))
        titles = [f"{item},Title {item},Drama" for item in range(1, N_ITEMS + 1)]
        (raw / "movies.csv").write_text("\n".join(["movieId,title,genres", *titles]))
        if not rows:
            with pytest.raises(DataError, match=f"of {len(lines)} lines"):
                read(raw, params)
            return
        data = read(raw, params)
    assert data.notes["ratings"] == counts
    assert data.notes["first_lines_left_out"]["ratings"] == first
    samples = [row for split in ("train", "valid", "test") for row in data.splits[split]]
    found = [
        (
            row.sample.user_id,
            [*((event.item_id, event.liked) for event in row.sample.history), (row.sample.target_item_id, row.liked)],
        )
        for row in samples
    ]
    assert found == rows


@given(titles=st.lists(st.text("ab ,\":'\xe9\u2028", max_size=9).filter(str.strip), min_size=1, max_size=8))
def test_titles_written_as_csv_are_read_back(titles: list[str]):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "movies.csv")
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerows([("movieId", "title", "genres"), *((n, title, "x") for n, title in enumerate(titles))])
        found, count = read_titles(path, "csv")
    assert found == {str(number): title for number, title in enumerate(titles)}
    assert count.summary() == {"read": len(titles), "used": len(titles)}
