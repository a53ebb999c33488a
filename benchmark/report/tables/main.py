"""The tables of the few-shot results: the paper's number, ours and the verdict; and what is behind each row."""

from collections.abc import Iterator, Mapping, Sequence

from benchmark.config.run_names import PAPERS_MODEL, method_name
from benchmark.methods.baselines import baseline_rows
from benchmark.report.inputs import Inputs
from benchmark.report.tables.form import DASH, PUBLISHED, Entry, Row, Table, points
from benchmark.report.tables.results import (
    OTHER_TITLES,
    behind,
    other_entries,
    other_entry,
    summary_entry,
    untrained_or,
    verdict_on,
)
from benchmark.schema import Cell, domain_of, group_of
from benchmark.verdicts.paper import TRUST, Paper, PaperNumber
from benchmark.verdicts.published import Verdict
from benchmark.verdicts.setting import has_the_papers_model

COLUMNS = ("paper", "ours", "verdict", "at equal share")


def main_table(inputs: Inputs, paper: Paper, domain: str) -> Table:
    """Published, ours, verdict and AUC at equal share at each K, with the controls below.

    A language model that is not the paper's has a row of its own, beside which no number of the paper stands.
    """
    grid = inputs.params.grid
    published = [n for n in paper.numbers if n.table == "main" and n.test_domain == domain]
    numbers = {number.group: number for number in published}
    rows: list[Row] = []

    def add(family: str, method: str, heading: str, beside: Mapping[Cell, PaperNumber]) -> None:
        groups = [Cell(family, method, domain, domain, n_shots, 0) for n_shots in grid.n_shots]
        if family in ("control", "external"):
            groups = [untrained_or(inputs, group) for group in groups]
        entries = tuple(entry for group in groups for entry in _four(inputs, paper, beside.get(group), group))
        is_run = any(inputs.groups.get(group) for group in groups)
        name, more = method_name(inputs.params, method, domain), tuple(_more(inputs, paper, beside, groups))
        rows.append(Row(name, entries, heading, family == "tuned", is_run, family, more))

    for name in grid.baselines:
        add("baseline", name, "Conventional recommenders, as released", numbers)
    for model in grid.baselines:
        for name in baseline_rows(model, inputs.params.baselines):
            if name != model:
                add("baseline", name, "The same with another head, decay or checkpoint", {})
    is_papers = has_the_papers_model(inputs.params, paper)
    if "tallrec" in grid.recipes and domain in grid.train_domains:
        add("tuned", f"tallrec-{domain}", "Tuned language model", numbers if is_papers else {})
    if not is_papers and published:
        rows.append(_row_of_paper(paper, domain, grid.n_shots))
    for name in dict.fromkeys(entry.name for entry in inputs.params.external if entry.test_domain == domain):
        add("external", name, "Scores from elsewhere", {})
    for name in grid.controls:
        add("control", name, "Controls: no model is trained", {})
    if domain in inputs.ceilings:
        ceiling = (Entry(DASH), Entry(points(inputs.ceilings[domain]), "best possible"), Entry(""), Entry(DASH))
        rows.append(Row("Bayes ceiling", ceiling * len(grid.n_shots), "Generated data"))
    columns = tuple(f"K={n_shots} {name}" for n_shots in grid.n_shots for name in COLUMNS)
    keys = tuple(f"k{n_shots}_{name.replace(' ', '_')}" for n_shots in grid.n_shots for name in COLUMNS)
    note = _left_out(published, inputs)
    return Table(f"main_{domain}", f"Few-shot AUC, {domain}", columns, tuple(rows), note, domain, keys)


def _row_of_paper(paper: Paper, domain: str, shots: Sequence[int]) -> Row:
    """The numbers of a model that was not run here."""
    found = {n.n_shots: n for n in paper.numbers if n.table == "main" and n.method == f"tallrec-{domain}"}
    numbers = [found.get(n_shots) for n_shots in shots]
    entries = [
        (Entry(points(number.auc) if number else DASH), Entry("not run"), Entry(""), Entry(DASH)) for number in numbers
    ]
    name = f"TALLRec ({PAPERS_MODEL})"
    more = tuple((f"K = {n.n_shots}", said) for n in numbers if n and (said := _independent(paper, n)))
    return Row(name, tuple(e for four in entries for e in four), "Tuned language model", family=PUBLISHED, more=more)


