"""The tables, once: the page, the CSV files and the LaTeX files all show these."""

import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from benchmark.artifacts.paths import cell_folder
from benchmark.config.run_names import RECIPES, method_name
from benchmark.report.inputs import Inputs
from benchmark.schema import Cell, domain_of, group_of
from benchmark.statistics.metrics import METRICS, OTHERS
from benchmark.statistics.results import Summary
from benchmark.verdicts.paper import Paper, PaperNumber
from benchmark.verdicts.published import Verdict, judge, reservations, why_not_comparable

MISSING = "missing"
NO_VALUE = "not defined"
DASH = "\u2013"
"""Where the paper has no such number."""
FAR_ABOVE_CHANCE = 0.6
"""Where one seed gets there and another stays below one half, draws fail, and the mean hides it."""
OTHER_TITLES = tuple(METRICS[name].title for name in OTHERS)


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


def summary_entry(summary: Summary | None) -> Entry:
    """Mean AUC, its interval over users and seeds, the seeds' deviation, and how many are missing or failed."""
    if summary is None:
        return Entry(MISSING)
    parts = [ends_of(summary.interval) or summary.why_no_interval]
    if summary.seed_sd is not None:
        parts.append(f"sd {points(summary.seed_sd, 1)}")
    if summary.seeds_said:
        parts.append(summary.seeds_said)
    if summary.n_below_chance and max(summary.aucs) > FAR_ABOVE_CHANCE:
        median = points(statistics.median(summary.aucs), 1)
        parts.append(f"median {median}, {summary.n_below_chance} of {summary.n_seeds} below chance")
    return Entry(points(summary.auc), " · ".join(parts))


def ends_of(interval: tuple[float, float] | None) -> str:
    """An interval times 100; empty where there is none."""
    return f"[{points(interval[0], 1)}, {points(interval[1], 1)}]" if interval else ""


def other_entries(inputs: Inputs, group: Cell) -> tuple[Entry, ...]:
    """The mean of every metric beside AUC, with its interval over users and seeds."""
    return tuple(other_entry(inputs, group, metric) for metric in OTHERS)


def other_entry(inputs: Inputs, group: Cell, metric: str) -> Entry:
    """The mean of one metric, with its interval over users and seeds."""
    summary = inputs.groups.get(group)
    if summary is None:
        return Entry(MISSING)
    mean = summary.mean(metric)
    if mean is None:
        return Entry(NO_VALUE)
    estimate = inputs.estimates.estimate(group, metric)
    if estimate is None:
        return Entry(points(mean))
    return Entry(
        points(mean), ends_of(estimate.interval_of_metric(inputs.params.evaluate.confidence)) or estimate.why_unknown
    )


def verdict_on(inputs: Inputs, paper: Paper, number: PaperNumber) -> Verdict:
    """The verdict on one published number."""
    return judge(
        number,
        inputs.groups,
        inputs.estimates,
        why_not_comparable(number, inputs.params, paper, inputs.test_rows),
        reservations(number, inputs.params, inputs.stand_ins),
    )


def behind(inputs: Inputs, groups: Sequence[Cell]) -> Iterator[tuple[str, str]]:
    """What a row unfolds: seeds, files, command, and the score of the example; nothing of a method that was not run."""
    known = {group: summary for group in groups if (summary := inputs.groups.get(group))}
    for group, summary in known.items():
        if summary.n_expected > 1:
            yield f"seeds{_at(group)}", ", ".join(points(auc, 1) for auc in summary.aucs)
    scores = inputs.examples.get(groups[0].test_domain, {}).get("scores", {})
    if found := [f"{scores[str(group)]:.4g}{_at(group)}" for group in known if str(group) in scores]:
        yield "score of the first sample", "; ".join(found)
    for first in [*known][:1]:
        folder = cell_folder("predictions", first).parent
        yield "predictions", f"{folder.with_name('k*') if len(known) > 1 else folder}/seed*/scores.parquet"
        yield (
            "command",
            next((inputs.commands[cell] for cell in inputs.commands if group_of(cell) == first), _command(first)),
        )


def _at(group: Cell) -> str:
    return f", K = {group.n_shots}" if group.n_shots else ""


