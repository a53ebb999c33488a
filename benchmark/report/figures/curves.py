"""AUC over the number of training samples, and over the updates of a tuning."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from benchmark.artifacts.files import read_json
from benchmark.artifacts.paths import adapter_folder
from benchmark.config.run_names import method_name, model_name
from benchmark.report.figures.axis import Mark, Tick, axis, ends, in_words
from benchmark.report.inputs import Inputs
from benchmark.report.tables.form import points
from benchmark.schema import Cell
from benchmark.statistics.results import Summary
from benchmark.verdicts.paper import Paper
from benchmark.verdicts.published import why_not_comparable

AREA = (40, 12, 408, 212)
"""Left, top, right and bottom of the area that is drawn on."""
DASHES = ("", "6 3", "2 3", "8 3 2 3")


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
    """AUC over the number of training samples, on a logarithmic axis, or over updates."""

    id: str
    title: str
    x_label: str
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
        keys = list(dict.fromkeys(Key(line.name, line.colour, "sample", line.dash) for line in self.lines))
        keys += [Key(name, colour, "level") for name, colour, _, _ in self.levels]
        return [*keys, *([Key("TALLRec, published", "", "published")] if self.published else [])]

    @property
    def description(self) -> str:
        """The text alternative."""
        curves = [f"{line.name}: {', '.join(mark.label for mark in line.marks)}" for line in self.lines]
        return "; ".join([*curves, *(f"{name}: {label}" for name, _, _, label in self.levels)])


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
    known = [end for curve in found.values() for s in curve for end in ends(s)]
    known += [number.auc for number in numbers] + [s.auc for s in [at_alone] if s]
    ceiling = inputs.ceilings.get(domain)
    left, top, right, bottom = AREA
    scale, y_ticks = axis([*known, *([ceiling] if ceiling else [])], bottom, top)
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
        title=f"What each stage of tuning gives, {domain} ({model_name(inputs.params.llm)})",
        x_label="training samples K",
        x_ticks=tuple(Tick(across(n_shots), str(n_shots)) for n_shots in shots),
        y_ticks=y_ticks,
        chance=scale(0.5),
        ceiling=scale(ceiling) if ceiling else None,
        lines=lines,
        levels=(("AT alone", "icl", scale(at_alone.auc), in_words(at_alone)),) if at_alone else (),
        published=tuple(Mark(across(n.n_shots), scale(n.auc), 0, 0, points(n.auc)) for n in numbers),
    )


def _curve(inputs: Inputs, method: str, domain: str) -> Sequence[Summary]:
    summaries = [s for g, s in inputs.groups.items() if s and g.method == method and g.test_domain == domain]
    return sorted(summaries, key=lambda summary: summary.cell.n_shots)


def _mark(summary: Summary, across: Callable[[int], float], scale: Callable[[float], float]) -> Mark:
    k = summary.cell.n_shots
    low, high = (scale(end) for end in ends(summary))
    return Mark(across(k), scale(summary.auc), low, high, f"K {k} {in_words(summary)}")


def tuning_plots(inputs: Inputs) -> list[CurvePlot]:
    """The validation AUC over the updates of each tuning, a figure a variant, a line a K and seed."""
    curves: dict[str, dict[Cell, Mapping[str, Any]]] = {}
    for cell in inputs.groups if inputs.params.grid.recipes else ():
        if cell.family == "tuned" and cell.test_domain == inputs.params.grid.domains[0]:
            for seed in inputs.params.grid.seeds:
                # Whose tuning changes has other predictions and another record, which the stage depends on.
                path = adapter_folder(cell.method, cell.n_shots, seed) / "curve.json"
                if path.exists() and (content := read_json(path))["curve"]:
                    curves.setdefault(cell.method, {})[replace(cell, seed=seed)] = content
    return [_tuning_plot(inputs, method, found) for method, found in curves.items()]


def _tuning_plot(inputs: Inputs, method: str, curves: Mapping[Cell, Mapping[str, Any]]) -> CurvePlot:
    left, top, right, bottom = AREA
    values = [point["auc"] for content in curves.values() for point in content["curve"]]
    scale, y_ticks = axis(values, bottom, top)
    steps = sorted({point["step"] for content in curves.values() for point in content["curve"]})

    def across(step: int) -> float:
        return round(left + 10 + (right - left - 20) * step / steps[-1], 1)

    def marks(points_of: Sequence[Mapping[str, Any]]) -> tuple[Mark, ...]:
        found = ((across(point["step"]), scale(point["auc"]), point) for point in points_of)
        return tuple(Mark(x, y, y, y, f"update {p['step']}: {points(p['auc'], 1)}") for x, y, p in found)

    shots = sorted({cell.n_shots for cell in curves})
    lines = [
        Line(f"K = {cell.n_shots}", "tuned", DASHES[shots.index(cell.n_shots) % len(DASHES)], marks(content["curve"]))
        for cell, content in curves.items()
    ]
    told = steps if len(steps) < 9 else steps[:: math.ceil(len(steps) / 8)]
    return CurvePlot(
        id=f"tuning-{method}",
        title=f"Validation AUC while tuning: {method_name(inputs.params, method)}",
        x_label="updates",
        x_ticks=tuple(Tick(across(step), str(step)) for step in told),
        y_ticks=y_ticks,
        chance=scale(0.5),
        ceiling=None,
        lines=tuple(lines),
        levels=(),
        published=(),
    )
