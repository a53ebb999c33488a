"""Results as tables in the terminal."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from benchmark.verdicts.gate import Finding


def print_findings(findings: Sequence[Finding]) -> None:
    """A line a cell of the regression gate, AUC x100, and how often each verdict was given."""
    table = Table(box=None)
    for name in ("cell", "before", "after", "change", "tolerance", "interval", ""):
        table.add_column(name, no_wrap=True, justify="right" if name in ("before", "after", "change") else "left")
    for row in findings:
        change = None if row.before is None or row.after is None else row.after - row.before
        numbers = (row.before, row.after, change, row.tolerance)
        shown = ("" if value is None else f"{100 * value:.2f}" for value in numbers)
        name = str(row.cell) if row.n_seeds == 1 else f"{row.cell} and {row.n_seeds - 1} more"
        table.add_row(name, *shown, row.interval, f"{row.verdict} {row.reason}".strip())
    console = Console(width=max(110, Console().width))
    console.print(table)
    counts = Counter(row.verdict for row in findings)
    console.print("AUC x100: " + ", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
