"""The table of memory and throughput."""

from benchmark.report.inputs import Inputs
from benchmark.report.tables.form import MISSING, Entry, Row, Table, plain


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
