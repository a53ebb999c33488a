"""A step of one shape is simulated once for all tests here; `tests/unit/tallrec/cost` tests the simulation itself."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest


@pytest.fixture(scope="package", autouse=True)
def steps_are_kept() -> Iterator[None]:
    from tallrec.cost import simulation

    kept: dict[str, Any] = {}

    def keeping(simulate: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **shape: Any) -> Any:
            key = f"{simulate.__name__} {arguments} {shape}"  # an architecture as all that its file would hold
            if key not in kept:
                kept[key] = simulate(*arguments, **shape)
            return kept[key]

        return step

    with pytest.MonkeyPatch.context() as monkeypatch:
        for simulate in (simulation.simulate_tuning, simulation.simulate_scoring):
            monkeypatch.setattr(simulation, simulate.__name__, keeping(simulate))
        yield
