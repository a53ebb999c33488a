"""What a table is made of: rows of entries, and numbers as text."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

MISSING = "missing"
NO_VALUE = "not defined"
DASH = "\u2013"
"""Where the paper has no such number."""
PUBLISHED = "paper"
"""Family of a row that has a number of the paper alone."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One cell of a table."""

    text: str
    detail: str = ""
    """Smaller text below it."""
    badge: str = ""
    """A verdict, which the page colours."""
    shade: float | None = None
    """In [0, 1], for tables shown as a heat map."""
    href: str = ""
    """Where its text leads."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table; `group` is a heading above the first line that carries it."""

    name: str
    entries: tuple[Entry, ...]
    group: str = ""
    is_main: bool = False
    is_run: bool = True
    """Whether it has a number of ours; the page leaves out and names those that have none."""
    family: str = ""
    """Of the method, for the filter."""
    more: tuple[tuple[str, str], ...] = ()
    """What the page unfolds: names and texts."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table; every row has one entry a column, apart from the first column, which holds the names."""

    id: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    note: str = ""
    domain: str = ""
    keys: tuple[str, ...] = field(default=())
    """Names of the columns in CSV, where they are others."""

    @property
    def heads(self) -> list[tuple[str, list[str]]]:
        """Columns by what they have in common: `K=16 paper` and `K=16 ours` stand below `K=16`."""
        found: list[tuple[str, list[str]]] = []
        for column in self.columns:
            common, _, own = column.partition(" ") if re.match(r"K=\d+ \S", column) else ("", "", column)
            if not found or found[-1][0] != common:
                found.append((common, []))
            found[-1][1].append(own)
        return found

    def compact(self) -> "Table":
        """Without rows that were not run and columns that say the same in every row: the note names these once."""
        rows = [row for row in self.rows if row.is_run]
        notes = [self.note] if self.note else []
        lost = list(dict.fromkeys(row.name for row in self.rows if not row.is_run))
        if lost:
            notes.append(f"Not run: {', '.join(lost)}.")
        columns = [[row.entries[index] for row in rows] for index in range(len(self.columns))]
        constant = [len(rows) > 2 and _is_constant(column) for column in columns]
        same: dict[str, list[str]] = {}
        for name, column, is_constant in zip(self.columns, columns, constant, strict=True):
            said = next((entry.badge or entry.text for entry in column if entry.badge or entry.text), DASH)
            if is_constant and said != DASH:
                same.setdefault(said, []).append(name)
        notes += [f"{', '.join(names)}: {said} throughout." for said, names in same.items()]
        if all(constant):
            return replace(self, rows=tuple(rows), note=" ".join(notes))
        kept = [
            replace(
                row, entries=tuple(e for e, is_constant in zip(row.entries, constant, strict=True) if not is_constant)
            )
            for row in rows
        ]
        shown = tuple(name for name, is_constant in zip(self.columns, constant, strict=True) if not is_constant)
        return replace(self, columns=shown, rows=tuple(kept), note=" ".join(notes), keys=())


def _is_constant(column: Sequence[Entry]) -> bool:
    """Whether it says one thing in every row; of verdicts, in every row that has one."""
    badges = {entry.badge for entry in column if entry != Entry("")}
    return len(set(column)) == 1 or (len(badges) == 1 and "" not in badges)


def points(value: float | None, decimals: int = 2) -> str:
    """An AUC times 100, or `missing`."""
    return MISSING if value is None else f"{100 * value:.{decimals}f}"


def ends_of(interval: tuple[float, float] | None) -> str:
    """An interval times 100; empty where there is none."""
    return f"[{points(interval[0], 1)}, {points(interval[1], 1)}]" if interval else ""


def plain(value: object) -> str:
    """A value of a JSON file as text: `missing` for None, at most four decimals, thousands apart."""
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) > 9999 else str(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)
