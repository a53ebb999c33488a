"""Geometry of the figures; `templates/figures.svg.j2` draws them. Units are those of the view box."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmark.report.inputs import Inputs
from benchmark.report.tables import points
from benchmark.schema import Cell
from benchmark.statistics.results import Summary
from benchmark.verdicts.paper import Paper
from benchmark.verdicts.published import why_not_comparable

WIDTH = 420
ROW_HEIGHT = 22
DOTS_LEFT = 168
"""Left of the dots stand the names of the methods."""
CURVE = (40, 12, 408, 212)
"""Left, top, right and bottom of the area of a curve plot."""
COLOURS = {"control": "control", "baseline": "baseline", "icl": "icl", "tuned": "tuned"}


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled position on an axis."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A result: a dot with its interval."""

    x: float
    y: float
    low: float
    high: float
    label: str
    """In words, as for the text alternative."""


@dataclass(frozen=True, slots=True)
class DotRow:
    """One line of a dot plot; `mark` is None for a missing result."""

    name: str
    y: float
    colour: str
    mark: Mark | None


@dataclass(frozen=True, slots=True)
class DotPlot:
    """Methods below each other, AUC to the right."""

    id: str
    title: str
    height: float
    ticks: tuple[Tick, ...]
    chance: float
    ceiling: float | None
    rows: tuple[DotRow, ...]

    @property
    def description(self) -> str:
        """The text alternative."""
        return "; ".join(f"{row.name}: {row.mark.label if row.mark else 'missing'}" for row in self.rows)


@dataclass(frozen=True, slots=True)
class Line:
    """One method over K."""

    name: str
    colour: str
    dash: str
    marks: tuple[Mark, ...]

    @property
    def path(self) -> str:
        """Its points as SVG draws them."""
        return " ".join(f"{mark.x:.1f},{mark.y:.1f}" for mark in self.marks)


@dataclass(frozen=True, slots=True)
class Key:
    """What a stroke or sign of a curve plot stands for."""

    name: str
    colour: str
    """Empty: that of the text."""
    sign: Literal["sample", "level", "published"]
    dash: str = ""


@dataclass(frozen=True, slots=True)
class CurvePlot:
    """AUC over the number of training samples, on a logarithmic axis."""

    id: str
    title: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    chance: float
    ceiling: float | None
    lines: tuple[Line, ...]
    levels: tuple[tuple[str, str, float, str], ...]
    """Methods without training: name, colour, y, in words."""
    published: tuple[Mark, ...]

    @property
    def legend(self) -> list[Key]:
        """Its entries, in the order of drawing."""
        keys = [Key(line.name, line.colour, "sample", line.dash) for line in self.lines]
        keys += [Key(name, colour, "level") for name, colour, _, _ in self.levels]
        return [*keys, *([Key("TALLRec, published", "", "published")] if self.published else [])]

    @property
    def description(self) -> str:
        """The text alternative."""
        curves = [f"{line.name}: {', '.join(mark.label for mark in line.marks)}" for line in self.lines]
        return "; ".join([*curves, *(f"{name}: {label}" for name, _, _, label in self.levels)]) or "no results"


def _axis(values: Iterable[float], first: float, last: float) -> tuple[Callable[[float], float], tuple[Tick, ...]]:
    """A linear axis in tenths of AUC around `values` and 0.5: its scale and its ticks."""
    known = [0.5, *values]
    low = max(0, math.floor(min(known) * 10 - 0.2))
    high = min(10, max(low + 2, math.ceil(max(known) * 10 + 0.2)))

    def scale(auc: float) -> float:
        return round(first + (last - first) * (auc * 10 - low) / (high - low), 1)

    return scale, tuple(Tick(scale(tenth / 10), str(10 * tenth)) for tenth in range(low, high + 1))


def _in_words(summary: Summary) -> str:
    low, high = _ends(summary)
    ends = f" [{points(low, 1)}, {points(high, 1)}]" if summary.interval else ""
    return points(summary.auc, 1) + ends


def _ends(summary: Summary) -> tuple[float, float]:
    """The interval of a result; the value itself where there is none."""
    return summary.interval or (summary.auc, summary.auc)


def dot_plot(inputs: Inputs, plot_id: str, title: str, domain: str, groups: Mapping[str, Cell]) -> DotPlot:
    """A dot plot of named groups tested on `domain`."""
    summaries = {name: inputs.groups.get(group) for name, group in groups.items()}
    ceiling = inputs.ceilings.get(domain)
    ends = [end for s in summaries.values() if s for end in _ends(s)]
    scale, ticks = _axis([*ends, *([ceiling] if ceiling else [])], DOTS_LEFT, WIDTH - 14)
    rows: list[DotRow] = []
    for index, (name, summary) in enumerate(summaries.items()):
        y = 16 + index * ROW_HEIGHT
        mark = None
        if summary:
            low, high = _ends(summary)
            ends_at = scale(low), scale(high)
            mark = Mark(scale(summary.auc), y, *ends_at, _in_words(summary))
        rows.append(DotRow(name, y, COLOURS[groups[name].family], mark))
    height = 16 + len(rows) * ROW_HEIGHT
    return DotPlot(plot_id, title, height, ticks, scale(0.5), scale(ceiling) if ceiling else None, tuple(rows))


