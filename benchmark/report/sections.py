"""What was run: data, provenance, memory, probes, commands and fidelity switches, as tables."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.artifacts.files import read_items, read_samples
from benchmark.artifacts.paths import prepared_folder, test_file
from benchmark.config.params import FidelityParams
from benchmark.config.run_names import asks_language_model, method_name
from benchmark.methods.probes import PROMPT_STYLES
from benchmark.report.inputs import Inputs, group_in
from benchmark.report.tables import DASH, MISSING, Entry, Row, Table, points
from benchmark.schema import Cell

RELEASED: Mapping[str, str] = {
    "draw": "released",
    "prompt": "released",
    "loss": "all_tokens",
    "scoring": "double_softmax",
    "checkpoint": "best_auc",
    "both_validation": "first_domain",
}
"""The value of each fidelity switch in the released code."""


def plain(value: object) -> str:
    """A value of a JSON file as text: `missing` for None, at most four decimals, thousands apart."""
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) > 9999 else str(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def flattened(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, keys joined by a space and freed of underscores."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        name = f"{prefix} {key}".strip().replace("_", " ")
        if isinstance(value, dict) and value:
            flat |= flattened(value, name)  # pyright: ignore[reportUnknownArgumentType]
        else:
            flat[name] = value if value not in ({}, []) else "none"
    return flat


@dataclass(frozen=True, slots=True)
class Example:
    """One sample of generated data as a language model is asked about it."""

    domain: str
    style: str
    prompt: str
    is_liked: bool


def examples(inputs: Inputs) -> list[Example]:
    """The example of each domain, once a prompt style of the grid; none without a language model."""
    from tallrec.prompts.rendering import render

    params, found = inputs.params, list[Example]()
    styles = list(dict.fromkeys((*(("released",) if params.grid.recipes else ()), *params.grid.prompts)))
    for domain in params.grid.domains if asks_language_model(params) else ():
        if example := inputs.examples.get(domain):
            sample = next(s for s in read_samples(test_file(domain)) if s.sample_id == example["sample_id"])
            items = read_items(prepared_folder(domain) / "items.parquet")
            for style in styles:
                prompt = render(style, sample, items, stray_comment=params.fidelity.prompt == "released")
                found.append(Example(domain, style, prompt, example["is_liked"]))
    return found


def stand_ins(inputs: Inputs) -> list[str]:
    """Every file that takes the place of another: results on it are not results on the published data."""
    return [
        f"{domain}: {stand_in} stands in for {name}"
        for domain, names in inputs.stand_ins.items()
        for name, stand_in in names.items()
    ]


def data_tables(inputs: Inputs, domain: str) -> list[Table]:
    """The splits of a domain side by side, and all else that is known of it."""
    stats = inputs.stats[domain]
    splits = {split: flattened(content) for split, content in stats["splits"].items()}
    names = list(dict.fromkeys(name for content in splits.values() for name in content))
    rows = [Row(n, tuple(Entry(plain(content.get(n))) for content in splits.values())) for n in names]
    rest = flattened({key: value for key, value in stats.items() if key != "splits"})
    rest |= {f"params {key}": value for key, value in flattened(inputs.params.domains[domain].model_dump()).items()}
    notes = [Row(name, (Entry(plain(value)),)) for name, value in rest.items()]
    return [
        Table(f"data_{domain}", f"Splits, {domain}", tuple(splits), tuple(rows), domain=domain),
        Table(f"notes_{domain}", f"Notes, {domain}", ("value",), tuple(notes), domain=domain),
    ]


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


def efficiency_table(inputs: Inputs) -> Table:
    """Memory and throughput of each configuration under the memory limit."""
    rows: list[Row] = []
    for row in inputs.efficiency:
        utilisation = row.get("utilisation")
        entries = (
            Entry(plain(row["quantization"])),
            Entry(plain(row["micro_batch_size"])),
            Entry(plain(row["gradient_checkpointing"])),
            Entry(plain(row.get("attention"))),
            Entry(_gib(row.get("peak_memory_bytes"))),
            Entry(_gib(row.get("foretold_bytes"))),
            Entry(plain(row.get("samples_per_second"))),
            Entry(plain(row.get("tokens_per_second"))),
            Entry(MISSING if utilisation is None else f"{utilisation:.0%}"),
            Entry(plain(row.get("device"))),
            Entry(plain(row.get("weights"))),
            Entry(plain(row["status"])),
        )
        rows.append(Row(str(row["name"]), entries))
    columns = (
        *("quantization", "micro-batch", "checkpointing", "attention", "peak GiB", "foretold GiB", "samples/s"),
        *("tokens/s", "of the peak speed", "device", "weights", "status"),
    )
    title = f"Memory and throughput, limit {inputs.params.efficiency.memory_limit_gb:g} GB"
    return Table("efficiency", title, columns, tuple(rows))


def _gib(n_bytes: int | None) -> str:
    return MISSING if n_bytes is None else f"{n_bytes / 2**30:.2f}"


def probe_table(inputs: Inputs) -> Table:
    """Mean AUC and UAUC on changed inputs, beside the unchanged ones."""
    values: dict[Cell, dict[str, list[Mapping[str, str]]]] = defaultdict(lambda: defaultdict(list))
    names = list(dict.fromkeys(row["probe"] for row in inputs.probes))
    for row in inputs.probes:
        values[group_in(row)][row["probe"]].append(row)
    changes = {
        (group_in(line), line["probe"]): _change(line) for line in inputs.probe_changes if line["metric"] == "auc"
    }
    rows: list[Row] = []
    for group, by_probe in values.items():
        found = inputs.groups.get(group)
        unchanged = _auc_and_uauc(found.auc, found.mean("uauc")) if found else Entry(MISSING)
        entries = [Entry(str(group.n_shots)), unchanged]
        for name in names:
            if group.family == "baseline" and name in PROMPT_STYLES:
                entries.append(Entry(DASH))
                continue
            entry = _auc_and_uauc(*(_mean(by_probe[name], metric) for metric in ("auc", "uauc")))
            if name in PROMPT_STYLES and found and entry.text != MISSING:
                entry = Entry(entry.text, f"{entry.detail} · consistent: {points(1 - found.auc)}")
            if entry.text != MISSING and (group, name) in changes:
                entry = Entry(entry.text, f"{entry.detail} · {changes[group, name]}")
            entries.append(entry)
        rows.append(
            Row(f"{method_name(inputs.params, group.method)} on {group.test_domain}", tuple(entries), group.family)
        )
    columns = ("K", "unchanged", *(name.replace("_", " ") for name in names))
    note = (
        "AUC, below it UAUC, means over seeds, and how the AUC changes against the unchanged inputs, with its margin "
        "over users and seeds, which are the same on both sides."
    )
    if any(name in PROMPT_STYLES for name in names):
        note += (
            " Where a dislike is asked for, higher means less liked: a consistent model has 100 minus its AUC, and the "
            "change is against that."
        )
    return Table("probes", "Changed inputs", columns, tuple(rows), note)


def _change(line: Mapping[str, str]) -> str:
    """Changed minus unchanged (or consistent), with its margin."""
    change = f"{100 * float(line['change']):+.1f}"
    if not line["high"]:
        return f"{change} ({line['why_no_interval']})"
    return f"{change} ± {100 * (float(line['high']) - float(line['change'])):.1f}"


def _auc_and_uauc(auc: float | None, uauc: float | None) -> Entry:
    if auc is None:
        return Entry(MISSING)
    return Entry(points(auc), "UAUC not defined" if uauc is None else f"UAUC {points(uauc)}")


def _mean(rows: Sequence[Mapping[str, str]], metric: str) -> float | None:
    """Over the seeds; None if there is none, or one has no value."""
    if not rows or not all(row[metric] for row in rows):
        return None
    return statistics.fmean(float(row[metric]) for row in rows)
