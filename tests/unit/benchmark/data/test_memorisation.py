"""The lines that a model is to complete: what is shown, what is asked, and what the controls change."""

from pathlib import Path

import pytest

from benchmark.data.domains.movielens import Rating
from benchmark.data.memorisation import N_LINES, N_RATINGS, ratings, records, years
from benchmark.errors import DataError

RAW = Path("data/raw/movie")
TITLES = {str(item): f"Film {item} ({1900 + item})" for item in range(1, 41)} | {
    "41": "unknown",
    "42": "Late (1990) (V)",
}
ROWS = {
    f"u{user}": [Rating(str(100 * user + at), 1 + (user + at) % 5, str(at)) for at in range(8 + user)]
    for user in range(1, 9)
}


def test_a_record_is_asked_behind_five_others() -> None:
    asked = records(TITLES, 30, RAW)
    assert len(asked) == 30
    shown = {one.prompt.rpartition("\n")[0] for one in asked}
    assert len(shown) == 1  # which is computed once
    lines = shown.pop().split("\n")
    assert [line.split("|")[1] for line in lines] == [TITLES[line.split("|")[0]] for line in lines]
    ids = [one.prompt.rpartition("\n")[2].removesuffix("|") for one in asked]
    assert [TITLES[item] for item in ids] == [one.answer for one in asked]
    assert len({*ids, *(line.split("|")[0] for line in lines)}) == 30 + N_LINES


def test_fewer_items_are_all_asked() -> None:
    assert len(records(TITLES, 200, RAW)) == 42 - N_LINES
    assert len(years(TITLES, 200, RAW)) == 40 - N_LINES


def test_a_year_is_asked_where_a_title_ends_in_one() -> None:
    asked = years(TITLES, 200, RAW)
    for one in asked:
        *lines, last = one.prompt.split("\n")
        assert all(line in TITLES.values() for line in lines)
        assert f"{last}{one.answer})" in TITLES.values()
    assert not any("unknown" in one.prompt or "Late" in one.prompt for one in asked)


def test_the_control_of_a_completion_is_the_prompt_of_another() -> None:
    for asked in (records(TITLES, 200, RAW), years(TITLES, 200, RAW)):
        assert sorted(one.other_prompt for one in asked) == sorted(one.prompt for one in asked)
        assert all(one.other_prompt != one.prompt for one in asked)


def test_a_rating_is_asked_behind_ten_of_its_user() -> None:
    asked = ratings(ROWS, 200, RAW)
    assert len(asked) == 6  # the others have no more than ten
    for one in asked:
        *lines, last = [line.split("\t") for line in one.prompt.split("\n")]
        user = last[0]
        rows = [[user, row.item, str(row.stars)] for row in ROWS[user]]
        at = next(place for place, row in enumerate(ROWS[user]) if row.item == last[1])
        assert (lines, last[2]) == (rows[at - N_RATINGS : at], "")
        assert (one.stars, one.shown) == (ROWS[user][at].stars, tuple(int(line[2]) for line in lines))
        *other_lines, other_last = [line.split("\t") for line in one.other_prompt.split("\n")]
        assert (other_lines, other_last[0]) == (lines, user)
        assert other_last[1] != last[1]
    assert len({one.prompt.split("\t")[0] for one in asked}) == 6
    assert len(ratings(ROWS, 3, RAW)) == 3


def test_the_choice_is_the_same_each_time_and_of_no_order() -> None:
    turned = dict(reversed(TITLES.items()))
    assert records(turned, 10, RAW) == records(TITLES, 10, RAW)
    assert records(TITLES, 10, RAW)[:9] != records(TITLES, 9, RAW)  # the last one has the first one's prompt
    assert [one.prompt for one in records(TITLES, 10, RAW)][:9] == [one.prompt for one in records(TITLES, 9, RAW)]
    assert [one.prompt for one in ratings(dict(reversed(ROWS.items())), 5, RAW)] == [
        one.prompt for one in ratings(ROWS, 5, RAW)
    ]


def test_a_title_writes_no_line_of_its_own() -> None:
    asked = records({**TITLES, "43": "A\x85B <s>"}, 200, RAW)
    assert all(one.prompt.count("\n") == N_LINES for one in asked)
    assert not any("<s>" in one.prompt + one.answer for one in asked)


def test_too_little_is_one_line() -> None:
    few = dict(list(TITLES.items())[:6])
    with pytest.raises(DataError, match=r"u\.item: 6 items, expected 7 at least"):
        records(few, 10, RAW)
    with pytest.raises(DataError, match=r"u\.item: 6 titles with a year, expected 7 at least"):
        years(few, 10, RAW)
    with pytest.raises(DataError, match=r"u\.data: 1 users with more than 10 ratings, expected 2 at least"):
        ratings({"u4": ROWS["u4"], "u1": ROWS["u1"]}, 10, RAW)
