"""The table of transfer between domains, as a heat map."""

from dataclasses import replace

from benchmark.config.run_names import RECIPES, method_name
from benchmark.report.inputs import Inputs
from benchmark.report.tables.form import Row, Table
from benchmark.report.tables.results import behind, summary_entry
from benchmark.schema import Cell


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
