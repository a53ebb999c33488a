"""What each cell cost: seconds, tokens a second, peak memory and device, as its records tell. Never the same twice."""

import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from typing import Any

from benchmark.artifacts.files import read_json
from benchmark.artifacts.provenance import run_file
from benchmark.config.run_names import method_name
from benchmark.report.inputs import Inputs
from benchmark.report.tables.form import Entry, Row, Table, points
from benchmark.schema import Cell, group_of
from benchmark.statistics.results import KEY_COLUMNS

COST_COLUMNS = (
    *KEY_COLUMNS,
    *("seconds", "tuning_seconds", "tokens_per_second", "peak_memory_bytes", "device", "n_steps"),
)


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one cell; None for what no record holds."""

    seconds: float | None
    """To predict; of a baseline, to train too."""
    tuning_seconds: float | None
    """To tune its adapter, validations included. An adapter that several test domains share counts in each."""
    tokens_per_second: float | None
    """Of prompts, while predicting."""
    peak_memory_bytes: int | None
    """The higher one of tuning and predicting: of the device, or resident where that is a CPU."""
    device: str | None
    n_steps: int | None
    """Updates of the model."""


def cost_of(cell: Cell, records: Mapping[Cell, Mapping[str, Any]]) -> Cost:
    """The cost of a cell from the record of its prediction and, of a tuned one, of its adapter."""
    record = records.get(cell, {})
    tuned = run_file(replace(cell, test_domain=cell.train_domain), "runs/tune")
    tuning: Mapping[str, Any] = read_json(tuned) if cell.family == "tuned" and tuned.exists() else {}
    seconds: float | None = record.get("wall_seconds")
    n_tokens: int | None = record.get("n_tokens")
    peaks = [one.get("peak_device_memory_bytes") or one.get("peak_memory_bytes") for one in (record, tuning)]
    return Cost(
        seconds=seconds,
        tuning_seconds=tuning.get("wall_seconds"),
        tokens_per_second=n_tokens / seconds if seconds and n_tokens else None,
        peak_memory_bytes=max((peak for peak in peaks if peak), default=None),
        device=record.get("device"),
        n_steps=tuning.get("n_steps", record.get("n_updates")),
    )


def cost_rows(inputs: Inputs) -> Iterator[tuple[object, ...]]:
    """One row a cell in the order of `metrics.csv`, as `COST_COLUMNS`."""
    for row in inputs.rows:
        yield (*astuple(row.cell), *astuple(cost_of(row.cell, inputs.records)))


def mean_costs(inputs: Inputs) -> dict[str, Any]:
    """Means over K, seeds, domains: `cost` -> method -> measure, for `dvc metrics diff`; what is known alone."""
    costs: dict[str, list[Cost]] = defaultdict(list)
    for row in inputs.rows:
        costs[row.cell.method].append(cost_of(row.cell, inputs.records))
    means = {method: _mean(group) for method, group in costs.items()}
    known = {
        method: {name: value for name, value in asdict(mean).items() if isinstance(value, int | float)}
        for method, mean in means.items()
    }
    return {"cost": known}


def cost_table(inputs: Inputs) -> Table:
    """AUC, time and memory side by side, by method, test domain and K."""
    costs: dict[Cell, list[Cost]] = defaultdict(list)
    for cell in inputs.records:
        costs[group_of(cell)].append(cost_of(cell, inputs.records))
    rows: list[Row] = []
    for group, found in inputs.groups.items():
        if group not in costs:
            continue
        mean = _mean(costs[group])
        entries = (
            Entry(str(group.n_shots)),
            Entry(points(found and found.auc)),
            Entry(str(len(costs[group]))),
            _number(mean.tuning_seconds, ",.2f"),
            _number(mean.seconds, ",.2f"),
            _number(mean.tokens_per_second, ",.0f"),
            _number(None if mean.peak_memory_bytes is None else mean.peak_memory_bytes / 2**20, ",.0f"),
        )
        rows.append(Row(f"{method_name(inputs.params, group.method)} on {group.test_domain}", entries, group.family))
    columns = ("K", "AUC", "cells", "tuning s", "predicting s", "tokens/s", "peak MiB")
    note = "Means over seeds; of memory, the highest. A baseline is trained while it predicts. Tokens: of prompts."
    return Table("cost", "Cost of each method beside its AUC", columns, tuple(rows), note)


def _mean(costs: Sequence[Cost]) -> Cost:
    """Of what is known; of memory, the highest."""

    def mean(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return statistics.fmean(known) if known else None

    return Cost(
        mean([cost.seconds for cost in costs]),
        mean([cost.tuning_seconds for cost in costs]),
        mean([cost.tokens_per_second for cost in costs]),
        max((cost.peak_memory_bytes for cost in costs if cost.peak_memory_bytes), default=None),
        next((cost.device for cost in costs), None),
        None,
    )


def _number(value: float | None, form: str) -> Entry:
    return Entry("" if value is None else format(value, form))
