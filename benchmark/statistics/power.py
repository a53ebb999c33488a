"""What a comparison can see: the smallest true difference that it finds in most runs, and what a smaller one takes."""

from benchmark.statistics.uncertainty import Spread, joined, margin

POWER = 0.8
"""How often a difference of the smallest size that is seen is found to be one."""
MOST_TIMES = 1000
"""No grid has so many times the seeds or users."""


def smallest_seen(spread: Spread, confidence: float) -> float:
    """The smallest true difference that exceeds its margin in `POWER` of all runs.

    Args:
        spread: of the difference, over users and seeds.
        confidence: of its margin, in (0, 1).

    Source:
        Normal theory with the quantiles of t (Cohen 1988): the margin, and the quantile of the power.
    """
    return margin(spread, confidence) + margin(spread, 2 * POWER - 1)


def times_needed(difference: float, grown: Spread, kept: Spread, confidence: float) -> float | None:
    """How many times the seeds, the users or both show a true difference of that size, in steps of a tenth.

    Args:
        difference: the true one.
        grown: the noise over what there is to be more of; its degrees of freedom grow with it.
        kept: the noise that stays as it is.
        confidence: of the margin.

    Returns:
        None where not even `MOST_TIMES` do.
    """

    def is_seen(tenths: int) -> bool:
        spread = joined([Spread(grown.variance * 10 / tenths, grown.dof * tenths / 10), kept])
        return smallest_seen(spread, confidence) <= abs(difference)

    least, most = 10, 10 * MOST_TIMES
    if not is_seen(most):
        return None
    while least < most:
        middle = (least + most) // 2
        least, most = (least, middle) if is_seen(middle) else (middle + 1, most)
    return least / 10
