"""Results as tables in the terminal."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from benchmark.verdicts.gate import Finding


def print_findings(findings: Sequence[Finding]) -> None:
    """A line a comparison of the regression gate that is not the same, in points (x100), and a count of verdicts."""
    told = [row for row in findings if row.verdict != "same"]
    table = Table(box=None)
    for name in ("method", "metric", "seeds", "before", "after", "change", "could see", "users", ""):
        is_number = name in ("seeds", "before", "after", "change", "could see")
        table.add_column(name, no_wrap=True, justify="right" if is_number else "left")
    for row in told:
        change = None if row.before is None or row.after is None else row.after - row.before
        numbers = (row.before, row.after, change, row.tolerance)
        shown = ("" if value is None else f"{100 * value:.2f}" for value in numbers)
        seeds = str(row.n_seeds or "")
        verdict = f"{row.verdict}: {row.reason}" if row.reason else row.verdict
        table.add_row(row.name, row.metric.upper(), seeds, *shown, row.interval, verdict)
    console = Console(width=max(130, Console().width))
    if told:
        console.print(table)
        console.print("Points (x100). Could see: a larger drop would be red, since noise does not explain it.")
    counts = Counter(row.verdict for row in findings)
    console.print("AUC and UAUC: " + ", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
