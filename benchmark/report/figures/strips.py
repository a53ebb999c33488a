"""The AUC of each test user, a strip a method: what a mean over users is made of."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from benchmark.config.run_names import method_name
from benchmark.report.figures.axis import Tick
from benchmark.report.inputs import Inputs
from benchmark.report.tables.form import points
from benchmark.schema import Cell, domain_of

LEFT, RIGHT = 190, 408
TOP, ROW_HEIGHT = 16, 22


@dataclass(frozen=True, slots=True)
class Strip:
    """One method."""

    name: str
    y: float
    family: str
    path: str
    """A stroke at each AUC, the longer the more users have it, as SVG draws it."""
    mean: float
    """x of their mean."""
    label: str
    """In words."""


@dataclass(frozen=True, slots=True)
class StripPlot:
    """Methods below each other, the AUC within each user to the right, from 0 to 1."""

    id: str
    title: str
    ticks: tuple[Tick, ...]
    chance: float
    rows: tuple[Strip, ...]

    @property
    def height(self) -> float:
        """Down to the axis."""
        return TOP + len(self.rows) * ROW_HEIGHT

    @property
    def description(self) -> str:
        """The text alternative."""
        return "; ".join(f"{row.name}: {row.label}" for row in self.rows)


def strip_plots(inputs: Inputs) -> list[StripPlot]:
    """A figure a test set where two users or more have both labels: every method at its largest K."""
    sets = [name for domain in inputs.params.grid.domains for name in inputs.params.test_sets(domain)]
    return [plot for name in sets if (plot := _strip_plot(inputs, name)).rows]


def _strip_plot(inputs: Inputs, test_domain: str) -> StripPlot:
    largest: dict[tuple[str, str], Cell] = {}
    shots = (0, *inputs.params.grid.n_shots)
    for group in (group for group, metric in inputs.estimates.known if metric == "uauc"):
        key = group.family, group.method
        is_shown = group.test_domain == test_domain and (group.family == "icl" or group.n_shots in shots)
        if is_shown and (key not in largest or group.n_shots > largest[key].n_shots):
            largest[key] = group
    found: list[tuple[float, Cell, list[float]]] = []
    for group in largest.values():
        influence = inputs.estimates.known[group, "uauc"].measured.influence  # of a plain mean: the user's own AUC
        aucs: list[float] = influence[np.isfinite(influence)].tolist()
        if len(aucs) > 1:
            found.append((float(np.mean(aucs)), group, sorted(aucs)))
    rows = tuple(
        Strip(
            method_name(inputs.params, group.method, domain_of(test_domain)),
            TOP + index * ROW_HEIGHT,
            group.family,
            _strokes(aucs, TOP + index * ROW_HEIGHT),
            _across(mean),
            f"mean {points(mean, 1)}, {sum(auc > 0.5 for auc in aucs)} of {len(aucs)} users above 50",
        )
        for index, (mean, group, aucs) in enumerate(sorted(found, key=lambda item: -item[0]))
    )
    ticks = tuple(Tick(_across(tenth / 10), str(10 * tenth)) for tenth in range(0, 11, 2))
    return StripPlot(f"users-{test_domain}", f"AUC within each user of {test_domain}", ticks, _across(0.5), rows)


def _strokes(aucs: Iterable[float], y: float) -> str:
    counts = Counter(map(_across, aucs))
    most = max(counts.values())
    halves = {x: round(3 + 6 * n / most, 1) for x, n in counts.items()}
    return "".join(f"M{x} {y - half:.1f}v{2 * half:.1f}" for x, half in halves.items())


def _across(auc: float) -> float:
    return round(LEFT + (RIGHT - LEFT) * auc, 1)
