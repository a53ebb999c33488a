"""`results/influence.parquet`: how much each user moves each metric of each method, the mean over its seeds.

Users are numbers, in the order of their names; the digest of the test rows tells whether two files are of the same
users.
"""

from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmark.artifacts.files import read_columns, write_columns
from benchmark.errors import SchemaError
from benchmark.schema import Cell, group_of
from benchmark.statistics.estimates import Estimates, Known
from benchmark.statistics.influence import Measured
from benchmark.statistics.results import GROUP_COLUMNS, MetricRow


def write_influence(path: Path, estimates: Estimates, test_rows: Mapping[str, str]) -> None:
    """Write the influences of every group and metric.

    Args:
        path: of the file.
        estimates: what is known.
        test_rows: by test set, the digest of its rows.
    """
    found = list(estimates.known.items())
    lengths = [len(one.measured.influence) for _, one in found]

    def repeated(values: list[object]) -> list[object]:
        return [value for value, n in zip(values, lengths, strict=True) for _ in range(n)]

    columns: dict[str, list[object]] = {
        name: repeated([getattr(group, name) for (group, _), _ in found]) for name in GROUP_COLUMNS
    }
    columns["metric"] = repeated([metric for (_, metric), _ in found])
    columns["test_rows"] = repeated([test_rows[group.test_domain] for (group, _), _ in found])
    columns["is_seeded"] = repeated([one.is_seeded for _, one in found])
    columns["n_effective"] = repeated([one.measured.n_effective for _, one in found])
    columns["user"] = [user for n in lengths for user in range(n)]
    values = np.concatenate([one.measured.influence for _, one in found]) if found else np.array([])
    write_columns(path, columns, {"influence": values.astype(np.float32)})


def read_influence(path: Path, rows: Iterable[MetricRow]) -> tuple[Estimates, dict[str, str]]:
    """What `write_influence` wrote, with the values of each seed from `metrics.csv`; and the digests of the test rows.

    Raises:
        MissingArtifactError: the file is not there.
        SchemaError: it is no such table, or not of the same run as `rows`: a group that has an AUC in one of them is
            missing in the other.
    """
    seeds: dict[tuple[Cell, str], dict[int, float]] = {}
    for row in rows:
        for metric, value in {"auc": row.auc, **row.others}.items():
            if value is not None:
                seeds.setdefault((group_of(row.cell), metric), {})[row.cell.seed] = value
    columns = read_columns(path)
    try:
        keys = [columns[name] for name in (*GROUP_COLUMNS, "metric")]
        influence, users = columns["influence"].astype(np.float64), columns["user"]
        is_first = np.logical_or.reduce([key[1:] != key[:-1] for key in keys])
        bounds = [0, *(np.flatnonzero(is_first) + 1).tolist(), len(influence)] if len(influence) else []
        known: dict[tuple[Cell, str], Known] = {}
        digests: dict[str, str] = {}
        for start, end in pairwise(bounds):
            family, method, train_domain, test_domain, n_shots, metric = (key[start] for key in keys)
            group = Cell(family, method, train_domain, test_domain, int(n_shots), seed=0)
            values = seeds[group, metric]
            measured = Measured(
                float(np.mean([*values.values()])), influence[start:end], float(columns["n_effective"][start])
            )
            known[group, metric] = Known(measured, values, bool(columns["is_seeded"][start]))
            digests[group.test_domain] = columns["test_rows"][start]
            if not np.array_equal(users[start:end], np.arange(end - start)):
                raise SchemaError(f"{path}: {group} {metric}: expected the users from 0 on, each once")
    except (KeyError, TypeError, ValueError) as error:
        raise SchemaError(f"{path}: not the influences of the rows of metrics.csv ({error})") from None
    if lost := [group for group, metric in seeds if metric == "auc" and (group, metric) not in known]:
        raise SchemaError(f"{path}: no influences of {lost[0]}, which metrics.csv has an AUC of")
    return Estimates(known), digests
