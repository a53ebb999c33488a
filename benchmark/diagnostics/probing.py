"""What a change of the inputs does to a metric: changed minus unchanged, the same adapter or checkpoint on both.

Users and seeds are the same on both sides, so both cancel as far as they can: what remains is how the change differs
from user to user and from seed to seed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import astuple
from pathlib import Path

from benchmark.methods.probes import PROMPT_STYLES
from benchmark.schema import Cell
from benchmark.statistics.estimates import Estimates, known_of
from benchmark.statistics.influence import Measured
from benchmark.statistics.results import GROUP_COLUMNS

PROBE_CHANGES_CSV = Path("results/probe_changes.csv")
PROBE_CHANGES_COLUMNS = (
    *GROUP_COLUMNS,
    *("probe", "against", "metric", "change", "low", "high", "standard_error", "dof", "why_no_interval", "n_seeds"),
)
UNCHANGED = "unchanged"
CONSISTENT = "consistent"
"""Against 1 minus the metric of the unchanged inputs: what a model has that is asked the opposite and knows it."""

Metrics = Mapping[str, Measured | None]


def against(probe: str) -> str:
    """What a probe is compared with."""
    return CONSISTENT if probe in PROMPT_STYLES else UNCHANGED


def change(probe: str, changed: Measured | None, unchanged: Measured | None) -> Measured | None:
    """Changed minus what it is compared with, of one metric of one cell; None where one of them is not known."""
    if changed is None or unchanged is None:
        return None
    sign, start = (1.0, 1.0) if against(probe) == CONSISTENT else (-1.0, 0.0)
    return Measured(
        changed.value + sign * unchanged.value - start,
        changed.influence + sign * unchanged.influence - start,
        min(changed.n_effective, unchanged.n_effective),
    )


def changes_of(found: Mapping[tuple[Cell, str], Metrics], unchanged: Mapping[Cell, Metrics]) -> Estimates:
    """The changes of every probed group, as metrics named `probe metric`.

    Args:
        found: every metric of every cell and probe that was run.
        unchanged: of the cells themselves.
    """
    names = list(dict.fromkeys((probe, metric) for (_, probe), metrics in found.items() for metric in metrics))
    changes: dict[Cell, Metrics] = {}
    for cell in dict.fromkeys(cell for cell, _ in found):
        own = unchanged.get(cell, {})
        changes[cell] = {
            f"{probe} {metric}": change(probe, found.get((cell, probe), {}).get(metric), own.get(metric))
            for probe, metric in names
        }
    return Estimates(known_of(changes, changes))


def change_rows(estimates: Estimates, confidence: float) -> Iterable[tuple[object, ...]]:
    """The lines of `results/probe_changes.csv`."""
    for (group, name), known in estimates.known.items():
        probe, metric = name.split(" ")
        estimate = estimates.estimate(group, name)
        assert estimate is not None, "it is known"
        ends = estimate.interval(confidence) or (None, None)
        errors = (estimate.spread.standard_error, estimate.spread.dof) if estimate.spread else (None, None)
        told = (probe, against(probe), metric, estimate.value, *ends, *errors, estimate.why_unknown, len(known.seeds))
        yield (*astuple(group)[:-1], *told)
