"""Estimates of made-up methods, whose noise over users is known and shared with no other method."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from scipy.linalg import hadamard

from benchmark.schema import Cell, group_of
from benchmark.statistics.estimates import Estimates, Known
from benchmark.statistics.influence import Measured

N_USERS = 64
"""A power of 2, for patterns of +1 and -1 that are uncorrelated with each other."""

Aucs = Mapping[Cell, Sequence[float]]


@pytest.fixture
def estimates_of() -> Callable[..., Estimates]:
    """Makes estimates from the values of the seeds of groups.

    Args of what it returns:
        aucs: by group, the value of each seed.
        error: standard error over users, of every method or by group.
        n_effective: users, as the degrees of freedom count them.
        metrics: that have these values.
        alike: groups whose users' noise is the same; that of all others is their own.
    """

    def make(
        aucs: Aucs,
        error: float | Mapping[Cell, float],
        n_effective: float = 16.0,
        metrics: Sequence[str] = ("auc", "uauc"),
        alike: Sequence[Cell] = (),
    ) -> Estimates:
        known: dict[Any, Known] = {}
        patterns = hadamard(N_USERS)
        for number, (cell, seeds) in enumerate(aucs.items()):
            group = group_of(cell)
            noise = error if isinstance(error, float) else error[group]
            pattern = patterns[1 if group in alike else number + 2]
            influence = np.mean(seeds) + noise * np.sqrt(N_USERS - 1) * pattern
            measured = Measured(float(np.mean(seeds)), influence, n_effective)
            is_seeded = not (group.family in ("control", "icl") and group.n_shots == 0)
            for metric in metrics:
                known[group, metric] = Known(measured, dict(enumerate(seeds)), is_seeded)
        return Estimates(known)

    return make
