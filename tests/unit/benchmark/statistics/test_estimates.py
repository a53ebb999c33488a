"""What is known of methods, of their differences, and of sums: value, interval, p-value, correction."""

import itertools
from dataclasses import replace

import numpy as np
import plain_statistics as plain
import pytest
from scipy import stats

from benchmark.schema import Cell
from benchmark.statistics.estimates import Estimates, Known, known_of
from benchmark.statistics.influence import Measured, auc_of_pairs
from benchmark.statistics.uncertainty import Spread, joined, margin

LEFT, RIGHT, THIRD = (Cell("baseline", name, "movie", "movie", 16, 0) for name in ("left", "right", "third"))
RULE = Cell("control", "liked_share", "movie", "movie", 0, 0)
N_USERS = 16


def known(value: float, influence: list[float] | np.ndarray, *seeds: float, n_effective: float = 9.0) -> Known:
    """A method that has these seeds; none: it has no seed."""
    of_seeds = dict(enumerate(seeds or (value,)))
    return Known(Measured(value, np.asarray(influence, dtype=float), n_effective), of_seeds, bool(seeds))


def of(methods: dict[Cell, Known]) -> Estimates:
    return Estimates({(group, "auc"): one for group, one in methods.items()})


def noise(seed: int, scale: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, scale, N_USERS)


def test_a_difference_of_real_scores_is_that_of_the_witness() -> None:
    rng = np.random.default_rng(0)
    users = rng.permutation(np.repeat(np.arange(6), [3, 5, 9, 14, 4, 7]))
    liked = rng.random(len(users)) < 0.5
    scores = {RULE: rng.integers(0, 5, len(users)) / 4, LEFT: rng.normal(size=len(users)) + liked}
    zeros = np.zeros_like(users)
    measured = {cell: {"auc": auc_of_pairs(liked, values, users, zeros)} for cell, values in scores.items()}
    found = Estimates(known_of(measured, [])).difference(LEFT, RULE)
    rows = {
        cell: list(zip(liked.tolist(), values.tolist(), users.tolist(), zeros.tolist(), strict=True))
        for cell, values in scores.items()
    }
    ours, theirs = (plain.pseudo_values(rows[cell]) for cell in (LEFT, RULE))
    assert found is not None
    assert found.spread is not None
    assert ours is not None
    assert theirs is not None
    assert found.value == pytest.approx(plain.auc(rows[LEFT]) - plain.auc(rows[RULE]), abs=1e-12)
    error = plain.standard_error([one - other for one, other in zip(ours, theirs, strict=True)])
    assert found.spread.standard_error == pytest.approx(error, rel=1e-6)  # the file has 32 bits
    assert found.spread.dof == pytest.approx(plain.effective([3, 5, 9, 14, 4, 7]) - 1, abs=1e-9)
    low, high = found.interval(0.95) or (0.0, 0.0)
    half = stats.t.ppf(0.975, found.spread.dof) * error
    assert (low, high) == pytest.approx((found.value - half, found.value + half), rel=1e-6)
    assert found.p_value == pytest.approx(2 * stats.t.sf(abs(found.value) / error, found.spread.dof), rel=1e-5)


def test_a_method_differs_from_itself_and_from_its_equal_by_nothing() -> None:
    same = noise(0)
    # The mean of three equal numbers is another number, in the last bit.
    means = np.mean([0.7, 0.7, 0.7]), 0.7
    found = of({LEFT: known(float(means[0]), same), RULE: known(means[1], same)}).difference(LEFT, RULE)
    assert found is not None
    assert (found.value, found.spread, found.p_value) == (0.0, Spread(0.0, 8.0), 1.0)
    nearly = of({LEFT: known(0.7 + 1e-16, same), RULE: known(0.7, same)}).difference(LEFT, RULE)
    assert nearly is not None
    assert nearly.p_value == 1.0


def test_what_users_have_in_common_cancels() -> None:
    common = noise(1)
    one, other = (known(0.6, common + noise(seed, 0.1)) for seed in (2, 3))
    estimates = of({LEFT: one, RULE: other})
    alone, paired = estimates.estimate(LEFT), estimates.difference(LEFT, RULE)
    assert alone is not None
    assert paired is not None
    assert (paired.margin(0.95) or 1) < 0.5 * (alone.margin(0.95) or 0)


def test_over_users_and_seeds_together_by_hand() -> None:
    seeds = (0.5, 0.6, 0.7)
    influence = noise(4)
    found = of({LEFT: known(0.6, influence, *seeds)}).estimate(LEFT)
    users, over = Spread(float(influence.var(ddof=1)) / N_USERS, 8.0), Spread(0.01 / 3, 2)
    assert found is not None
    assert found.spread is not None
    together = joined([users, over])
    assert (found.spread.variance, found.spread.dof) == pytest.approx((together.variance, together.dof))
    assert found.margin(0.95) == pytest.approx(margin(together, 0.95))


