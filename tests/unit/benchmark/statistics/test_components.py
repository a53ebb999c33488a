"""The parts of the scatter of a single run: exact where they are known, and right on average where they are drawn."""

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmark.statistics.components import Component, components
from benchmark.statistics.influence import Measured

USERS = np.array([0.1, -0.2, 0.4, 0.0])


def of_values(values: NDArray[np.float64], influence: NDArray[np.float64] = USERS) -> dict[str, Component]:
    runs = [[Measured(value, value + influence, 3.0) for value in of_draw] for of_draw in values.tolist()]
    return {one.name: one for one in components(runs, 0.95)}


def test_what_adds_up_exactly_is_told_apart() -> None:
    draws, weights = np.array([0.1, 0.0, -0.1, 0.3]), np.array([0.02, -0.01, 0.05])
    found = of_values(0.5 + draws[:, None] + weights[None, :])
    variances = {name: one.variance for name, one in found.items()}
    users = USERS.var(ddof=1) / 4
    expected = {"users": users, "draw": draws.var(ddof=1), "weights": weights.var(ddof=1), "draw x weights": 0.0}
    assert variances == pytest.approx(expected, abs=1e-12)
    for one in found.values():
        assert one.low <= one.variance**0.5 + 1e-12
        assert one.variance**0.5 <= one.high + 1e-12


def test_too_few_users_leave_the_seeds_alone() -> None:
    found = of_values(np.array([[0.5, 0.6], [0.7, 0.6]]), np.full(4, np.nan))
    assert list(found) == ["draw", "weights", "draw x weights"]
    # By hand: means of draws 0.55 and 0.65, of weights 0.6 and 0.6; every run is 0.05 off their sum.
    assert found["draw x weights"].variance == pytest.approx(4 * 0.05**2)
    assert found["draw"].variance == pytest.approx(max(0.0, 0.05**2 * 2 - 4 * 0.05**2 / 2))
    assert found["weights"].variance == 0.0


@pytest.mark.parametrize("sds", [(0.03, 0.01, 0.015), (0.005, 0.03, 0.01), (0.01, 0.01, 0.03)])
def test_they_are_right_on_average_and_their_intervals_hold(sds: tuple[float, float, float]) -> None:
    rng = np.random.default_rng(0)
    names, n_worlds, n = ("draw", "weights", "draw x weights"), 600, 10
    variances, held = np.zeros((n_worlds, 3)), np.zeros(3)
    for world in range(n_worlds):
        draw, weights, both = (rng.normal(0, sd, size) for sd, size in zip(sds, ((n, 1), (1, n), (n, n)), strict=True))
        found = of_values(0.6 + draw + weights + both)
        for place, (name, sd) in enumerate(zip(names, sds, strict=True)):
            variances[world, place] = found[name].variance
            held[place] += found[name].low <= sd <= found[name].high
    errors = variances.std(axis=0) / n_worlds**0.5
    # Those that are cut at 0 are a little too large on average.
    assert (np.abs(variances.mean(axis=0) - np.square(sds)) < 4 * errors + 0.1 * np.square(sds)).all()
    assert (np.abs(held / n_worlds - 0.95) < 4 * (0.95 * 0.05 / n_worlds) ** 0.5).all(), held
