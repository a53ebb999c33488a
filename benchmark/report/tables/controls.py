"""The table of the controls."""

from benchmark.report.inputs import Inputs
from benchmark.report.tables.form import Row, Table
from benchmark.report.tables.results import summary_entry, untrained_or
from benchmark.schema import Cell


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
