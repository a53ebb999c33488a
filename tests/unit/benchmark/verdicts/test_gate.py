"""The regression gate: what it says of each kind of change. How often it is wrong is tested in `tests/harden`."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t as student

from benchmark.errors import MissingArtifactError
from benchmark.schema import Cell
from benchmark.statistics.estimates import Estimates, Known
from benchmark.statistics.influence import Measured
from benchmark.statistics.results import MetricRow
from benchmark.verdicts.compared_run import Run
from benchmark.verdicts.gate import Finding, compare, differences

TALLREC = Cell("tuned", "tallrec-movie", "movie", "movie", 64, 0)
OTHER = replace(TALLREC, method="rt-movie")
RULE = Cell("control", "liked_share", "movie", "movie", 0, 0)
N_USERS = 16
PATTERN = np.array([1.0, -1.0] * (N_USERS // 2))

Values = Mapping[Cell, Mapping[int, float]]


def run_of(values: Values, *, noise: float = 0.0, test_rows: str = "a", with_influence: bool = True) -> Run:
    """A run; its influences are the value of the group plus and minus `noise`, alternately."""
    rows = [
        MetricRow(replace(group, seed=seed), "ok", value, value - 0.06, value + 0.06, {"uauc": None}, N_USERS, 1000)
        for group, seeds in values.items()
        for seed, value in seeds.items()
    ]
    if not with_influence:
        return Run(rows, Estimates({}), {})
    known = {
        (group, "auc"): Known(
            Measured(float(np.mean(list(seeds.values()))), np.mean(list(seeds.values())) + noise * PATTERN, 9.4),
            seeds,
            group.family != "control",
        )
        for group, seeds in values.items()
    }
    return Run(rows, Estimates(known), {"movie": test_rows})


def verdicts(before: Run, after: Run) -> list[str]:
    return [found.verdict for found in compare(before, after, alpha=0.05)]


def seeds(*values: float, first: int = 0) -> dict[int, float]:
    return dict(enumerate(values, first))


def test_what_is_the_same_to_the_last_digit_needs_no_test() -> None:
    run = run_of({TALLREC: seeds(0.7, 0.72)})
    assert compare(run, run, alpha=0.05) == [Finding("tallrec-movie movie-movie k64", "auc", "same", 2, 0.71, 0.71)]
    assert verdicts(run, run_of({TALLREC: seeds(0.7, 0.72, 0.1)})) == ["same"]  # one more seed is not compared


def test_at_the_same_seeds_a_change_within_noise_is_told() -> None:
    before = run_of({TALLREC: seeds(0.7, 0.72)})
    (found,) = compare(before, run_of({TALLREC: seeds(0.7, 0.72 - 1e-9)}), alpha=0.05)
    assert (found.verdict, found.interval) == ("changed", "paired")
    assert found.tolerance is not None
    assert found.tolerance > 1e-9
    for value, verdict in ((0.3, "regression"), (0.95, "better")):
        assert verdicts(before, run_of({TALLREC: seeds(value, value + 0.02)}, noise=0.05)) == [verdict]


def test_the_tolerance_at_the_same_seeds_by_hand() -> None:
    """Changes of -0.02 and -0.04, users' influences +-0.03 apart, one test."""
    over_users, over_seeds = 0.03**2 / (N_USERS - 1), 0.01**2 * 2 / 2
    dof = (over_users + over_seeds) ** 2 / (over_users**2 / 8.4 + over_seeds**2 / 1)
    before, after = run_of({TALLREC: seeds(0.7, 0.72)}), run_of({TALLREC: seeds(0.68, 0.68)}, noise=0.03)
    (found,) = compare(before, after, alpha=0.05)
    assert found.tolerance == pytest.approx(student.ppf(0.95, dof) * (over_users + over_seeds) ** 0.5)


def test_the_tolerance_at_other_seeds_by_hand() -> None:
    """Seeds with a variance of 0.0002 and 1 degree of freedom against five with none and 4."""
    before, after = run_of({TALLREC: seeds(0.7, 0.72)}), run_of({TALLREC: seeds(*5 * [0.7], first=10)})
    (found,) = compare(before, after, alpha=0.05)
    variance = 0.0002 / 5 * (1 / 2 + 1 / 5)
    assert found.tolerance == pytest.approx(student.ppf(0.95, 5) * variance**0.5)
    assert found.verdict == "within noise"


