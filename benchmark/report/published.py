"""What others published, as tables: the numbers of the paper, and independent runs of its code."""

from benchmark.report.inputs import Inputs
from benchmark.report.tables import Entry, Row, Table, points, summary_entry, verdict_on
from benchmark.schema import Cell
from benchmark.verdicts.paper import STATUSES, Paper
from benchmark.verdicts.published import VERDICTS
from benchmark.verdicts.setting import has_the_papers_model

NOT_SAID = "not said"


def verdict_counts(inputs: Inputs, paper: Paper) -> dict[str, dict[str, int]]:
    """How often each verdict was given, by status; a result that stands in several tables counts once."""
    found: dict[str, dict[str, int]] = {status: dict.fromkeys(VERDICTS, 0) for status in STATUSES}
    seen: set[tuple[Cell, float]] = set()
    for number in sorted(paper.numbers, key=lambda one: STATUSES.index(one.status)):
        if (number.group, number.auc) not in seen:
            seen.add((number.group, number.auc))
            found[number.status][verdict_on(inputs, paper, number).verdict] += 1
    return found


def published_table(inputs: Inputs, paper: Paper) -> Table:
    """Every published number with its source, ours, the verdict and what it rests on."""
    rows: list[Row] = []
    for number in paper.numbers:
        verdict = verdict_on(inputs, paper, number)
        is_ours = number.group.family not in ("icl", "tuned") or has_the_papers_model(inputs.params, paper)
        entries = (
            Entry(f"{number.train_domain} → {number.test_domain}"),
            Entry(str(number.n_shots)),
            Entry(points(number.auc), number.status),
            summary_entry(verdict.observed) if is_ours else Entry("not run"),
            Entry("", badge=verdict.label),
            Entry("; ".join([verdict.reason, *verdict.reservations])),
        )
        rows.append(Row(number.method, entries, f"{number.table}: {paper.sources[number.source]}"))
    columns = ("train → test", "K", "paper", "ours", "verdict", "why")
    return Table("published", "Every published number", columns, tuple(rows))


def independent_table(inputs: Inputs, paper: Paper) -> Table:
    """What others got for TALLRec, beside the paper's number and ours at the same K on the same domain."""
    published = {number.group: number for number in paper.numbers if number.table == "main"}
    rows: list[Row] = []
    for run in paper.independent_runs:
        group = Cell("tuned", f"tallrec-{run.domain}", run.domain, run.domain, run.n_shots or 0, 0)
        number, ours = published.get(group), inputs.groups.get(group)
        verdict = verdict_on(inputs, paper, number) if number else None
        is_comparable = run.repository.same_setting and verdict and verdict.verdict != "not comparable"
        entries = (
            Entry(NOT_SAID if run.n_shots is None else str(run.n_shots)),
            Entry(NOT_SAID if run.seed is None else str(run.seed)),
            Entry(points(run.auc)),
            Entry(points(number.auc) if number else ""),
            summary_entry(ours) if is_comparable else Entry(""),
            Entry(run.repository.trust, run.repository.note),
        )
        heading = f"{run.repository.address}: {run.repository.setting}"
        rows.append(Row(f"tallrec-{run.domain}", entries, heading))
    note = (
        "AUC of TALLRec from result files and issues of public repositories. Ours stands beside a run where both "
        "measure the same."
    )
    columns = ("K", "seed", "theirs", "paper", "ours", "trust")
    return Table("independent_runs", "Independent runs", columns, tuple(rows), note)