def test_two_seeds_that_agree_take_the_scatter_of_their_pool() -> None:
    flat = np.zeros(N_USERS)
    methods = {LEFT: known(0.6, flat, 0.6, 0.6), RIGHT: known(0.5, flat, 0.4, 0.6), THIRD: known(0.5, flat, 0.5, 0.5)}
    pooled = 0.02 / 3
    left, right = (of(methods).estimate(group) for group in (LEFT, RIGHT))
    assert left is not None
    assert right is not None
    assert left.spread == Spread(pytest.approx(pooled / 2), pytest.approx(3))
    assert right.spread == Spread(pytest.approx(0.01), pytest.approx(1))  # its own is larger


def test_a_pool_is_of_one_family_test_set_k_and_metric() -> None:
    flat, wild = np.zeros(N_USERS), (0.2, 0.8)
    others = [
        replace(LEFT, n_shots=64),
        replace(LEFT, test_domain="book"),
        replace(LEFT, family="tuned"),
    ]
    metrics = {(LEFT, "auc"): known(0.6, flat, 0.6, 0.6), (LEFT, "uauc"): known(0.5, flat, *wild)}
    estimates = Estimates({**metrics, **{(group, "auc"): known(0.5, flat, *wild) for group in others}})
    found = estimates.estimate(LEFT)
    assert found is not None
    assert found.spread is not None
    assert found.spread.variance == 0


def test_a_pool_that_serves_both_sides_is_known_no_better_for_it() -> None:
    flat = np.zeros(N_USERS)
    third = known(0.5, flat, 0.2, 0.8)
    methods = {LEFT: known(0.6, flat, 0.6, 0.6), RIGHT: known(0.5, flat, 0.5, 0.5), THIRD: third}
    found = of(methods).difference(LEFT, RIGHT)
    assert found is not None
    assert found.spread is not None
    assert found.spread.dof == pytest.approx(3)
    assert found.spread.variance == pytest.approx(2 * 0.18 / 3 / 2)


def test_one_seed_of_a_seeded_method_has_no_margin_and_takes_it_from_every_sum() -> None:
    methods = {LEFT: known(0.6, noise(0), 0.6), RIGHT: known(0.5, noise(1), 0.4, 0.6), RULE: known(0.7, noise(2))}
    estimates = of(methods)
    for found in (estimates.estimate(LEFT), estimates.difference(LEFT, RULE), estimates.difference(RIGHT, LEFT)):
        assert found is not None
        assert (found.spread, found.why_unknown) == (None, "one seed")
        assert (found.margin(0.95), found.interval(0.95), found.p_value) == (None, None, None)
    for found in (estimates.estimate(RULE), estimates.difference(RIGHT, RULE)):
        assert found is not None
        assert found.spread is not None


def test_too_few_users_are_told_apart_from_one_seed() -> None:
    found = of({RULE: known(0.7, np.full(N_USERS, np.nan), n_effective=0.0)}).estimate(RULE)
    assert found is not None
    assert (found.value, found.spread, found.why_unknown) == (0.7, None, "too few users")


def test_what_was_not_run_or_is_not_defined_has_no_estimate() -> None:
    estimates = of({RULE: known(0.7, noise(0))})
    assert estimates.difference(RULE, LEFT) is None
    assert estimates.estimate(RULE, "uauc") is None


def test_sums_over_test_sets_add_the_noise_of_both_and_factors_count_squared() -> None:
    book = replace(RULE, test_domain="book")
    movie_noise, book_noise = noise(0), np.random.default_rng(5).normal(size=40)
    estimates = of({RULE: known(0.7, movie_noise), book: known(0.6, book_noise, n_effective=40.0)})
    found = estimates.combined({RULE: 0.5, book: -2.0})
    assert found is not None
    assert found.spread is not None
    assert found.value == pytest.approx(0.35 - 1.2)
    parts = [Spread(0.25 * movie_noise.var(ddof=1) / 16, 8), Spread(4 * book_noise.var(ddof=1) / 40, 39)]
    together = joined([Spread(float(one.variance), one.dof) for one in parts])
    assert (found.spread.variance, found.spread.dof) == pytest.approx((together.variance, together.dof))


AT = {k: replace(LEFT, n_shots=k) for k in (16, 64, 256)}
BESIDE = {k: replace(RIGHT, n_shots=k) for k in (16, 64, 256)}


def test_draws_that_are_nested_over_k_do_not_average_out() -> None:
    """A seed whose draw is good at every K leaves a mean over K as uncertain as one K; else it is a third of that."""
    good, bad = (0.60, 0.64, 0.50, 0.58), (0.58, 0.50, 0.64, 0.60)
    flat = [0.58] * N_USERS
    together = of({group: known(0.58, flat, *good) for group in AT.values()})
    apart = of({group: known(0.58, flat, *seeds) for group, seeds in zip(AT.values(), (good, bad, good), strict=True)})
    mean = dict.fromkeys(AT.values(), 1 / 3)
    variance = float(np.var(good, ddof=1)) / 4
    found, other = together.combined(mean), apart.combined(mean)
    assert found is not None
    assert other is not None
    assert found.spread == Spread(pytest.approx(variance), pytest.approx(3.0))
    assert other.spread is not None
    assert other.spread.variance == pytest.approx(variance / 3)
    # A difference over K, whose draws cancel, is as uncertain as without; so is one of two methods at one K.
    ends = together.difference(AT[256], AT[16])
    assert ends is not None
    assert ends.spread is not None
    assert ends.spread.variance == pytest.approx(2 * variance)