def overview_plot(inputs: Inputs, domain: str) -> DotPlot:
    """Every method that learns from this domain or from nothing, at the largest K."""
    largest = max(inputs.params.grid.n_shots)
    groups = {
        (f"{cell.method} ({cell.n_shots} shown)" if cell.family == "icl" and cell.n_shots else cell.method): cell
        for cell in inputs.groups
        if cell.test_domain == domain
        and cell.train_domain in (domain, "both")
        and (cell.n_shots in (0, largest) or cell.family == "icl")
    }
    return dot_plot(inputs, f"overview-{domain}", f"Every method on {domain}, K = {largest}", domain, groups)


def icl_plot(inputs: Inputs, domain: str) -> DotPlot:
    """In-context learning beside TALLRec at every K."""
    tuned = f"tallrec-{domain}"
    groups = {
        f"{cell.method} ({cell.n_shots})" if cell.n_shots else cell.method: cell
        for cell in inputs.groups
        if cell.test_domain == domain and cell.family == "icl"
    }
    groups |= {
        f"{tuned} K={cell.n_shots}": cell
        for cell in inputs.groups
        if cell.test_domain == domain and cell.method == tuned
    }
    return dot_plot(inputs, f"icl-{domain}", f"In-context learning and TALLRec, {domain}", domain, groups)


def ablation_plot(inputs: Inputs, paper: Paper, domain: str) -> CurvePlot:
    """TALLRec, rec-tuning alone (RT) and instruction tuning alone (AT, which sees no sample) over K."""
    curves = {
        "TALLRec (AT, then RT)": (f"tallrec-{domain}", "tuned", ""),
        "RT alone": (f"rt-{domain}", "baseline", "6 3"),
    }
    at_alone = inputs.groups.get(Cell("icl", "icl-alpaca-released", domain, domain, 0, 0))
    found = {name: _curve(inputs, method, domain) for name, (method, _, _) in curves.items()}
    numbers = [
        number
        for number in paper.numbers
        if number.table == "main"
        and number.test_domain == domain
        and number.method == f"tallrec-{domain}"
        and number.n_shots in inputs.params.grid.n_shots
        and not why_not_comparable(number, inputs.params, paper, inputs.test_rows)
    ]
    ends = [end for curve in found.values() for s in curve for end in _ends(s)]
    ends += [number.auc for number in numbers] + [s.auc for s in [at_alone] if s]
    ceiling = inputs.ceilings.get(domain)
    left, top, right, bottom = CURVE
    scale, y_ticks = _axis([*ends, *([ceiling] if ceiling else [])], bottom, top)
    shots = sorted(inputs.params.grid.n_shots)
    span = math.log2(shots[-1] / shots[0]) or 1.0

    def across(n_shots: int) -> float:
        return round(left + 30 + (right - left - 60) * math.log2(n_shots / shots[0]) / span, 1)

    lines = tuple(
        Line(name, curves[name][1], curves[name][2], tuple(_mark(s, across, scale) for s in curve))
        for name, curve in found.items()
        if curve
    )
    return CurvePlot(
        id=f"ablation-{domain}",
        title=f"What each stage of tuning gives, {domain}",
        x_ticks=tuple(Tick(across(n_shots), str(n_shots)) for n_shots in shots),
        y_ticks=y_ticks,
        chance=scale(0.5),
        ceiling=scale(ceiling) if ceiling else None,
        lines=lines,
        levels=(("AT alone", "icl", scale(at_alone.auc), _in_words(at_alone)),) if at_alone else (),
        published=tuple(Mark(across(n.n_shots), scale(n.auc), 0, 0, points(n.auc)) for n in numbers),
    )


def _curve(inputs: Inputs, method: str, domain: str) -> Sequence[Summary]:
    summaries = [s for g, s in inputs.groups.items() if s and g.method == method and g.test_domain == domain]
    return sorted(summaries, key=lambda summary: summary.cell.n_shots)


def _mark(summary: Summary, across: Callable[[int], float], scale: Callable[[float], float]) -> Mark:
    k = summary.cell.n_shots
    low, high = _ends(summary)
    ends = scale(low), scale(high)
    return Mark(across(k), scale(summary.auc), *ends, f"K {k} {_in_words(summary)}")