def _command(cell: Cell) -> str:
    """The stage that writes a cell, where DVC did not run it."""
    domain, model = domain_of(cell.test_domain), cell.method.split("-")[0]
    shots = f"--n-shots {cell.n_shots} --seed {cell.seed}"
    stage = {
        "control": f"controls --domain {domain}",
        "baseline": f"baselines --baseline {model} --domain {domain}",
        "icl": f"icl --model {'-'.join(cell.method.split('-')[1:-1])} --prompt {cell.method.split('-')[-1]}",
        "tuned": f"score --recipe {model} --train-domain {cell.train_domain}",
        "external": f"external --name {cell.method} --test-domain {cell.test_domain} {shots}",
    }
    return f"python -m benchmark.stages.{stage[cell.family]}"


def untrained_or(inputs: Inputs, group: Cell) -> Cell:
    """A method that does not learn has one result, which stands for every K."""
    untrained = replace(group, n_shots=0)
    return untrained if untrained in inputs.groups else group


def control_table(inputs: Inputs, domain: str) -> Table:
    """Every control at every K, and those that learn on all training rows."""
    n_train: int = inputs.stats[domain]["splits"]["train"]["rows"]
    shots = (*inputs.params.grid.n_shots, n_train)
    rows: list[Row] = []
    for name in inputs.params.grid.controls:
        groups = [Cell("control", name, domain, domain, n_shots, 0) for n_shots in shots]
        summaries = [inputs.groups.get(untrained_or(inputs, group)) for group in groups]
        rows.append(Row(name, tuple(map(summary_entry, summaries)), is_run=any(summaries)))
    columns = (*(f"K={k}" for k in shots[:-1]), f"all {n_train} rows")
    return Table(f"controls_{domain}", f"Controls, {domain}", columns, tuple(rows), domain=domain)


def icl_table(inputs: Inputs, domain: str) -> Table:
    """In-context learning: every model, prompt and number of demonstrations; of servers, what became of the answers."""
    groups = [group for group in inputs.groups if group.family == "icl" and group.test_domain == domain]
    asked = {group: records for group in groups if (records := _records_of_servers(inputs, group))}
    rows = [
        Row(
            group.method,
            (
                Entry(str(group.n_shots)),
                summary_entry(inputs.groups[group]),
                *other_entries(inputs, group),
                *(_answers_of_server(asked.get(group, [])) if asked else ()),
            ),
            is_run=inputs.groups[group] is not None,
            more=tuple(behind(inputs, [group])),
        )
        for group in groups
    ]
    columns = ("demonstrations", "AUC", *OTHER_TITLES, *(("refused", "unparsable", "dollars") if asked else ()))
    return Table(f"icl_{domain}", f"In-context learning, {domain}", columns, tuple(rows), domain=domain)


def _records_of_servers(inputs: Inputs, group: Cell) -> list[Mapping[str, Any]]:
    """The records of the seeds of a group whose model was behind an address."""
    return [
        record
        for cell, record in inputs.records.items()
        if replace(cell, seed=group.seed) == group and "share_refused" in record
    ]


def _answers_of_server(records: Sequence[Mapping[str, Any]]) -> tuple[Entry, Entry, Entry]:
    """Shares of answers that could not be read, as means over seeds, and what all of them cost."""
    if not records:
        return Entry(DASH), Entry(DASH), Entry(DASH)
    refused, unparsable = (
        Entry(f"{100 * statistics.fmean(record[key] for record in records):.1f} %")
        for key in ("share_refused", "share_unparsable")
    )
    dollars = [record["dollars"] for record in records]
    return refused, unparsable, Entry(DASH if None in dollars else f"{sum(dollars):.2f}")


def cross_domain_table(inputs: Inputs, recipe: str) -> Table:
    """Rows: what the recipe was tuned on; columns: test domain and K."""
    grid = inputs.params.grid
    places = [(domain, n_shots) for domain in grid.domains for n_shots in grid.n_shots]
    rows: list[Row] = []
    for train in grid.train_domains:
        groups = [Cell("tuned", f"{recipe}-{train}", train, domain, n_shots, 0) for domain, n_shots in places]
        found = [inputs.groups.get(group) for group in groups]
        shaded = (replace(summary_entry(one), shade=shade(one.auc) if one else None) for one in found)
        name, more = method_name(inputs.params, f"{recipe}-{train}"), tuple(behind(inputs, groups))
        rows.append(Row(name, tuple(shaded), is_run=any(found), more=more))
    columns = tuple(f"{domain} K={n_shots}" for domain, n_shots in places)
    title = f"{RECIPES[recipe]}: tuned on (row), tested on (column)"
    return Table(f"cross_domain_{recipe}", title, columns, tuple(rows))


def shade(auc: float) -> float:
    """0 at chance and below, 1 at an AUC of 0.9 and above."""
    return min(1.0, max(0.0, (auc - 0.5) / 0.4))
