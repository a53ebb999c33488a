"""Tables as CSV and LaTeX."""

from benchmark.report.tables.form import Entry, Table
from benchmark.statistics.results import csv_bytes

TEX_ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "→": r"$\to$",
        "·": r"$\cdot$",
        "\u2013": "--",
    }
)


def in_one_line(entry: Entry) -> str:
    """An entry as plain text."""
    if entry.badge:
        return entry.badge
    return f"{entry.text} {entry.detail}" if entry.detail else entry.text


def table_csv(table: Table) -> bytes:
    """A table as the page shows it. Exact numbers stand in `metrics.csv`."""
    columns = table.keys or table.columns
    return csv_bytes(
        ("name", "group", *columns),
        ([row.name, row.group, *map(in_one_line, row.entries)] for row in table.rows),
    )


def table_tex(table: Table) -> bytes:
    """A LaTeX `tabular` that needs the package booktabs."""

    def line(values: list[str]) -> str:
        return " & ".join(value.translate(TEX_ESCAPES) for value in values) + r" \\"

    lines = [r"\begin{tabular}{l" + "l" * len(table.columns) + "}", r"\toprule"]
    lines += [line(["", *table.columns]), r"\midrule"]
    group = table.rows[0].group if table.rows else ""
    for row in table.rows:
        if row.group != group:
            group = row.group
            lines.append(r"\midrule")
        lines.append(line([row.name, *map(in_one_line, row.entries)]))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""]).encode()