def test_a_method_has_the_largest_scatter_of_its_pool() -> None:
    values = {replace(TALLREC, method=name): seeds(0.7, 0.7) for name in "abcd"}
    lower = {group: seeds(0.66, 0.66) for group in values}
    wild = dict(zip(values, ((0.66, 0.66), (0.8, 0.6), (0.5, 0.8), (0.6, 0.9)), strict=True))
    alone, among = (
        compare(run_of(values), run_of({group: seeds(*pair) for group, pair in after.items()}, noise=0.001), alpha=0.05)
        for after in ({group: tuple(pair.values()) for group, pair in lower.items()}, wild)
    )
    assert alone[0].verdict == "regression"
    assert among[0].verdict == "changed"


def test_a_rule_has_no_noise_of_seeds() -> None:
    before = run_of({RULE: seeds(0.7), replace(RULE, method="random"): seeds(0.5, 0.6)})
    lower = run_of({RULE: seeds(0.69), replace(RULE, method="random"): seeds(0.6, 0.5)})
    found = {row.name.split()[0]: row for row in compare(before, lower, alpha=0.05)}
    assert found["liked_share"].verdict == "regression"
    assert found["liked_share"].tolerance == 0


def test_a_rule_is_the_same_whatever_seed_its_row_names() -> None:
    before, after = run_of({RULE: seeds(0.7)}), run_of({RULE: seeds(0.7, first=5)})
    assert verdicts(before, after) == ["same"]
    assert verdicts(before, run_of({RULE: seeds(0.69, first=5)})) == ["regression"]


def test_one_seed_is_compared_with_itself_and_says_nothing_of_another() -> None:
    assert verdicts(run_of({TALLREC: seeds(0.7)}), run_of({TALLREC: seeds(0.3)})) == ["regression"]
    (found,) = compare(run_of({TALLREC: seeds(0.7)}), run_of({TALLREC: seeds(0.3, first=7)}), alpha=0.05)
    assert (found.verdict, found.reason) == ("not comparable", "other seeds, of which one run has one alone")
    # Others of its pool that have several tell.
    more = {OTHER: seeds(0.7, 0.71)}, {OTHER: seeds(0.7, 0.72, first=7)}
    old, new = (run_of({TALLREC: own} | one) for own, one in zip((seeds(0.7), seeds(0.3, first=7)), more, strict=True))
    assert verdicts(old, new)[0] == "regression"


def test_a_small_loss_of_a_whole_family_is_seen_in_its_mean() -> None:
    rng = np.random.default_rng(0)
    methods = [replace(TALLREC, method=f"m{number}") for number in range(20)]
    before = {group: seeds(*rng.normal(0.7, 0.01, 3)) for group in methods}
    lower = {
        group: {seed: value - 0.015 + rng.normal(0, 0.01) for seed, value in values.items()}
        for group, values in before.items()
    }
    found = compare(run_of(before), run_of(lower), alpha=0.05)
    assert {row.verdict for row in found[:-1]} == {"changed"}
    assert (found[-1].name, found[-1].verdict) == ("mean of 20 of tuned on movie", "regression")


def test_more_comparisons_make_each_tolerance_wider() -> None:
    groups = [replace(TALLREC, n_shots=n_shots) for n_shots in range(50)]
    before, after = (run_of({group: seeds(0.7, 0.7 + step) for group in groups}) for step in (0, 0.01))
    alone = compare(run_of({TALLREC: seeds(0.7, 0.7)}), run_of({TALLREC: seeds(0.7, 0.71)}), alpha=0.05)[0].tolerance
    among = compare(before, after, alpha=0.05)[0].tolerance
    assert alone is not None
    assert among is not None
    assert among > 1.2 * alone


