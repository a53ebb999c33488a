"""Methods below each other, the best first, each with its interval and the number of the paper."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from benchmark.config.run_names import PAPERS_MODEL, method_name, model_name
from benchmark.report.figures.axis import Mark, Tick, axis, ends, in_words
from benchmark.report.inputs import Inputs
from benchmark.report.tables.form import PUBLISHED, points
from benchmark.schema import Cell
from benchmark.statistics.results import Summary
from benchmark.verdicts.paper import Paper, PaperNumber
from benchmark.verdicts.published import other_test_rows, why_not_comparable

LEFT, RIGHT = 190, 346
"""Left of the dots stand the names of the methods, right of them the values."""
TOP, ROW_HEIGHT = 16, 22
FAMILIES = {
    **{"control": "Rules and controls", "baseline": "Recommenders", "icl": "In context", "tuned": "Tuned"},
    "external": "From elsewhere",
}


@dataclass(frozen=True, slots=True)
class DotRow:
    """One line of a dot plot."""

    name: str
    y: float
    family: str
    """Which is its colour too."""
    mark: Mark | None
    """None where ours was not run."""
    value: str
    """As printed at the right."""
    published: float | None = None
    """x of the number of the paper; None where there is none for these rows."""
    published_value: str = ""

    @property
    def description(self) -> str:
        """In words."""
        ours = self.mark.label if self.mark else self.value
        return f"{self.name}: {ours}" + (f", paper {self.published_value}" if self.published_value else "")


@dataclass(frozen=True, slots=True)
class DotPlot:
    """Methods below each other, AUC to the right."""

    id: str
    title: str
    ticks: tuple[Tick, ...]
    chance: float
    ceiling: float | None
    rows: tuple[DotRow, ...]

    @property
    def height(self) -> float:
        """Down to the axis."""
        return TOP + len(self.rows) * ROW_HEIGHT

    @property
    def description(self) -> str:
        """The text alternative."""
        return "; ".join(row.description for row in self.rows)

    @property
    def families(self) -> list[tuple[str, str, list[DotRow]]]:
        """Families by their best row: name, heading and rows, the best first."""
        found: dict[str, list[DotRow]] = {}
        for row in self.rows:
            found.setdefault(row.family, []).append(row)
        return [(family, FAMILIES.get(family, "Published"), rows) for family, rows in found.items()]

    def percent(self, x: float) -> float:
        """A position along the axis, in [0, 100]."""
        return round(100 * (x - LEFT) / (RIGHT - LEFT), 2)


@dataclass(frozen=True, slots=True)
class _Line:
    """What a row is drawn of."""

    name: str
    family: str
    ours: Summary | None
    published: float | None

    @property
    def rank(self) -> float:
        """What rows are sorted by: ours, else the paper's."""
        return self.ours.auc if self.ours else self.published or 0.0


def _plot(plot_id: str, title: str, ceiling: float | None, lines: Iterable[_Line]) -> DotPlot:
    found = sorted(lines, key=lambda line: -line.rank)
    values = [end for line in found if line.ours for end in ends(line.ours)]
    values += [line.published for line in found if line.published is not None]
    scale, ticks = axis([*values, *([ceiling] if ceiling else [])], LEFT, RIGHT)
    rows: list[DotRow] = []
    for index, line in enumerate(found):
        y, mark, value = TOP + index * ROW_HEIGHT, None, "not run here"
        if line.ours:
            low, high = ends(line.ours)
            mark = Mark(scale(line.ours.auc), y, scale(low), scale(high), in_words(line.ours))
            margin = line.ours.margin
            value = points(line.ours.auc, 1) + (f" ± {points(margin, 1)}" if margin is not None else "")
        row = DotRow(line.name, y, line.family, mark, value)
        if line.published is not None:
            row = replace(row, published=scale(line.published), published_value=points(line.published, 1))
        rows.append(row)
    return DotPlot(plot_id, title, ticks, scale(0.5), scale(ceiling) if ceiling else None, tuple(rows))


def overview_plot(inputs: Inputs, paper: Paper, domain: str) -> DotPlot:
    """Every method that was run and learns from this domain or from nothing, at the largest K that it was run at."""
    chosen: dict[tuple[str, str, int], Cell] = {}
    for cell, summary in inputs.groups.items():
        if summary and cell.test_domain == domain and cell.train_domain in (domain, "both"):
            if cell.family == "control" and cell.n_shots > max(inputs.params.grid.n_shots):
                continue  # on the full training set, which no K is compared with
            shown = cell.n_shots if cell.family == "icl" else 0
            key = (cell.family, cell.method, shown)
            if key not in chosen or cell.n_shots > chosen[key].n_shots:
                chosen[key] = cell
    largest = max(inputs.params.grid.n_shots)
    numbers = {number.group: number for number in _published(inputs, paper, domain)}
    lines: list[_Line] = []
    for (family, method, shown), cell in chosen.items():
        number = numbers.get(cell)
        is_same = number and not why_not_comparable(number, inputs.params, paper, inputs.test_rows)
        beside = f" ({shown} shown)" if shown else ""
        if cell.n_shots not in (0, largest) and family != "icl":
            beside = f", K = {cell.n_shots}"
        lines.append(
            _Line(
                method_name(inputs.params, method, domain) + beside,
                family,
                inputs.groups[cell],
                number.auc if number and is_same else None,
            )
        )
        if number and is_same:
            del numbers[cell]
    lines += [
        _Line(f"TALLRec ({PAPERS_MODEL}), paper", PUBLISHED, None, number.auc)
        for cell, number in numbers.items()
        if (cell.method, cell.n_shots) == (f"tallrec-{domain}", largest)
    ]
    title = f"AUC on {domain}, K = {largest}"
    return _plot(f"overview-{domain}", title, inputs.ceilings.get(domain), lines)


def _published(inputs: Inputs, paper: Paper, domain: str) -> Iterable[PaperNumber]:
    """The numbers of the main table that are of our test rows."""
    return (
        number
        for number in paper.numbers
        if number.table == "main"
        and number.test_domain == domain
        and not other_test_rows(number, inputs.params, paper, inputs.test_rows)
    )


def icl_plot(inputs: Inputs, domain: str) -> DotPlot:
    """In-context learning beside the same model after AT and rec-tuning, at every K."""
    lines = [
        _Line(f"{'tuned' if cell.family == 'tuned' else cell.method}{_shots(cell)}", cell.family, summary, None)
        for cell, summary in inputs.groups.items()
        if summary and cell.test_domain == domain and (cell.family == "icl" or cell.method == f"tallrec-{domain}")
    ]
    title = f"In-context learning and tuning, {domain} ({model_name(inputs.params.llm)})"
    return _plot(f"icl-{domain}", title, inputs.ceilings.get(domain), lines)


def _shots(cell: Cell) -> str:
    if cell.family == "icl":
        return f" ({cell.n_shots} shown)" if cell.n_shots else ""
    return f", K = {cell.n_shots}"
