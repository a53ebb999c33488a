from hypothesis import given
from hypothesis import strategies as st

from tallrec.scoring.batches import batches_by_tokens


@given(st.lists(st.integers(1, 60), max_size=40), st.integers(1, 200))
def test_batches_hold_every_row_once_within_the_limit(lengths: list[int], batch_tokens: int) -> None:
    batches = list(batches_by_tokens(lengths, batch_tokens))
    assert sorted(position for batch in batches for position in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[position] for position in batch)
        assert longest == lengths[batch[0]]
        assert len(batch) == 1 or len(batch) * longest <= batch_tokens
