"""Tables in the terminal: the main one, also as Markdown, and what the scatter of a baseline is made of."""

from collections.abc import Iterable, Iterator, Sequence

from benchmark.config.run_names import method_name
from benchmark.report.comparison import columns
from benchmark.report.finding import findings
from benchmark.report.inputs import Inputs
from benchmark.report.tables.form import DASH, MISSING, points
from benchmark.schema import Cell, domain_of
from benchmark.statistics.components import Component
from benchmark.statistics.results import Summary
from benchmark.verdicts.paper import Paper
from benchmark.verdicts.published import why_not_comparable

FAMILIES = {
    "control": "rules and controls",
    "baseline": "recommenders",
    "icl": "in context",
    "tuned": "tuned",
    "external": "scores from elsewhere",
}
"""Heading of each family, in the order of the table."""


def lines(inputs: Inputs, paper: Paper, *, is_markdown: bool) -> Iterator[str]:
    """The table of each test set, what the paper has in brackets, and what was found."""
    params = inputs.params
    for test_domain in (name for domain in params.grid.domains for name in params.test_sets(domain)):
        header = [test_domain, *(f"K = {n_shots}" for n_shots in params.grid.n_shots), "within users"]
        rows = list(_rows(inputs, paper, test_domain))
        yield from _markdown(header, rows) if is_markdown else columns(header, rows)
        yield ""
    percent = f"{100 * params.evaluate.confidence:g} %"
    yield f"AUC x100, mean over seeds ± {percent} margin over users and seeds; in brackets the paper's on these rows."
    yield "Within users: mean AUC among the items of one user, at the largest K."
    yield ""
    yield from findings(inputs, paper)


def component_lines(found: Iterable[tuple[str, float, Sequence[Component]]]) -> Iterator[str]:
    """A line a part of the scatter of a single run, in points (x100), with its share of the variance."""
    rows: list[list[str]] = []
    for method, mean, parts in found:
        whole = sum(part.variance for part in parts) or 1.0
        rows.append([method, points(mean), "", ""])
        for part in parts:
            ends = f"{points(part.low)} to {points(part.high)}"
            rows.append([f"  {part.name}", points(part.variance**0.5), ends, f"{part.variance / whole:.0%}"])
    yield from columns(["AUC; standard deviation by", "x100", "interval", "share"], rows)


def _rows(inputs: Inputs, paper: Paper, test_domain: str) -> Iterator[list[str]]:
    params, shots = inputs.params, inputs.params.grid.n_shots
    published = {
        number.group: number.auc
        for number in paper.numbers
        if number.table == "main" and not why_not_comparable(number, inputs.params, paper, inputs.test_rows)
    }
    for family, heading in FAMILIES.items():
        was_run: dict[tuple[str, str, int], bool] = {}
        for group, summary in inputs.groups.items():
            if (group.family, group.test_domain) == (family, test_domain):
                key = group.method, group.train_domain, _own_k(group, shots)
                was_run[key] = was_run.get(key, False) or summary is not None
        said = " ({} shown)" if family == "icl" else " (K = {})"
        n_missing = sum(not any_run for any_run in was_run.values())
        if was_run:
            yield [heading + (f" ({n_missing} not run)" if n_missing else ""), *[""] * (len(shots) + 1)]
        for method, train_domain, own_k in (key for key, any_run in was_run.items() if any_run):
            groups = [Cell(family, method, train_domain, test_domain, n_shots, 0) for n_shots in shots]
            without = Cell(family, method, train_domain, test_domain, own_k, 0)
            if without in inputs.groups:
                cells = [_cell(inputs.groups[without], None), *["the same"] * (len(shots) - 1)]
                within = inputs.groups[without]
            else:
                cells = [_cell(inputs.groups[g], published.get(g)) if g in inputs.groups else DASH for g in groups]
                within = inputs.groups.get(groups[-1])
            uauc = within.mean("uauc") if within else None
            yield [
                f"  {method_name(params, method, domain_of(test_domain))}" + (said.format(own_k) if own_k else ""),
                *cells,
                "" if uauc is None else points(uauc, 1),
            ]


def _own_k(group: Cell, shots: Sequence[int]) -> int:
    """K of a row of its own: of a model in context with each number of demonstrations, or of a K that no column has."""
    is_own = group.family == "icl" or (group.family == "external" and group.n_shots not in shots)
    return group.n_shots if is_own else 0


def _cell(summary: Summary | None, published: float | None) -> str:
    if summary is None:
        return MISSING
    text = points(summary.auc, 1)
    if summary.margin is not None:
        text += f" ±{points(summary.margin, 1)}"
    if summary.seeds_said:
        text += f", {summary.seeds_said}"
    return text + (f" ({points(published, 1)})" if published is not None else "")


def _markdown(header: list[str], rows: list[list[str]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield f"|---|{'---:|' * (len(header) - 1)}"
    for name, *cells in rows:
        is_heading = not name.startswith("  ")
        yield f"| {f'**{name}**' if is_heading else name.strip()} | {' | '.join(cells)} |"
