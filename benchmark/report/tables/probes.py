"""The table of results on changed inputs."""

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence

from benchmark.config.run_names import method_name
from benchmark.methods.probes import PROMPT_STYLES
from benchmark.report.inputs import Inputs, group_in
from benchmark.report.tables.form import DASH, MISSING, Entry, Row, Table, points
from benchmark.schema import Cell


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
