"""What the data are, as tables: splits, counts, and files that stand in for others."""

from collections.abc import Mapping
from typing import Any

from benchmark.report.inputs import Inputs
from benchmark.report.tables.form import Entry, Row, Table, plain


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
