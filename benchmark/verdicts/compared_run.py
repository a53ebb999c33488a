"""What the regression gate compares: the metrics of a run, and beside them the influence of each user on each metric.

A reference is a file, or a git revision that has one. Where it has no influences, it can be compared all the same, but
not user by user.
"""

import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.artifacts.paths import METRICS_CSV
from benchmark.errors import MissingArtifactError
from benchmark.statistics.estimates import INFLUENCE, Estimates
from benchmark.statistics.influence_file import read_influence
from benchmark.statistics.results import MetricRow, parse_rows, read_rows


@dataclass(frozen=True)
class Run:
    """One side of the comparison."""

    rows: Sequence[MetricRow]
    estimates: Estimates
    """Empty where the run has no influences."""
    test_rows: Mapping[str, str]
    """By test set, the digest of its rows; runs that share it are of the same users."""


def read_run(metrics: Path, influence: Path) -> Run:
    """A run that has its influences.

    Raises:
        MissingArtifactError: one of the files is not there.
        SchemaError: one of them is malformed, or they are not of one run.
    """
    rows = read_rows(metrics)
    return Run(rows, *read_influence(influence, rows))


def reference_run(against: str) -> Run:
    """The run to compare with; its influences lie beside its metrics, or it has none.

    Args:
        against: a file; else a revision of this git repository, whose `results/metrics.csv` is read; else
            `REVISION:PATH`.

    Raises:
        MissingArtifactError: there is no such file or revision, or the revision has no such file.
        SchemaError: it is no table of metrics, or the influences beside it are of another run.
    """
    path = Path(against)
    if path.is_file():
        influence = path.with_name(INFLUENCE.name)
        return read_run(path, influence) if influence.exists() else Run(read_rows(path), Estimates({}), {})
    blob = against if ":" in against else f"{against}:{METRICS_CSV.as_posix()}"
    shown = _show(blob)
    if shown.returncode:
        reason = (shown.stderr.decode(errors="replace").strip().splitlines() or ["unknown"])[0].removeprefix("fatal: ")
        raise MissingArtifactError(f"--against {against}: neither a file nor a git revision with metrics ({reason})")
    rows = parse_rows(shown.stdout.decode(errors="replace"), blob)
    revision, _, name = blob.partition(":")
    beside = _show(f"{revision}:{Path(name).with_name(INFLUENCE.name).as_posix()}")
    if beside.returncode:
        return Run(rows, Estimates({}), {})
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / INFLUENCE.name
        copy.write_bytes(beside.stdout)
        return Run(rows, *read_influence(copy, rows))


def _show(blob: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(["git", "show", blob], capture_output=True, check=False)
