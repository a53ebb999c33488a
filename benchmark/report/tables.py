"""The tables, once: the page, the CSV files and the LaTeX files all show these."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from benchmark.methods.baselines import baseline_rows
from benchmark.report.inputs import Inputs
from benchmark.schema import Cell, domain_of
from benchmark.statistics.metrics import METRICS, OTHERS
from benchmark.statistics.results import Summary
from benchmark.verdicts.paper import TRUST, Paper, PaperNumber
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


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table; `group` is a heading above the first line that carries it."""

    name: str
    entries: tuple[Entry, ...]
    group: str = ""
    is_main: bool = False


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
    """Names of the columns in CSV, where `columns` repeat."""


def points(value: float | None, decimals: int = 2) -> str:
    """An AUC times 100, or `missing`."""
    return MISSING if value is None else f"{100 * value:.{decimals}f}"


def summary_entry(summary: Summary | None) -> Entry:
    """Mean AUC, its interval over users and seeds, the seeds' deviation, and how many are missing or failed."""
    if summary is None:
        return Entry(MISSING)
    parts = [_ends(summary.interval) or summary.why_no_interval]
    if summary.seed_sd is not None:
        parts.append(f"sd {points(summary.seed_sd, 1)}")
    if not summary.is_complete:
        parts.append(f"{summary.n_seeds} of {summary.n_expected} seeds")
    if summary.n_below_chance and max(summary.aucs) > FAR_ABOVE_CHANCE:
        median = points(statistics.median(summary.aucs), 1)
        parts.append(f"median {median}, {summary.n_below_chance} of {summary.n_seeds} below chance")
    return Entry(points(summary.auc), " · ".join(parts))


def _ends(interval: tuple[float, float] | None) -> str:
    return f"[{points(interval[0], 1)}, {points(interval[1], 1)}]" if interval else ""


def other_entries(inputs: Inputs, group: Cell) -> tuple[Entry, ...]:
    """The mean of every metric beside AUC, with its interval over users and seeds."""
    return tuple(_other_entry(inputs, group, metric) for metric in OTHERS)


def _other_entry(inputs: Inputs, group: Cell, metric: str) -> Entry:
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
        points(mean), _ends(estimate.interval_of_metric(inputs.params.evaluate.confidence)) or estimate.why_unknown
    )


def main_table(inputs: Inputs, paper: Paper, domain: str) -> Table:
    """The paper's main table: published, ours, verdict and AUC at equal share at each K, with the controls below."""
    grid = inputs.params.grid
    published = [n for n in paper.numbers if n.table == "main" and n.test_domain == domain]
    names = list(dict.fromkeys([*(n.method for n in published), *grid.baselines]))
    names = [name for name in names if not name.startswith("tallrec-")]
    others = [row for model in grid.baselines for row in baseline_rows(model, inputs.params.baselines) if row != model]
    rows: list[Row] = []
    for name in names:
        groups = [Cell("baseline", name, domain, domain, n_shots, 0) for n_shots in grid.n_shots]
        rows.append(Row(name, _beside(inputs, paper, published, groups), "Conventional recommenders, as released"))
    for name in others:
        groups = [Cell("baseline", name, domain, domain, n_shots, 0) for n_shots in grid.n_shots]
        rows.append(Row(name, _beside(inputs, paper, [], groups), "The same with another head, decay or checkpoint"))
    tallrec = f"tallrec-{domain}"
    groups = [Cell("tuned", tallrec, domain, domain, n_shots, 0) for n_shots in grid.n_shots]
    rows.append(Row(tallrec, _beside(inputs, paper, published, groups), "Tuned language model", is_main=True))
    for name in grid.controls:
        groups = [_control_group(inputs, name, domain, n_shots) for n_shots in grid.n_shots]
        rows.append(Row(name, _beside(inputs, paper, [], groups), "Controls: no model is trained"))
    if domain in inputs.ceilings:
        ceiling = Entry(points(inputs.ceilings[domain]), "best possible")
        rows.append(
            Row("Bayes ceiling", (Entry(DASH), ceiling, Entry(""), Entry(DASH)) * len(grid.n_shots), "Generated data")
        )
    columns = tuple(
        name for n_shots in grid.n_shots for name in (f"K={n_shots} paper", "ours", "verdict", "at equal share")
    )
    names = ("paper", "ours", "verdict", "at_equal_share")
    keys = tuple(f"k{n_shots}_{name}" for n_shots in grid.n_shots for name in names)
    beyond = sorted({n.n_shots for n in published} - set(grid.n_shots))
    note = f"The paper also has K = {', '.join(map(str, beyond))}, which is not in this grid." if beyond else ""
    return Table(f"main_{domain}", f"Few-shot AUC, {domain}", columns, tuple(rows), note, domain, keys)


def _control_group(inputs: Inputs, name: str, domain: str, n_shots: int) -> Cell:
    """A control that does not learn has one result, which stands for every K."""
    group = Cell("control", name, domain, domain, n_shots, 0)
    untrained = Cell("control", name, domain, domain, 0, 0)
    return untrained if untrained in inputs.groups else group


