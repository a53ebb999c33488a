"""What a language model may have known before: lines of the raw files by heart, and earlier films beside later ones."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmark.config.run_names import method_name
from benchmark.diagnostics.slices import PARTS
from benchmark.report.inputs import Inputs
from benchmark.report.tables.form import DASH, MISSING, NO_VALUE, Entry, Row, Table, points
from benchmark.schema import LANGUAGE_MODELS


def memory_tables(inputs: Inputs) -> list[Table]:
    """The tables of what was run: completions of each domain, and parts by year of each test set.

    Without a language model there is nothing to compare the controls with, and no table by year.
    """
    by_year = [_year_table(inputs, name) for name in dict.fromkeys(line["test_domain"] for line in inputs.years)]
    return [_memorised_table(domain, found) for domain, found in inputs.memorised.items()] + [
        table for table in by_year if any(row.group in LANGUAGE_MODELS for row in table.rows)
    ]


def _memorised_table(domain: str, found: Mapping[str, Any]) -> Table:
    """One row a kind of line: exact completions, and how far the model tells the right answer from another one."""
    rows: list[Row] = []
    for name, check in found["checks"].items():
        low, high = check["exact_interval"]
        is_auc = "rule_exact" in check
        entries = (
            Entry(str(check["n"])),
            Entry(str(check["exact"]), f"[{100 * low:.1f} %, {100 * high:.1f} %]"),
            Entry(str(check["control_exact"])),
            Entry(str(check["rule_exact"]) if is_auc else DASH),
            Entry(check["measure"]),
            *(_value(check, key, is_auc=is_auc) for key in ("value", "control", "difference")),
            *(_value(check, key, is_auc=True) if is_auc else Entry(DASH) for key in ("rule", "difference_to_rule")),
        )
        rows.append(Row(name, entries))
    columns = (
        *("asked", "exact", "exact, control", "exact, rule", "measure", "value", "control", "value minus control"),
        *("rule", "value minus rule"),
    )
    percent = f"{100 * found['confidence']:g} %"
    note = (
        f"Intervals of {percent} over items or users; AUC x100. Control: the same answer behind the prompt of another "
        "item or title; the same lines of a user and another item. Rule: the most frequent and the mean of the ten "
        "ratings in the prompt. A model that knows the file is above its control; one that knows the films may tell "
        "years too."
    )
    title = f"Lines of {domain} that {found['model']['model']} completes"
    return Table(f"memorised_{domain}", title, columns, tuple(rows), note, domain)


def _value(check: Mapping[str, Any], key: str, *, is_auc: bool) -> Entry:
    value, ends = check[key], check.get(f"{key}_interval")
    if value is None:
        return Entry(NO_VALUE)
    sign = "+" if "difference" in key else ""
    factor, decimals = (100, 1) if is_auc else (1, 2)
    interval = "[" + ", ".join(f"{factor * end:.{decimals}f}" for end in ends) + "]" if ends else ""
    return Entry(f"{factor * value:{sign}.{decimals}f}", interval)


def _year_table(inputs: Inputs, test_domain: str) -> Table:
    """AUC of each method on both parts; a control at the largest K alone."""
    largest = str(max(inputs.params.grid.n_shots))
    lines = [line for line in inputs.years if line["test_domain"] == test_domain]
    chosen: dict[tuple[str, ...], dict[str, Mapping[str, str]]] = {}
    for line in lines:
        if line["family"] in LANGUAGE_MODELS or line["n_shots"] in ("0", largest):
            key = (line["family"], line["method"], line["n_shots"])
            chosen.setdefault(key, {})[line["part"]] = line
    rows = [
        Row(
            method_name(inputs.params, method),
            (Entry(n_shots), *(_part(found.get(part), part) for part in PARTS)),
            family,
        )
        for (family, method, n_shots), found in chosen.items()
    ]
    median = lines[0]["median_year"]
    sizes = {line["part"]: f"{line['n_samples']} rows of {line['n_users']} users" for line in lines}
    note = (
        f"The median year of the test targets is {median}: {_sizes(sizes)}. AUC x100, means over seeds, with intervals "
        "over users and seeds. The parts need not be equally hard: a control that reads no title says how they differ."
    )
    columns = ("K", f"films up to {median}", "later films", "difference")
    title = f"AUC on earlier and on later films, {test_domain}"
    return Table(f"years_{test_domain}", title, columns, tuple(rows), note, test_domain)


def _sizes(sizes: Mapping[str, str]) -> str:
    return ", ".join(f"{part} {sizes[part]}" for part in PARTS[:2] if part in sizes)


def _part(line: Mapping[str, str] | None, part: str) -> Entry:
    if line is None:
        return Entry(MISSING)
    value, ends = float(line["auc"]), _numbers([line["low"], line["high"]])
    interval = f"[{points(ends[0], 1)}, {points(ends[1], 1)}]" if ends else ""
    return Entry(f"{100 * value:+.1f}" if part == PARTS[2] else points(value, 1), interval)


def _numbers(texts: Sequence[str]) -> list[float]:
    """The numbers; none where one is empty."""
    return [float(text) for text in texts] if all(texts) else []
