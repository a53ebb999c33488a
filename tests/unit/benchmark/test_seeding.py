import pytest

from benchmark.seeding import derive_seed


def test_the_same_parts_give_the_same_seed_on_every_machine() -> None:
    # SHA-256 of "str:7:fewshotint:2:16", first four bytes, computed with sha256sum.
    assert derive_seed("fewshot", 16) == 0x774E704C


def test_seeds_fit_into_32_bits() -> None:
    assert all(0 <= derive_seed("x", n) < 2**32 for n in range(100))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a", "bc"), ("ab", "c")),
        ((1,), ("1",)),
        (("a", 1), (1, "a")),
        (("a",), ("a", "")),
        ((), ("",)),
        ((12, 3), (1, 23)),
    ],
)
def test_parts_do_not_run_into_each_other(one: tuple[str | int, ...], other: tuple[str | int, ...]) -> None:
    assert derive_seed(*one) != derive_seed(*other)


def test_neighbouring_seeds_are_all_different() -> None:
    assert len({derive_seed("draw", n) for n in range(1000)}) == 1000
