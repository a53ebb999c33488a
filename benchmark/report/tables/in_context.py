"""The table of in-context learning, and what became of the answers of servers."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from benchmark.report.inputs import Inputs
from benchmark.report.tables.form import DASH, Entry, Row, Table
from benchmark.report.tables.results import OTHER_TITLES, behind, other_entries, summary_entry
from benchmark.schema import Cell


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