def _left_out(published: Sequence[PaperNumber], inputs: Inputs) -> str:
    """What the paper has beyond this grid."""
    grid = inputs.params.grid
    shots = sorted({number.n_shots for number in published} - set(grid.n_shots))
    methods = dict.fromkeys(number.method for number in published)
    lost = [name for name in methods if name not in (*grid.baselines, *(f"tallrec-{d}" for d in grid.domains))]
    said = [f"K = {', '.join(map(str, shots))}"] if shots else []
    said += [", ".join(lost)] if lost else []
    be = "is" if len(shots + lost) == 1 else "are"
    return f"The paper also has {' and '.join(said)}, which {be} not in this grid." if said else ""


def _four(inputs: Inputs, paper: Paper, number: PaperNumber | None, group: Cell) -> Iterator[Entry]:
    yield Entry(points(number.auc) if number else DASH)
    yield summary_entry(inputs.groups[group]) if group in inputs.groups else Entry(DASH)
    verdict = verdict_on(inputs, paper, number) if number else None
    yield Entry("", badge=verdict.label) if verdict else Entry("")
    yield other_entry(inputs, group, "equal_share_auc") if group in inputs.groups else Entry(DASH)


def _more(
    inputs: Inputs, paper: Paper, numbers: Mapping[Cell, PaperNumber], groups: Sequence[Cell]
) -> Iterator[tuple[str, str]]:
    """What a row unfolds: why its verdicts, its seeds, its files, and the command that makes it."""
    for group in dict.fromkeys(groups):
        number = numbers.get(group)
        if number and (said := _reason(verdict_on(inputs, paper, number), paper)):
            yield f"verdict, K = {group.n_shots}", said
    yield from behind(inputs, groups)


def _reason(verdict: Verdict, paper: Paper) -> str:
    """What a verdict rests on, and what others got."""
    said = [verdict.reason] if verdict.verdict not in ("missing", "not comparable") else []
    said += verdict.reservations
    return "; ".join([*said, *([others] if (others := _independent(paper, verdict.number)) else [])])


def _independent(paper: Paper, number: PaperNumber) -> str:
    """What independent runs of the released code got for the same."""
    said: list[str] = []
    for trust in TRUST:
        runs = [points(run.auc) for run in paper.runs_beside(number) if run.repository.trust == trust]
        said += [f"independent, {trust} trust: {', '.join(runs)}"] if runs else []
    return "; ".join(said)


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
        entries = (e for g in groups for e in (summary_entry(inputs.groups.get(g)), other_entry(inputs, g, "uauc")))
        is_run = any(inputs.groups.get(group) for group in groups)
        name, more = method_name(inputs.params, method, domain_of(test_domain)), tuple(behind(inputs, groups))
        rows.append(Row(name, tuple(entries), family, False, is_run, family, more))
    stats = inputs.stats[domain_of(test_domain)]["extended"]
    columns = tuple(f"K={n_shots} {name}" for n_shots in shots for name in ("AUC", "UAUC"))
    keys = tuple(f"k{n_shots}_{name}" for n_shots in shots for name in ("auc", "uauc"))
    note = f"{stats['rows']} rows of {stats['users']} users who are in no split of {domain_of(test_domain)}."
    return Table(f"main_{test_domain}", f"Few-shot AUC, {test_domain}", columns, tuple(rows), note, test_domain, keys)


def external_table(inputs: Inputs, test_domain: str) -> Table:
    """Scores from elsewhere, at whatever K they were made, and what in their files vouches for the ids."""
    groups = [group for group in inputs.groups if (group.family, group.test_domain) == ("external", test_domain)]
    rows: list[Row] = []
    for group in groups:
        told = {", ".join(r["ids_checked_by"]) for cell, r in inputs.records.items() if group_of(cell) == group}
        found = (summary_entry(inputs.groups[group]), *other_entries(inputs, group))
        entries = (Entry(str(group.n_shots)), *found, Entry("; ".join(sorted(told)) or "nothing"))
        rows.append(Row(group.method, entries, is_run=bool(inputs.groups[group]), more=tuple(behind(inputs, [group]))))
    columns = ("K", "AUC", *OTHER_TITLES, "ids checked by")
    return Table(f"external_{test_domain}", f"From elsewhere, {test_domain}", columns, tuple(rows), domain=test_domain)
