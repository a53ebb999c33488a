"""Where the results come from: records in short, commands, fidelity switches."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from benchmark.config.params import FidelityParams
from benchmark.report.inputs import Inputs
from benchmark.report.tables.form import MISSING, Entry, Row, Table

RELEASED: Mapping[str, str] = {
    "draw": "released",
    "prompt": "released",
    "loss": "all_tokens",
    "scoring": "double_softmax",
    "checkpoint": "best_auc",
    "both_validation": "first_domain",
}
"""The value of each fidelity switch in the released code."""


def provenance_rows(inputs: Inputs) -> dict[str, str]:
    """What made the results, in short; every distinct value is listed."""
    records = list(inputs.records.values())
    if not records:
        return {"records": MISSING}
    versions = Counter(f"{name} {v}" for record in records for name, v in record.get("versions", {}).items())
    started = sorted(str(record["started_at"]) for record in records if record.get("started_at"))
    n_dirty = sum(bool(record.get("is_dirty")) for record in records)
    return {
        "records": f"{len(records)} of {len(inputs.rows)} cells",
        "commit": _distinct([record.get("commit") for record in records]),
        "changed files": f"{n_dirty} cells ran on code that was not committed" if n_dirty else "none",
        "device": _distinct([record.get("device") for record in records]),
        "language model": f"{inputs.params.llm.model} at revision {inputs.params.llm.revision or 'none'}",
        "started": f"{started[0]} to {started[-1]}" if started else MISSING,
        "versions": ", ".join(versions),
    }


def _distinct(values: Sequence[object]) -> str:
    return ", ".join(dict.fromkeys(str(value) if value is not None else MISSING for value in values))


def command_table(inputs: Inputs) -> Table:
    """The command that makes each number again."""
    methods: dict[str, dict[str, str]] = defaultdict(dict)
    for cell, command in inputs.commands.items():
        methods[command][f"{cell.method} {cell.train_domain} → {cell.test_domain}"] = cell.family
    rows = [Row(command, (Entry(", ".join(names)),)) for command, names in methods.items()]
    return Table("commands", "Commands", ("makes",), tuple(rows))


def fidelity_table(fidelity: FidelityParams) -> Table:
    """Every switch between released and corrected behaviour, and where it stands."""
    rows: list[Row] = []
    for name, value in fidelity.model_dump().items():
        deviates = value != RELEASED[name]
        rows.append(Row(name, (Entry(str(value)), Entry("changed" if deviates else "as released"))))
    return Table("fidelity", "Fidelity switches", ("value", "against the released code"), tuple(rows))