def test_users_are_independent_without_influences_or_on_other_rows() -> None:
    before, after = {TALLREC: seeds(0.7, 0.72)}, run_of({TALLREC: seeds(0.7, 0.71)}, noise=0.1)
    paired, other_rows, without = (
        compare(reference, after, alpha=0.05)[0]
        for reference in (
            run_of(before, noise=0.1),
            run_of(before, noise=0.1, test_rows="b"),
            run_of(before, with_influence=False),
        )
    )
    assert [found.interval for found in (paired, other_rows, without)] == ["paired", "independent", "independent"]
    assert paired.tolerance is not None
    assert other_rows.tolerance is not None
    assert other_rows.tolerance > paired.tolerance
    assert without.tolerance == pytest.approx(other_rows.tolerance)  # as uncertain as this run


def test_uauc_is_checked_too() -> None:
    def run(uauc: float | None) -> Run:
        rows = [MetricRow(TALLREC, "ok", 0.7, None, None, {"uauc": uauc}, N_USERS, 1000)]
        value = 0.0 if uauc is None else uauc
        known = {(TALLREC, "uauc"): Known(Measured(value, value + 0.1 * PATTERN, 16.0), {0: value}, True)}
        return Run(rows, Estimates(known), {"movie": "a"})

    found = compare(run(0.7), run(0.5), alpha=0.05)
    assert [(row.metric, row.verdict) for row in found] == [("auc", "same"), ("uauc", "regression")]
    assert verdicts(run(0.7), run(None)) == ["same", "missing"]
    assert verdicts(run(None), run(0.7)) == ["same"]


def test_what_is_missing_fails_and_what_is_new_does_not() -> None:
    both, one = run_of({TALLREC: seeds(0.7, 0.72)}), run_of({TALLREC: seeds(0.7)})
    nothing = run_of({})
    lost = replace(one, rows=[*one.rows, MetricRow(replace(TALLREC, seed=1), "missing")])
    for run in (nothing, one, lost, replace(nothing, rows=[MetricRow(TALLREC, "missing")])):
        assert verdicts(both, run) == ["missing"]
    assert compare(both, lost, alpha=0.05)[0].reason == "1 of 2 seeds"
    other = run_of({TALLREC: seeds(0.7, first=5)})
    assert verdicts(one, replace(other, rows=[*other.rows, MetricRow(replace(TALLREC, seed=6), "missing")])) == [
        "missing"
    ]
    assert verdicts(one, lost) == ["same"]  # the seed that is missing was not in the reference
    assert verdicts(replace(nothing, rows=[MetricRow(TALLREC, "missing")]), both) == ["new"]
    assert verdicts(nothing, both) == ["new"]


def test_too_few_users_are_not_comparable() -> None:
    few = Measured(0.6, np.full(1, np.nan), 0.0)
    after = run_of({TALLREC: seeds(0.6, 0.61)})
    after = replace(after, estimates=Estimates({(TALLREC, "auc"): Known(few, {0: 0.6, 1: 0.61}, True)}))
    (found,) = compare(run_of({TALLREC: seeds(0.7, 0.72)}, with_influence=False), after, alpha=0.05)
    assert (found.verdict, found.reason) == ("not comparable", "too few users")


def test_two_runs_are_compared_up_and_down_whichever_has_more_seeds() -> None:
    more, fewer = run_of({TALLREC: seeds(0.7, 0.72, 0.9)}, noise=0.03), run_of({TALLREC: seeds(0.6, 0.61)})
    (there,), (back,) = (differences(*runs, confidence=0.95) for runs in ((more, fewer), (fewer, more)))
    assert (there.before, there.after) == (back.after, back.before) == (pytest.approx(0.71), pytest.approx(0.605))
    assert (there.verdict, back.verdict) == ("regression", "better")
    assert there.tolerance == back.tolerance
    one_sided = compare(fewer, more, alpha=0.05)[0].tolerance
    assert there.tolerance is not None
    assert one_sided is not None
    assert there.tolerance > one_sided


def test_two_runs_need_the_influences_of_one() -> None:
    known = run_of({TALLREC: seeds(0.7, 0.72)}, noise=0.03)
    bare = run_of({TALLREC: seeds(0.7, 0.71)}, with_influence=False)
    found = [differences(*runs, confidence=0.95)[0] for runs in ((known, bare), (bare, known))]
    assert [row.interval for row in found] == ["independent", "independent"]
    assert found[0].tolerance == found[1].tolerance
    with pytest.raises(MissingArtifactError, match=r"no influence\.parquet beside either metrics\.csv"):
        differences(bare, bare, confidence=0.95)
