"""What is compared: the metrics of a run, and beside them the influence of each user on each metric.

A run is named by a file, a git revision or an experiment of DVC. A revision without results/ has the runs that it keeps
in docs/results/, of which the one of the same presets is compared with. Where a run has no influences, it can be
compared all the same, but not user by user.
"""

import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.artifacts.paths import ENTRY_JSON, KEPT_RUNS, METRICS_CSV, PARAMS_YAML
from benchmark.config.run_names import presets_of
from benchmark.errors import MissingArtifactError, SchemaError
from benchmark.methods.configuration import load_config
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
    name: str = ""
    """The file that its metrics are from, of a revision as git calls it."""


def read_run(metrics: Path, influence: Path) -> Run:
    """A run that has its influences.

    Raises:
        MissingArtifactError: one of the files is not there.
        SchemaError: one of them is malformed, or they are not of one run.
    """
    rows = read_rows(metrics)
    return Run(rows, *read_influence(influence, rows), name=metrics.as_posix())


def named_run(name: str, beside: Path = Path()) -> Run:
    """A run by name; its influences lie beside its metrics, or it has none.

    Args:
        name: a file; else a revision of this git repository or the name of an experiment of DVC (the newest, if
            several have it), whose `results/metrics.csv` is read, or that of the run which it keeps in docs/results/
            with the presets of `beside`; else `REVISION:PATH`.
        beside: folder of the run that is compared with it.

    Raises:
        MissingArtifactError: there is no such file, revision or experiment, or it has no such file.
        SchemaError: it is no table of metrics, or the influences beside it are of another run.
    """
    path = Path(name)
    if path.is_file():
        influence = path.with_name(INFLUENCE.name)
        if influence.exists():
            return read_run(path, influence)
        return Run(read_rows(path), Estimates({}), {}, name)
    revision, _, given = name.partition(":")
    file = given or METRICS_CSV.as_posix()
    shown = _git("show", f"{revision}:{file}")
    if shown.returncode and (commit := _experiment(revision)):
        revision, shown = commit, _git("show", f"{commit}:{file}")
    reason = (shown.stderr.decode(errors="replace").strip().splitlines() or ["unknown"])[0].removeprefix("fatal: ")
    if shown.returncode and not given and (kept := _kept_runs(revision)):
        presets = _presets(presets_of(load_config(beside / PARAMS_YAML)))
        reason = f"no {METRICS_CSV}, and of the runs in {KEPT_RUNS} none is of {presets}, but of {', '.join(kept)}"
        if presets in kept:
            file = f"{kept[presets]}/{METRICS_CSV.name}"
            shown = _git("show", f"{revision}:{file}")
    if shown.returncode:
        raise MissingArtifactError(f"{name}: no file, and no git revision or experiment with metrics ({reason})")
    found = f"{revision}:{file}"
    rows = parse_rows(shown.stdout.decode(errors="replace"), found)
    influences = _git("show", f"{revision}:{Path(file).with_name(INFLUENCE.name).as_posix()}")
    if influences.returncode:
        return Run(rows, Estimates({}), {}, found)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / INFLUENCE.name
        copy.write_bytes(influences.stdout)
        return Run(rows, *read_influence(copy, rows), name=found)


def _kept_runs(revision: str) -> dict[str, str]:
    """The folders in docs/results of a revision, by the presets of their runs.

    Raises:
        SchemaError: an entry does not say its presets.
    """
    listed = _git("ls-tree", "-r", "--full-tree", "--name-only", revision, f"{KEPT_RUNS.as_posix()}/")
    entries = [line for line in listed.stdout.decode().splitlines() if line.endswith(f"/{ENTRY_JSON}")]
    found: dict[str, str] = {}
    for entry in entries:
        try:
            presets = str(json.loads(_git("show", f"{revision}:{entry}").stdout)["presets"])
        except (ValueError, LookupError, TypeError):
            raise SchemaError(f"{revision}:{entry}: no presets; `tallrec-bench submit` writes them") from None
        found[_presets(presets)] = str(Path(entry).parent)
    return found


def _presets(named: str) -> str:
    """Without how many values are changed: a run is compared with that of its presets."""
    return named.partition(",")[0]


def _experiment(name: str) -> str:
    """The commit of an experiment of DVC, which git does not find by its name; empty where there is none."""
    newest = ("--count=1", "--sort=-committerdate", "--format=%(objectname)")
    return _git("for-each-ref", *newest, f"refs/exps/*/*/{name}").stdout.decode().strip()


def _git(*arguments: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(["git", *arguments], capture_output=True, check=False)
