"""Two runs side by side, in the terminal and as a page: what the gate says, and what `compare` says of any two."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmark.verdicts.gate import Finding

TEMPLATES = Path(__file__).parent / "templates"
CONFIDENCE = 0.95
"""That the margins of a comparison hold, all together."""
HEADER = ("method", "metric", "A", "B", "B - A", "seeds", "users", "verdict")
IN_ONE = {"missing": "Only in A", "new": "Only in B"}
"""Verdicts of the gate on a method that one run lacks."""


def gate_lines(findings: Sequence[Finding]) -> Iterator[str]:
    """A line a comparison of the regression gate that is not the same, in points (x100), and a count of verdicts."""
    told = [row for row in findings if row.verdict != "same"]
    header = ["method", "metric", "seeds", "before", "after", "change", "could see", "users", ""]
    rows: list[list[str]] = []
    for row in told:
        numbers = (_points(value) for value in (row.before, row.after, _change(row), row.tolerance))
        seeds = str(row.n_seeds or "")
        rows.append([row.name, row.metric.upper(), seeds, *numbers, row.interval, _with_reason(row.verdict, row)])
    if told:
        yield from columns(header, rows, left=(0, 1, 7, 8))
        yield "Points (x100). Could see: a larger drop would be red, since noise does not explain it."
    counts = Counter(row.verdict for row in findings)
    yield "AUC and UAUC: " + ", ".join(f"{count} {verdict}" for verdict, count in counts.items())


@dataclass(frozen=True)
class Comparison:
    """What changed between two runs, in words; numbers in points (x100)."""

    first: str
    """What was asked for: a file, revision or experiment."""
    second: str
    findings: Sequence[Finding]
    others: Sequence[str] = ()
    """A line for each test set that has other rows in B."""

    @property
    def told(self) -> list[Finding]:
        """What changed."""
        return [row for row in self.findings if row.verdict not in ("same", *IN_ONE)]

    @property
    def rows(self) -> list[list[str]]:
        """As `HEADER`; the difference with its margin."""
        rows: list[list[str]] = []
        for row in self.told:
            difference = f"{100 * (_change(row) or 0):+.2f}" + (f" ± {_points(row.tolerance)}" if row.tolerance else "")
            numbers = [_points(row.before), _points(row.after), difference, str(row.n_seeds or "")]
            rows.append([row.name, row.metric.upper(), *numbers, row.interval, _verdict(row)])
        return rows

    @property
    def notes(self) -> list[str]:
        """How to read it, and what the rows leave out."""
        notes = [f"{line}." for line in self.others]
        if self.told:
            notes.append(
                f"AUC and UAUC x100, means over seeds. The margins, over users and seeds, hold all together "
                f"({100 * CONFIDENCE:g} %); what is beyond its margin is better or worse."
            )
        for verdict, where in IN_ONE.items():
            names = dict.fromkeys(row.name for row in self.findings if row.verdict == verdict)
            notes += [f"{where}: {', '.join(names)}."] if names else []
        counts = Counter(_verdict(row).partition(" (")[0].partition(":")[0] for row in self.findings)
        return [*notes, ", ".join(f"{count} {verdict}" for verdict, count in counts.items()) + "."]

    @property
    def scale(self) -> float:
        """The largest end of an interval, in the unit of the metrics; 1 where there is none."""
        return max((abs(_change(row) or 0) + (row.tolerance or 0) for row in self.told), default=0) or 1.0


def comparison_lines(comparison: Comparison) -> Iterator[str]:
    """As the terminal shows it; no line is cut."""
    yield f"A: {comparison.first}"
    yield f"B: {comparison.second}"
    if comparison.rows:
        yield from columns(list(HEADER), comparison.rows, left=(0, 1, 6, 7))
    yield from comparison.notes


def comparison_html(comparison: Comparison) -> str:
    """The same as a page, with the intervals drawn."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    css = "".join((TEMPLATES / name).read_text(encoding="utf-8") for name in ("figures.css", "report.css"))
    rows = list(zip(comparison.told, comparison.rows, strict=True))
    template = environment.get_template("compare.html.j2")
    return template.render(comparison=comparison, header=HEADER, rows=rows, css=css)


def columns(header: list[str], rows: list[list[str]], *, left: Collection[int] = (0,)) -> Iterator[str]:
    """A table as lines that are as long as they need to be; the columns `left` begin at the left."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        cells = (
            text.ljust(width) if i in left else text.rjust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()


def _verdict(row: Finding) -> str:
    """The verdict on one change in words: what noise hides is never called the same."""
    if row.verdict == "same":
        return "the same to the last digit"
    if row.verdict in ("changed", "within noise"):
        return f"within noise (could not see less than {_points(row.tolerance)} points)"
    return "worse" if row.verdict == "regression" else _with_reason(row.verdict, row)


def _with_reason(text: str, row: Finding) -> str:
    return f"{text}: {row.reason}" if row.reason else text


def _change(row: Finding) -> float | None:
    return None if row.before is None or row.after is None else row.after - row.before


def _points(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f}"
