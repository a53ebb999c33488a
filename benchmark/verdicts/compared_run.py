"""What is compared: the metrics of a run, and beside them the influence of each user on each metric.

A run is named by a file, a git revision or an experiment of DVC. A revision without results/ has the runs that it keeps
in docs/results/, of which the one of the same presets is compared with. Where a run has no influences, it can be
compared all the same, but not user by user. Whether two runs are of the same test rows says the digest beside the
influences, else the numbers of users and rows; what makes them differ says the `params.yaml` that lies with each.
"""

import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.artifacts.paths import ENTRY_JSON, KEPT_RUNS, METRICS_CSV, PARAMS_YAML
from benchmark.artifacts.provenance import git_environment
from benchmark.config.deciding import differing, source_of
from benchmark.config.reading import parse_yaml
from benchmark.config.run_names import presets_of
from benchmark.errors import DataError, MissingArtifactError, SchemaError
from benchmark.methods.configuration import load_config
from benchmark.schema import domain_of
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
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What `params.yaml` says that lies with it; empty where none does."""

    def size(self, test_set: str) -> tuple[int | None, int | None] | None:
        """Users and rows of a test set; None of one that the run has not."""
        rows = [row for row in self.rows if row.status == "ok" and row.cell.test_domain == test_set]
        return (rows[0].n_users, rows[0].n_samples) if rows else None


def other_rows(first: Run, second: Run) -> Iterator[str]:
    """A line for each test set that both runs have with other rows, and what of it `params.yaml` tells.

    Raises:
        DataError: the rows of one run alone are generated, so that a difference says nothing.
    """
    for test_set in dict.fromkeys(row.cell.test_domain for row in first.rows):
        sizes = first.size(test_set), second.size(test_set)
        digests = first.test_rows.get(test_set), second.test_rows.get(test_set)
        sources = source_of(first.params, test_set), source_of(second.params, test_set)
        is_generated_once = None not in sources and (sources[0] == "embedded") != (sources[1] == "embedded")
        # A `params.yaml` may be newer than the results, so that it says something where nothing better does.
        by_size = sizes[0] == sizes[1] and not is_generated_once
        if None in sizes or (by_size if None in digests else digests[0] == digests[1]):
            continue
        keys = (f"domains.{domain_of(test_set)}", "evaluate.max_test_samples")
        unlike = [leaf for key in keys for leaf in differing(first.params, second.params, key)]
        known = "; ".join(f"{key}: {one}, {other}" for key, one, other in unlike if first.params and second.params)
        line = f"{first.name} and {second.name}: other rows of {test_set}" + (f" ({known})" if known else "")
        if is_generated_once:
            raise DataError(f"{line}: generated data and real ones cannot be compared")
        yield f"{line}; users are taken to be others"


def read_run(metrics: Path, influence: Path) -> Run:
    """A run that has its influences.

    Raises:
        MissingArtifactError: one of the files is not there.
        SchemaError: one of them is malformed, or they are not of one run.
    """
    rows = read_rows(metrics)
    return Run(rows, *read_influence(influence, rows), name=metrics.as_posix(), params=_params_beside(metrics))


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
        return Run(read_rows(path), Estimates({}), {}, name, _params_beside(path))
    revision, _, given = name.partition(":")
    file = given or _in_git(METRICS_CSV)
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
        inside = [path / file for file in (METRICS_CSV.name, METRICS_CSV) if (path / file).is_file()]
        reason = f"a folder: expected its {inside[0]}" if inside else reason
        raise MissingArtifactError(f"{name}: no file, and no git revision or experiment with metrics ({reason})")
    found = f"{revision}:{file}"
    rows = parse_rows(shown.stdout.decode(errors="replace"), found)
    params = _params(Path(file), lambda path: _text_of(revision, path))
    influences = _git("show", f"{revision}:{Path(file).with_name(INFLUENCE.name).as_posix()}")
    if influences.returncode:
        return Run(rows, Estimates({}), {}, found, params)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / INFLUENCE.name
        copy.write_bytes(influences.stdout)
        return Run(rows, *read_influence(copy, rows), name=found, params=params)


def _params_beside(metrics: Path) -> dict[str, Any]:
    return _params(metrics, lambda path: path.read_bytes().decode(errors="replace") if path.is_file() else None)


def _params(metrics: Path, text_of: Callable[[Path], str | None]) -> dict[str, Any]:
    """The `params.yaml` that lies with a `metrics.csv`: beside it, or above its `results/`; empty if there is none.

    Raises:
        ConfigError: it is no YAML.
    """
    folder = metrics.parent
    path = (folder.parent if folder.name == METRICS_CSV.parent.name else folder) / PARAMS_YAML
    text = text_of(path)
    return {} if text is None else parse_yaml(text, path)


def _text_of(revision: str, path: Path) -> str | None:
    shown = _git("show", f"{revision}:{path.as_posix()}")
    return None if shown.returncode else shown.stdout.decode(errors="replace")


def _kept_runs(revision: str) -> dict[str, str]:
    """The folders in docs/results of a revision, by the presets of their runs.

    Raises:
        SchemaError: an entry does not say its presets.
    """
    listed = _git("ls-tree", "-rz", "--full-tree", "--name-only", revision, f"{_in_git(KEPT_RUNS)}/")
    entries = [path for path in listed.stdout.decode().split("\0") if path.endswith(f"/{ENTRY_JSON}")]
    found: dict[str, str] = {}
    for entry in entries:
        try:
            presets = str(json.loads(_git("show", f"{revision}:{entry}").stdout)["presets"])
        except (ValueError, LookupError, TypeError):
            raise SchemaError(f"{revision}:{entry}: no presets; `tallrec-bench submit` writes them") from None
        found[_presets(presets)] = str(Path(entry).parent)
    return found


def _in_git(path: Path) -> str:
    """A path in this folder, as git has it: the repository may begin above."""
    return _git("rev-parse", "--show-prefix").stdout.decode().removesuffix("\n") + path.as_posix()


def _presets(named: str) -> str:
    """Without how many values are changed: a run is compared with that of its presets."""
    return named.partition(",")[0]


def _experiment(name: str) -> str:
    """The commit of an experiment of DVC, which git does not find by its name; empty where there is none."""
    newest = ("--count=1", "--sort=-committerdate", "--format=%(objectname)")
    return _git("for-each-ref", *newest, f"refs/exps/*/*/{name}").stdout.decode().strip()


def _git(*arguments: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(["git", *arguments], env=git_environment(), capture_output=True, check=False)