def test_seeds_are_paired_by_their_numbers_whatever_their_order() -> None:
    """A grid of seeds [2, 0, 1] beside one of [0, 1, 2], as after more seeds at one K."""
    wider = replace(LEFT, n_shots=64)
    draws = [0.6, 0.7, 0.8]
    methods = {LEFT: known(0.7, [0.6, 0.7, 0.8], *draws), wider: known(0.7, [0.6, 0.7, 0.8], *draws)}
    half = {LEFT: 0.5, wider: 0.5}
    expected = of(methods).combined(half)
    other_order = {number: draws[number] for number in (2, 0, 1)}
    found = of(methods | {wider: replace(methods[wider], seeds=other_order)}).combined(half)
    assert expected is not None
    assert expected.parts is not None
    assert expected.parts[1].variance == pytest.approx(0.1**2 / 3)  # of seeds that move together: as of one K
    assert found == expected
    # Other draws have nothing in common.
    others = dict(enumerate(draws, 3))
    apart = of(methods | {wider: replace(methods[wider], seeds=others)}).combined(half)
    assert apart is not None
    assert apart.parts is not None
    assert apart.parts[1].variance == pytest.approx(0.1**2 / 3 / 2)


def test_a_mean_over_k_holds_as_often_as_it_says() -> None:
    """Correlations of 0.3 were measured between Ks; as if there were none, the error rate is 0.09 of 0.05."""
    rng, n_runs, n_beyond = np.random.default_rng(0), 1200, 0
    for _ in range(n_runs):
        of_seed = np.sqrt(0.3) * rng.normal(size=(2, 1, 5)) + np.sqrt(0.7) * rng.normal(size=(2, 3, 5))
        values = 0.5 + 0.02 * of_seed
        methods = {
            group: known(float(seeds.mean()), [0.5] * N_USERS, *seeds)
            for side, of_side in zip((AT, BESIDE), values, strict=True)
            for group, seeds in zip(side.values(), of_side, strict=True)
        }
        found = of(methods).combined({g: (1 if g in AT.values() else -1) / 3 for g in methods})
        assert found is not None
        n_beyond += abs(found.value) > (found.margin(0.95) or 0.0)
    assert n_beyond / n_runs < 0.065


def test_the_covariance_of_comparisons_has_their_squared_errors_on_its_diagonal() -> None:
    methods = {
        LEFT: known(0.6, noise(0), 0.5, 0.7),
        RIGHT: known(0.5, noise(1), 0.45, 0.55),
        RULE: known(0.7, noise(2)),
        replace(RULE, test_domain="book"): known(0.7, noise(3)),
    }
    estimates = of(methods)
    terms = [({one: 1.0, other: -1.0}, "auc") for one, other in itertools.combinations(methods, 2)]
    covariance = estimates._covariance(terms)
    for place, (sides, _) in enumerate(terms):
        found = estimates.combined(sides)
        assert found is not None
        assert found.spread is not None
        assert covariance[place, place] == pytest.approx(found.spread.variance)
    shared = terms.index(({LEFT: 1.0, RULE: -1.0}, "auc")), terms.index(({RIGHT: 1.0, RULE: -1.0}, "auc"))
    influence = [noise(0) - noise(2), noise(1) - noise(2)]
    assert covariance[shared] == pytest.approx(float(np.cov(influence)[0, 1]) / N_USERS)
    assert (np.linalg.eigvalsh(covariance) > -1e-12).all()


def test_comparisons_that_share_a_noisy_method_are_corrected_less() -> None:
    flat = np.zeros(N_USERS)
    names = [replace(RULE, method=str(number)) for number in range(8)]
    shared = of(
        {LEFT: known(0.6, noise(0, 3.0))} | {name: known(0.5, noise(1 + n, 0.05)) for n, name in enumerate(names)}
    )
    apart = of({name: known(0.5, noise(20 + n)) for n, name in enumerate(names)} | {RULE: known(0.5, flat)})
    p_values = [0.04] * 8
    one = shared.adjusted([({LEFT: 1.0, name: -1.0}, "auc") for name in names], p_values)
    other = apart.adjusted([({name: 1.0, RULE: -1.0}, "auc") for name in names], p_values)
    assert max(one) < 0.06
    assert min(other) > 0.2
    assert shared.adjusted([({LEFT: 1.0, names[0]: -1.0}, "auc")], [0.04]) == [0.04]


def test_a_metric_that_one_seed_lacks_is_left_out() -> None:
    one = Measured(0.5, np.zeros(3), 3.0)
    cells = [replace(LEFT, seed=seed) for seed in (0, 1)]
    found = known_of({cells[0]: {"auc": one, "uauc": one}, cells[1]: {"auc": one, "uauc": None}}, cells)
    assert found.keys() == {(LEFT, "auc")}
    assert found[LEFT, "auc"].seeds == {0: 0.5, 1: 0.5}
    assert found[LEFT, "auc"].is_seeded