def _beside(
    inputs: Inputs, paper: Paper, published: Sequence[PaperNumber], groups: Sequence[Cell]
) -> tuple[Entry, ...]:
    return tuple(entry for group in groups for entry in _four(inputs, paper, published, group))


def _four(inputs: Inputs, paper: Paper, published: Sequence[PaperNumber], group: Cell) -> Iterator[Entry]:
    number = next((n for n in published if n.group == group), None)
    yield Entry(points(number.auc) if number else DASH)
    yield summary_entry(inputs.groups.get(group))
    verdict = verdict_on(inputs, paper, number) if number else None
    yield _badge(verdict, paper) if verdict else Entry("")
    yield _other_entry(inputs, group, "equal_share_auc")


def _badge(verdict: Verdict, paper: Paper) -> Entry:
    """A verdict, what it rests on, and what others got. What is not comparable at all is said above the table."""
    said = [verdict.reason] if verdict.verdict not in ("missing", "not comparable") else []
    if verdict.reservations:
        said.append(f"not as in the paper: {len(verdict.reservations)}, listed below")
    for trust in TRUST:
        runs = [points(run.auc) for run in paper.runs_beside(verdict.number) if run.repository.trust == trust]
        said += [f"independent, {trust} trust: {', '.join(runs)}"] if runs else []
    return Entry("", badge=verdict.label, detail="; ".join(said))


def verdict_on(inputs: Inputs, paper: Paper, number: PaperNumber) -> Verdict:
    """The verdict on one published number."""
    return judge(
        number,
        inputs.groups,
        inputs.estimates,
        why_not_comparable(number, inputs.params, paper, inputs.test_rows),
        reservations(number, inputs.params, inputs.stand_ins),
    )


def extended_table(inputs: Inputs, test_domain: str) -> Table:
    """AUC and UAUC of every method at every K on a further test set; a method without draws stands in every column."""
    shots = inputs.params.grid.n_shots
    methods = dict.fromkeys(
        (group.family, group.method, group.train_domain) for group in inputs.groups if group.test_domain == test_domain
    )
    rows: list[Row] = []
    for family, method, train_domain in methods:
        of_shots = [Cell(family, method, train_domain, test_domain, n_shots, 0) for n_shots in shots]
        without = Cell(family, method, train_domain, test_domain, 0, 0)
        groups = [without if without in inputs.groups else group for group in of_shots]
        entries = (e for g in groups for e in (summary_entry(inputs.groups.get(g)), _other_entry(inputs, g, "uauc")))
        rows.append(Row(method, tuple(entries), family))
    stats = inputs.stats[domain_of(test_domain)]["extended"]
    columns = tuple(name for n_shots in shots for name in (f"K={n_shots} AUC", "UAUC"))
    keys = tuple(f"k{n_shots}_{name}" for n_shots in shots for name in ("auc", "uauc"))
    note = f"{stats['rows']} rows of {stats['users']} users who are in no split of {domain_of(test_domain)}."
    return Table(f"main_{test_domain}", f"Few-shot AUC, {test_domain}", columns, tuple(rows), note, test_domain, keys)


def within_user_table(inputs: Inputs, domain: str) -> Table:
    """AUC and every other metric of every method at its largest K of the grid."""
    largest = max(inputs.params.grid.n_shots)
    rows: list[Row] = []
    for group, summary in inputs.groups.items():
        if group.test_domain == domain and group.n_shots in (largest, 0):
            entries = (Entry(str(group.n_shots)), summary_entry(summary), *other_entries(inputs, group))
            rows.append(Row(group.method, entries, group.family, is_main=group.method == f"tallrec-{domain}"))
    title = f"Beside AUC, {domain}"
    note = " ".join(f"{METRICS[name].title}: {METRICS[name].meaning}." for name in OTHERS)
    return Table(f"within_users_{domain}", title, ("K", "AUC", *OTHER_TITLES), tuple(rows), note, domain)


def control_table(inputs: Inputs, domain: str) -> Table:
    """Every control at every K, and those that learn on all training rows."""
    n_train: int = inputs.stats[domain]["splits"]["train"]["rows"]
    shots = (*inputs.params.grid.n_shots, n_train)
    rows = [
        Row(
            name,
            tuple(summary_entry(inputs.groups.get(_control_group(inputs, name, domain, k))) for k in shots),
        )
        for name in inputs.params.grid.controls
    ]
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
        entries = [(summary_entry(summary), summary) for summary in (inputs.groups.get(group) for group in groups)]
        shaded = tuple(Entry(e.text, e.detail, shade=shade(s.auc) if s else None) for e, s in entries)
        rows.append(Row(f"{recipe}-{train}", shaded))
    columns = tuple(f"{domain} K={n_shots}" for domain, n_shots in places)
    return Table(f"cross_domain_{recipe}", f"{recipe}: tuned on (row), tested on (column)", columns, tuple(rows))


def shade(auc: float) -> float:
    """0 at chance and below, 1 at an AUC of 0.9 and above."""
    return min(1.0, max(0.0, (auc - 0.5) / 0.4))
