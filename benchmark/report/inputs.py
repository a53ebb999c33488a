"""Everything the report reads. What a stage has not written is empty here and `missing` on the page."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.artifacts.files import read_json
from benchmark.artifacts.paths import (
    METRICS_CSV,
    PROBES_CSV,
    ceiling_file,
    cell_folder,
    efficiency_file,
    memorised_file,
    prepared_folder,
)
from benchmark.artifacts.provenance import run_file
from benchmark.config.params import Params
from benchmark.config.pipeline import locked_stages
from benchmark.diagnostics.calibration import CALIBRATION_CSV
from benchmark.diagnostics.correlations import CORRELATIONS_CSV
from benchmark.diagnostics.examples import EXAMPLES_JSON
from benchmark.diagnostics.probing import PROBE_CHANGES_CSV
from benchmark.diagnostics.sensitivity import SENSITIVITY_CSV
from benchmark.diagnostics.slices import YEARS_CSV
from benchmark.methods.configuration import load_config
from benchmark.schema import Cell
from benchmark.statistics.estimates import INFLUENCE, Estimates
from benchmark.statistics.influence_file import read_influence
from benchmark.statistics.results import (
    MetricRow,
    Summary,
    read_rows,
    summarise,
)
from benchmark.verdicts.audit import AUDIT_JSON


@dataclass(frozen=True)
class Inputs:
    """All results of one run of the pipeline."""

    params: Params
    rows: Sequence[MetricRow]
    groups: Mapping[Cell, Summary | None]
    stats: Mapping[str, Mapping[str, Any]]
    """`stats.json` of each domain."""
    ceilings: Mapping[str, float]
    """AUC of the best possible scorer, of generated domains."""
    efficiency: Sequence[Mapping[str, Any]]
    memorised: Mapping[str, Mapping[str, Any]]
    """What stage `memorised` found, by domain."""
    years: Sequence[Mapping[str, str]]
    """The lines of `years.csv`."""
    probes: Sequence[Mapping[str, str]]
    estimates: Estimates
    """Of every method, and of any difference of two."""
    calibration: Sequence[Mapping[str, str]]
    correlations: Sequence[Mapping[str, str]]
    probe_changes: Sequence[Mapping[str, str]]
    sensitivity: Sequence[Mapping[str, str]]
    examples: Mapping[str, Mapping[str, Any]]
    """One sample of each test set of generated data, its answer and its scores."""
    audits: Mapping[str, Mapping[str, Any]]
    """`audit.json`, by domain."""
    records: Mapping[Cell, Mapping[str, Any]]
    """Provenance of the cells that have one."""
    commands: Mapping[Cell, str]
    """How to make each cell again."""

    @property
    def test_rows(self) -> dict[str, int]:
        """Rows of the test set of each domain."""
        return {domain: stats["splits"]["test"]["rows"] for domain, stats in self.stats.items()}

    @property
    def stand_ins(self) -> dict[str, Mapping[str, str]]:
        """Files that another one stands in for, with its name, by domain."""
        return {domain: stats.get("notes", {}).get("stand_in") or {} for domain, stats in self.stats.items()}


def read_inputs() -> Inputs:
    """Read the results in the working directory.

    Raises:
        MissingArtifactError: `metrics.csv` or the statistics of a domain are not there.
    """
    params = load_config()
    rows = read_rows(METRICS_CSV)
    estimates, _ = read_influence(INFLUENCE, rows)
    domains = params.grid.domains
    ceilings = {domain: ceiling_file(domain) for domain in domains}
    measured = [efficiency_file(one.name) for one in params.efficiency.configurations]
    known = {domain: memorised_file(domain) for domain in params.memory.domains}
    return Inputs(
        params=params,
        rows=rows,
        groups=summarise(rows, estimates, params.evaluate.confidence),
        stats={domain: read_json(prepared_folder(domain) / "stats.json") for domain in domains},
        ceilings={domain: read_json(path)["auc"] for domain, path in ceilings.items() if path.exists()},
        efficiency=[read_json(path) for path in measured if path.exists()],
        memorised={domain: read_json(path) for domain, path in known.items() if path.exists()},
        years=_read_csv(YEARS_CSV),
        probes=_read_csv(PROBES_CSV),
        estimates=estimates,
        calibration=_read_csv(CALIBRATION_CSV),
        correlations=_read_csv(CORRELATIONS_CSV),
        probe_changes=_read_csv(PROBE_CHANGES_CSV),
        sensitivity=_read_csv(SENSITIVITY_CSV),
        examples=read_json(EXAMPLES_JSON) if EXAMPLES_JSON.exists() else {},
        audits=read_json(AUDIT_JSON) if AUDIT_JSON.exists() else {},
        records={row.cell: read_json(run_file(row.cell)) for row in rows if run_file(row.cell).exists()},
        commands=_commands(rows),
    )


def group_in(line: Mapping[str, str]) -> Cell:
    """The group that a line of a table is of."""
    return Cell(line["family"], line["method"], line["train_domain"], line["test_domain"], int(line["n_shots"]), 0)


def _read_csv(path: Path) -> list[dict[str, str]]:
    """The lines of a table; none where it was not written."""
    if not path.exists():
        return []
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def _commands(rows: Sequence[MetricRow]) -> dict[Cell, str]:
    """The stage that wrote each cell, as `dvc.lock` has it; empty before the first `dvc repro`."""
    owners = {Path(out["path"]): name for name, stage in locked_stages(Path()).items() for out in stage.get("outs", [])}
    commands: dict[Cell, str] = {}
    for row in rows:
        own = cell_folder("predictions", row.cell)
        for folder in (own, *own.parents):
            if folder in owners:
                commands[row.cell] = f"dvc repro {owners[folder]}"
                break
    return commands
