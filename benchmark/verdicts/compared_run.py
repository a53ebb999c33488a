"""What is compared: the metrics of a run, and beside them the influence of each user on each metric.

A run is named by a file, a git revision or an experiment of DVC. Where it has no influences, it can be compared all the
same, but not user by user.
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


def named_run(name: str) -> Run:
    """A run by name; its influences lie beside its metrics, or it has none.

    Args:
        name: a file; else a revision of this git repository or the name of an experiment of DVC (the newest, if
            several have it), whose `results/metrics.csv` is read; else `REVISION:PATH`.

    Raises:
        MissingArtifactError: there is no such file, revision or experiment, or it has no such file.
        SchemaError: it is no table of metrics, or the influences beside it are of another run.
    """
    path = Path(name)
    if path.is_file():
        influence = path.with_name(INFLUENCE.name)
        return read_run(path, influence) if influence.exists() else Run(read_rows(path), Estimates({}), {})
    revision, _, file = name.partition(":")
    file = file or METRICS_CSV.as_posix()
    shown = _git("show", f"{revision}:{file}")
    if shown.returncode and (commit := _experiment(revision)):
        revision, shown = commit, _git("show", f"{commit}:{file}")
    if shown.returncode:
        reason = (shown.stderr.decode(errors="replace").strip().splitlines() or ["unknown"])[0].removeprefix("fatal: ")
        raise MissingArtifactError(f"{name}: no file, and no git revision or experiment with metrics ({reason})")
    rows = parse_rows(shown.stdout.decode(errors="replace"), f"{revision}:{file}")
    beside = _git("show", f"{revision}:{Path(file).with_name(INFLUENCE.name).as_posix()}")
    if beside.returncode:
        return Run(rows, Estimates({}), {})
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / INFLUENCE.name
        copy.write_bytes(beside.stdout)
        return Run(rows, *read_influence(copy, rows))


def _experiment(name: str) -> str:
    """The commit of an experiment of DVC, which git does not find by its name; empty where there is none."""
    newest = ("--count=1", "--sort=-committerdate", "--format=%(objectname)")
    return _git("for-each-ref", *newest, f"refs/exps/*/*/{name}").stdout.decode().strip()


def _git(*arguments: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(["git", *arguments], capture_output=True, check=False)
