"""The regression gate, how often: false alarms where the seeds alone changed, and what it sees of a planted loss.

Bounds are those promised, with the tolerance of a binomial count: the default run tries 12 to 40 pairs of runs,
`make harden` hundreds. docs/decisions/016-what-the-gate-tests.md has what was measured.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom, norm
from simulated_users import LIKES, ROWS

from benchmark.schema import Cell
from benchmark.statistics.auc import Floats
from benchmark.statistics.estimates import Estimates, Known, known_of
from benchmark.statistics.influence import Measured
from benchmark.statistics.labels import TestRows
from benchmark.statistics.metrics import auc, uauc
from benchmark.statistics.results import MetricRow
from benchmark.verdicts.compared_run import Run
from benchmark.verdicts.gate import FAILURES, compare

ALPHA = 0.05
BOOK_ROWS = 2427
"""Of as many users."""
USER_SD, COMMON_SHARE = 0.5, 0.7
"""Of scores whose rows have unit noise: standard deviation over users, share of the noise that all seeds have."""

Scores = dict[Cell, Floats]


def is_red(before: Run, after: Run) -> bool:
    return any(found.verdict in FAILURES for found in compare(before, after, alpha=ALPHA))


def rarely(red: int, n_runs: int) -> bool:
    """Whether a rate of 5 % is not contradicted."""
    return red <= float(binom.ppf(0.999, n_runs, ALPHA))


def often(seen: int, n_runs: int, power: float) -> bool:
    """Whether a rate of `power` is not contradicted."""
    return seen >= float(binom.ppf(0.001, n_runs, power))


# Mere changes of seed. Users are left out: their noise only widens the tolerance.

METHODS = [f"method{number}" for number in range(6)]
GRID = [
    Cell("baseline", method, domain, domain, n_shots, 0)
    for domain in ("movie", "book")
    for n_shots in (16, 64)
    for method in METHODS
]


def seeded(rng: np.random.Generator, n_seeds: int, shared: float, *, only_some_fail: bool) -> dict[Cell, Floats]:
    """The AUC of each seed.

    At K = 16 as measured on the real data: 85 % of the draws near 0.70, the others at or below chance.

    Args:
        rng: of the draws and all else.
        n_seeds: of each method.
        shared: how much of the scatter the methods have in common, since they are trained on the same draws, in [0, 1].
        only_some_fail: every second method never does.
    """
    found: dict[Cell, Floats] = {}
    draws: dict[tuple[str, int], tuple[Floats, Floats, Floats]] = {}
    for group in GRID:
        key = group.test_domain, group.n_shots
        if key not in draws:
            draws[key] = rng.random(n_seeds), rng.uniform(0.4, 0.5, n_seeds), rng.normal(size=n_seeds)
        is_shared = rng.random(n_seeds) < shared
        common, own = draws[key], (rng.random(n_seeds), rng.uniform(0.4, 0.5, n_seeds))
        luck, low = (np.where(is_shared, one, other) for one, other in zip(common, own, strict=False))
        values = 0.7 + 0.025 * (np.sqrt(shared) * common[2] + np.sqrt(1 - shared) * rng.normal(size=n_seeds))
        may_fail = group.n_shots == 16 and not (only_some_fail and METHODS.index(group.method) % 2)
        found[group] = np.where(luck < 0.15, low + rng.normal(0, 0.01, n_seeds), values) if may_fail else values
    return found


def run_of_values(values: Mapping[Cell, Floats], first_seed: int, rng: np.random.Generator) -> Run:
    rows: list[MetricRow] = []
    known: dict[tuple[Cell, str], Known] = {}
    for group, aucs in values.items():
        metrics = {"auc": aucs}
        if group.test_domain == "movie":
            metrics["uauc"] = aucs + rng.normal(0, 0.003, len(aucs))
        for place, value in enumerate(aucs.tolist()):
            others = {"uauc": float(metrics["uauc"][place]) if "uauc" in metrics else None}
            cell = replace(group, seed=first_seed + place)
            rows.append(MetricRow(cell, "ok", value, None, None, others, 16, 1000))
        for metric, found in metrics.items():
            measured = Measured(float(found.mean()), np.zeros(16), 9.4)
            known[group, metric] = Known(measured, dict(enumerate(found.tolist(), first_seed)), True)
    return Run(rows, Estimates(known), {"movie": "a", "book": "b"})


@pytest.mark.parametrize("only_some_fail", [False, True])
@pytest.mark.parametrize("first_seed", [0, 100], ids=["other draws of the same seeds", "other seeds"])
@pytest.mark.parametrize("n_seeds", [(2, 2), (5, 5), (20, 20), (2, 20)], ids=str)
def test_a_mere_change_of_seeds_turns_it_red_in_at_most_5_percent(
    inputs: Callable[..., int], n_seeds: tuple[int, int], first_seed: int, *, only_some_fail: bool
) -> None:
    n_runs = inputs(400, few=12)
    for shared in (0.5,) if n_runs < 400 else (0.0, 0.5, 1.0):
        red = 0
        for number in range(n_runs):
            rng = np.random.default_rng([number, *n_seeds])
            before, after = (seeded(rng, n, shared, only_some_fail=only_some_fail) for n in n_seeds)
            red += is_red(run_of_values(before, 0, rng), run_of_values(after, first_seed, rng))
        print(f"seeds {n_seeds}, first {first_seed}, shared {shared}, some {only_some_fail}: red {red} of {n_runs}")
        assert rarely(red, n_runs), (shared, red)


# Planted losses, and another machine: scores of rows, measured as `evaluate` does.


def rows_of_test_set(domain: str, rng: np.random.Generator) -> TestRows:
    """Of movie as unequal as the real ones; of book one row a user."""
    if domain == "movie":
        users, rates = np.repeat(np.arange(len(ROWS)), ROWS), np.repeat(np.array(LIKES) / np.array(ROWS), ROWS)
    else:
        users, rates = np.arange(BOOK_ROWS), np.full(BOOK_ROWS, 0.6)
    liked = rng.random(len(users)) < rates
    names = [f"{user:04d}" for user in users]
    return TestRows(tuple(map(str, range(len(users)))), tuple(names), tuple(liked.tolist()), (0.0,) * len(users))


def scored(rows: TestRows, groups: Sequence[Cell], n_seeds: int, distance: float, rng: np.random.Generator) -> Scores:
    """Scores of every cell: what it knows of the label, of the user, noise that all its seeds have, and its own."""
    found: Scores = {}
    n_rows = len(rows.liked)
    for group in groups:
        of_users = USER_SD * rng.normal(size=max(rows.user_numbers) + 1)[rows.user_numbers]
        common = distance * rows.is_liked + of_users + np.sqrt(COMMON_SHARE) * rng.normal(size=n_rows)
        for seed in range(n_seeds):
            found[replace(group, seed=seed)] = common + np.sqrt(1 - COMMON_SHARE) * rng.normal(size=n_rows)
    return found


def noisier(scores: Scores, variance: float, rng: np.random.Generator) -> Scores:
    """The same with noise in each row of each cell."""
    return {cell: values + np.sqrt(variance) * rng.normal(size=len(values)) for cell, values in scores.items()}


def distance_of(target: float, wobble: float) -> float:
    """Of the classes, for this AUC."""
    return float(norm.ppf(target) * np.sqrt(2 * (1 + USER_SD**2 + wobble)))


def noise_of(loss: float, target: float, wobble: float) -> float:
    """Variance of the noise in each row that costs this much AUC."""
    distance = distance_of(target, wobble)
    return float(distance**2 / (2 * norm.ppf(target - loss) ** 2) - 1 - USER_SD**2 - wobble)


def run_of_scores(scores: Scores, rows: TestRows, domain: str) -> Run:
    found = {cell: {"auc": auc(rows, values), "uauc": uauc(rows, values)} for cell, values in scores.items()}
    lines: list[MetricRow] = []
    for cell, metrics in found.items():
        values = {name: None if one is None else one.value for name, one in metrics.items()}
        lines.append(MetricRow(cell, "ok", values["auc"], None, None, {"uauc": values["uauc"]}, 16, len(rows.liked)))
    return Run(lines, Estimates(known_of(found, list(found))), {domain: "a"})


@pytest.mark.parametrize(("domain", "target", "loss"), [("movie", 0.71, 0.08), ("book", 0.66, 0.04)])
def test_a_loss_of_one_method_is_seen_in_80_percent(
    inputs: Callable[..., int], domain: str, target: float, loss: float
) -> None:
    n_runs, seen = inputs(500), 0
    for number in range(n_runs):
        rng = np.random.default_rng([number, 7])
        rows = rows_of_test_set(domain, rng)
        group = Cell("tuned", "tallrec", domain, domain, 64, 0)
        before = scored(rows, [group], 2, distance_of(target, 0), rng)
        after = noisier(before, noise_of(loss, target, 0), rng)
        seen += is_red(run_of_scores(before, rows, domain), run_of_scores(after, rows, domain))
    print(f"{domain}, {loss}: seen {seen} of {n_runs}")
    assert often(seen, n_runs, 0.8), seen


WOBBLE = 0.02
"""Variance of what another machine adds to the scores of each row: an AUC moves by about a third of a point."""


@pytest.mark.parametrize(("loss", "wobble"), [(0.05, 0.0), (0.05, WOBBLE), (0.0, WOBBLE)])
def test_a_loss_of_a_family_is_seen_in_90_percent_on_another_machine_too(
    inputs: Callable[..., int], loss: float, wobble: float
) -> None:
    n_runs, red = inputs(200, few=20), 0
    groups = [Cell("baseline", f"method{i}", "movie", "movie", n_shots, 0) for i in range(4) for n_shots in (16, 64)]
    for number in range(n_runs):
        rng = np.random.default_rng([number, 9])
        rows = rows_of_test_set("movie", rng)
        scores = scored(rows, groups, 2, distance_of(0.71, wobble), rng)
        before, after = (noisier(scores, wobble, rng) for _ in range(2))
        after = noisier(after, noise_of(loss, 0.71, wobble), rng) if loss else after
        red += is_red(run_of_scores(before, rows, "movie"), run_of_scores(after, rows, "movie"))
    print(f"loss {loss}, wobble {wobble}: red {red} of {n_runs}")
    assert often(red, n_runs, 0.9) if loss else rarely(red, n_runs), red
