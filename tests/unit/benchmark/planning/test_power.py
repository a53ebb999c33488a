"""What a grid can see, before it runs."""

from pathlib import Path

import pytest

from benchmark.artifacts import files, paths
from benchmark.config.params import Params
from benchmark.planning.power import show_power
from benchmark.planning.sizes import sizes
from benchmark.schema import Cell
from benchmark.statistics.uncertainty import Spread, margin
from benchmark.verdicts.foretold import DRAWS_IN_COMMON, SEED_SD, TestSet, foretold, sights
from benchmark.verdicts.paper import load_paper

PAPER = load_paper()
MOVIE, FURTHER, BOOK = TestSet(1000, 16, 9.4), TestSet(3340, 835, 835.0), TestSet(2427, 2427, 2427.0)
LIKED_SHARE = Cell("control", "liked_share", "movie", "movie", 0, 0)


def on(params: Params, **changes: object) -> Params:
    return params.model_copy(update={"grid": params.grid.model_copy(update=changes)})


def seen(params: Params, movie: TestSet = MOVIE) -> dict[str, float | None]:
    found = sights(foretold(params, PAPER, {"movie": movie, "book": BOOK}), PAPER)
    return {sight.of: sight.smallest for sight in found}


@pytest.mark.parametrize(("test_set", "measured"), [(MOVIE, 0.112), (FURTHER, 0.021), (BOOK, 0.021)])
def test_the_noise_of_users_is_that_of_the_share_of_likes_on_the_real_test_sets(
    test_set: TestSet, measured: float, params: Params
) -> None:
    results = foretold(params, PAPER, {"movie": test_set, "book": BOOK})
    found = results.estimates.estimate(LIKED_SHARE)
    assert margin(found.spread, 0.95) == pytest.approx(measured, rel=0.1)


def test_more_seeds_and_more_users_see_smaller_differences(params: Params) -> None:
    few, more = seen(on(params, seeds=(0, 1, 2, 3, 4))), seen(on(params, seeds=tuple(range(10))))
    many_users = seen(on(params, seeds=(0, 1, 2, 3, 4)), FURTHER)
    assert few.keys() == more.keys()
    for of in ("differences, movie", "rises_with_k", "beats_baselines", "transfers"):
        assert more[of] < few[of]
        assert many_users[of] < few[of]


def test_draws_that_are_nested_over_k_do_not_average_out(params: Params) -> None:
    """As they do not in a run: `benchmark.statistics.estimates`."""
    estimates = foretold(on(params, n_shots=(16, 64), cheap_seeds=(0, 1, 2, 3, 4)), PAPER, {"movie": MOVIE}).estimates
    at = [Cell("baseline", "gru4rec", "movie", "movie", n_shots, 0) for n_shots in (16, 64)]

    def of_seeds(*factors: float) -> Spread:
        found = estimates.combined(dict(zip(at, factors, strict=False)))
        assert found is not None
        assert found.parts is not None
        return found.parts[1]

    of_one = SEED_SD**2 / 5
    assert of_seeds(1.0) == Spread(pytest.approx(of_one), pytest.approx(4.0))
    assert of_seeds(0.5, 0.5).variance == pytest.approx(of_one * (1 + DRAWS_IN_COMMON) / 2)
    assert of_seeds(-1.0, 1.0).variance == pytest.approx(2 * of_one)


def test_one_seed_sees_nothing_of_a_tuned_model(params: Params) -> None:
    found = seen(on(params, seeds=(0,), cheap_seeds=None))
    assert found["beats_baselines"] is None
    assert found["transfers"] is None


def test_what_is_published_is_beside_it_with_what_it_takes(params: Params) -> None:
    grid = on(params, n_shots=(16, 64, 256), seeds=(0, 1, 2, 3, 4))
    found = {one.of: one for one in sights(foretold(grid, PAPER, {"movie": MOVIE, "book": BOOK}), PAPER)}
    rises = found["rises_with_k"]
    assert rises.published == pytest.approx((0.7198 - 0.6724 + 0.6438 - 0.5636) / 2)
    assert rises.smallest > rises.published
    assert "seeds in place of 5" in rises.takes
    assert found["adds_to_liked_share"].takes == ""  # it is seen as it is
    assert found["transfers"].published is None  # nothing is published at K = 16 and 256


def test_the_plan_prints_it_before_anything_is_prepared(
    params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    show_power(params, PAPER, sizes(params, tokenizes=False))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split("  ")[0].strip() == "seen in 80% of runs"
    assert any(line.split()[:2] == ["differences,", "movie"] for line in lines)


def test_users_are_counted_once_rows_are_prepared(
    finished_run: Path, params: Params, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six users of movie and sixty of book: less is seen on movie."""
    assert finished_run.exists()
    for domain in params.grid.domains:
        stats = {"splits": {"valid": {"rows": 60}, "test": {"rows": 60}}, "extended": {"rows": 60}}
        files.write_json(paths.prepared_folder(domain) / "stats.json", stats)
    released = seen_by_users(params, capsys)
    assert released["movie"] != released["book"]  # what lies there was prepared with other values
    monkeypatch.setattr("benchmark.planning.rows._is_prepared", lambda *_: True)
    found = seen_by_users(params, capsys)
    assert found["movie"] > found["book"]
    assert found != released


def seen_by_users(params: Params, capsys: pytest.CaptureFixture[str]) -> dict[str, float]:
    show_power(params, PAPER, sizes(params, tokenizes=False))
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if "differences," in line]
    return {name: float(smallest) for _, name, smallest in lines}
