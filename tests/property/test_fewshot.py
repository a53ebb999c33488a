from hypothesis import assume, given
from hypothesis import strategies as st

from benchmark.data.fewshot import draw

IDS = st.lists(st.text("abc019-", min_size=1, max_size=6), min_size=1, max_size=40, unique=True)
SEEDS = st.integers(min_value=0, max_value=2**32 - 1)
HOW = st.sampled_from(["shared", "released"])


@given(ids=IDS, seed=SEEDS, how=HOW, data=st.data())
def test_a_draw_is_that_many_different_training_rows(ids, seed, how, data):
    n_shots = data.draw(st.integers(1, len(ids)))
    drawn = draw(ids, n_shots, seed, "movie", how)
    for side in (drawn.llm, drawn.conventional):
        assert len(set(side)) == len(side) == n_shots
        assert set(side) <= set(ids)
    assert draw(ids, n_shots, seed, "movie", how) == drawn


@given(ids=IDS, seed=SEEDS, data=st.data())
def test_a_shared_draw_is_one_for_all_and_does_not_depend_on_the_order_of_the_pool(ids, seed, data):
    n_shots = data.draw(st.integers(1, len(ids)))
    drawn = draw(ids, n_shots, seed, "movie")
    assert drawn.llm == drawn.conventional
    assert draw(data.draw(st.permutations(ids)), n_shots, seed, "movie") == drawn


@given(ids=IDS, seed=SEEDS, data=st.data())
def test_a_smaller_shared_draw_begins_a_larger_one(ids, seed, data):
    more = data.draw(st.integers(1, len(ids)))
    fewer = data.draw(st.integers(1, more))
    assert draw(ids, fewer, seed, "movie").llm == draw(ids, more, seed, "movie").llm[:fewer]


@given(first=SEEDS, second=SEEDS, how=HOW)
def test_seeds_differ_and_so_do_domains(first, second, how):
    assume(first != second)
    ids = [f"row-{number}" for number in range(300)]
    assert draw(ids, 64, first, "movie", how) != draw(ids, 64, second, "movie", how)
    assert draw(ids, 64, first, "movie") != draw(ids, 64, first, "book")
