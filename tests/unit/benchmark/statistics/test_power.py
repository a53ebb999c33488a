"""What a comparison can see, against simulated runs."""

import numpy as np
import pytest
from scipy import stats

from benchmark.statistics.power import POWER, smallest_seen, times_needed
from benchmark.statistics.uncertainty import NOISELESS, Spread, joined, margin

CONFIDENCE = 0.95


@pytest.mark.parametrize("n", [5, 16, 200])
def test_a_difference_of_the_smallest_size_is_seen_in_the_share_that_is_said(n: int) -> None:
    """Means of n normal draws with their own variance; a twentieth is what t without its non-centrality costs."""
    rng = np.random.default_rng(n)
    true = smallest_seen(Spread(1 / n, n - 1), CONFIDENCE)
    draws = rng.normal(true, 1, (4000, n))
    margins = stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * draws.std(axis=1, ddof=1) / n**0.5
    assert np.mean(draws.mean(axis=1) > margins) == pytest.approx(POWER, abs=0.05)


def test_with_what_is_needed_the_difference_is_the_smallest_that_is_seen() -> None:
    users, seeds = Spread(0.0001, 15), Spread(0.001, 4)
    times = times_needed(0.06, seeds, users, CONFIDENCE)
    grown = joined([Spread(seeds.variance / times, seeds.dof * times), users])
    less = joined([Spread(seeds.variance / (times - 0.1), seeds.dof * (times - 0.1)), users])
    assert smallest_seen(grown, CONFIDENCE) <= 0.06 < smallest_seen(less, CONFIDENCE)


def test_no_number_of_seeds_sees_what_lies_below_the_noise_of_users() -> None:
    users, seeds = Spread(0.0036, 15), Spread(0.001, 4)
    floor = smallest_seen(users, CONFIDENCE)
    assert times_needed(0.99 * floor, seeds, users, CONFIDENCE) is None
    assert times_needed(1.01 * floor, seeds, users, CONFIDENCE) is not None


def test_what_is_seen_already_takes_nothing_more() -> None:
    spread = Spread(0.0001, 15)
    assert times_needed(-0.2, spread, NOISELESS, CONFIDENCE) == 1.0  # on either side
    assert smallest_seen(spread, CONFIDENCE) > margin(spread, CONFIDENCE)
