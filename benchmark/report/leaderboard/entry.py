"""An entry of the leaderboard: a folder that `tallrec-bench keep` wrote, where it comes from, and whether it is whole.

Labels are in no folder, since the licence of the data forbids to pass them on: whether an AUC is that of the scores can
be checked by `tallrec-bench merge` where the raw files are. All else is checked here.
"""

import csv
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import Field

from benchmark.artifacts import files, paths
from benchmark.config.deciding import source_of
from benchmark.config.reading import read_yaml
from benchmark.config.run_names import model_name, presets_of
from benchmark.errors import ConfigError, MissingArtifactError, SchemaError, reason_of
from benchmark.methods.configuration import load_config
from benchmark.report.kept import (
    ESTIMATES,
    INFLUENCE,
    KINDS,
    METRICS,
    RECORDS,
    SCORES,
    check_kind,
    is_finite,
    read_records,
)
from benchmark.schema import Cell
from benchmark.statistics.estimates import Estimates
from benchmark.statistics.influence_file import read_influence
from benchmark.statistics.results import MetricRow, read_rows

RESULTS, ENTRY = paths.KEPT_RUNS, paths.ENTRY_JSON
KEYS: Mapping[str, Any] = {
    "by": str,
    "note": str,
    "presets": str,
    "model": str,
    "n_shots": list[int],
    "confidence": Annotated[float, Field(gt=0, lt=1)],
    "commits": list[str | None],
    "changed_files": bool,
    "devices": list[str | None],
    "days": list[str],
    "versions": list[str],
    "sha256": dict[str, str],
}
"""What `entry.json` has, with its kind."""
OF_RECORDS = ("started_at", "wall_seconds", "versions")
"""What a page needs of every record."""
ROW_NUMBER = re.compile(r"[a-z0-9_-]*?-?\d+")
"""A sample id that spells no user and no item."""


@dataclass(frozen=True)
class Entry:
    """One run."""

    folder: Path
    provenance: Mapping[str, Any]
    rows: Sequence[MetricRow]
    """All with status `ok`."""
    estimates: Estimates
    test_rows: Mapping[str, str]
    """Digest of each test set: entries that share it are of the same users and answers."""
    n_seeds_of_grid: Mapping[Cell, int]
    """Seeds that the grid of the run asks for, by group: some of them may not be there."""
    records: Mapping[tuple[Cell, str], Mapping[str, Any]]
    """By cell and root: of what scored it (`runs`) and of its tuning (`runs/tune`)."""

    def is_generated(self, test_domain: str) -> bool:
        """Whether the rows of a test set are those of the embedded world."""
        return source_of(read_yaml(self.folder / paths.PARAMS_YAML), test_domain) == "embedded"


def submit(folder: Path, by: str, note: str = "") -> Entry:
    """Write down where the results of a folder come from, and check the whole.

    Args:
        folder: that `keep` wrote.
        by: who ran it.
        note: one line that a reader should know.

    Raises:
        MissingArtifactError: a file is not there.
        SchemaError: the files do not fit together; nothing is written then.
        ConfigError: `by` names nobody.
    """
    if not by.strip():
        raise ConfigError("--by: expected who ran it, got nothing; is a variable empty?")
    provenance = _provenance(_read(folder, {}))
    files.write_json(folder / ENTRY, {"by": by, "note": note, **provenance, "sha256": digests(folder)})
    return read_entry(folder)


def read_entry(folder: Path) -> Entry:
    """Read and check an entry.

    Raises:
        MissingArtifactError: a file is not there.
        SchemaError: a file is malformed, is not the one that was submitted, or does not fit the others.
    """
    if not (folder / ENTRY).exists():
        raise MissingArtifactError(f"{folder / ENTRY}: not there; `tallrec-bench submit {folder}` writes it")
    content: object = files.read_json(folder / ENTRY)
    provenance = cast(Mapping[str, Any], content if isinstance(content, dict) else {})
    if missing := [key for key in KEYS if key not in provenance]:
        raise SchemaError(f"{folder / ENTRY}: no {missing[0]}; `tallrec-bench submit` writes it")
    for key, kind in KEYS.items():
        check_kind(folder / ENTRY, key, kind, provenance[key])
    found, submitted = digests(folder), cast(Mapping[str, str], provenance["sha256"])
    for name in sorted({*found, *submitted}):
        if found.get(name) != submitted.get(name):
            raise SchemaError(f"{folder / name}: not the file that was submitted; `tallrec-bench submit` notes it anew")
    return _read(folder, provenance)


def read_entries(results: Path = RESULTS) -> list[Entry]:
    """Every entry, by name. Hidden folders are those of editors and notebooks."""
    folders = [path for path in sorted(results.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    return [read_entry(folder) for folder in folders]


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each file beside the entry itself. Hidden files are those of desktops and editors."""
    found = sorted(p for p in folder.iterdir() if p.is_file() and p.name != ENTRY and not p.name.startswith("."))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def _read(folder: Path, provenance: Mapping[str, Any]) -> Entry:
    rows = read_rows(folder / METRICS)
    estimates, test_rows = read_influence(folder / INFLUENCE, rows)
    n_seeds = {group: n for group, _, _, n in _estimates(files.require(folder / ESTIMATES))}
    entry = Entry(folder, provenance, rows, estimates, test_rows, n_seeds, read_records(folder))
    for (cell, _), record in entry.records.items():
        for key in OF_RECORDS:
            check_kind(folder / RECORDS, f"{key} of {cell}", KINDS[key], record.get(key))
    has_scores = (folder / SCORES).exists()
    for problem in _problems(entry, files.read_long_scores(folder / SCORES) if has_scores else {}):
        raise SchemaError(f"{folder}: {problem}")
    return entry


def _problems(entry: Entry, scores: Mapping[Cell, Mapping[str, float]]) -> Iterator[str]:
    """What does not fit together."""
    known = {row.cell: row for row in entry.rows}
    for cell in scores or known:
        if (cell, "runs") not in entry.records:
            yield f"{RECORDS}: no record of {cell}"
    for row in entry.rows:
        if row.status != "ok":
            yield f"{METRICS}: {row.cell} is {row.status}, expected cells that were run"
    for cell, found in scores.items():
        row = known.get(cell)
        if row is None:
            yield f"{SCORES}: {cell} has no row in {METRICS}"
        elif len(found) != row.n_samples:
            yield f"{SCORES}: {cell} has {len(found)} scores, {METRICS} says {row.n_samples}"
        if not all(map(is_finite, found.values())):
            yield f"{SCORES}: {cell} has a score that is not a finite number"
        for strange in [name for name in found if not _is_row_number(name)][:1]:
            yield f"{SCORES}: sample {strange!r}: expected the number of a row, no id of a user or an item"
    told: set[tuple[Cell, str]] = set()
    for group, metric, value, _ in _estimates(entry.folder / ESTIMATES):
        told.add((group, metric))
        again = entry.estimates.estimate(group, metric)
        if again is None or abs(again.value - value) > 1e-9:
            yield f"{ESTIMATES}: {metric} of {group}: not that of {METRICS} and {INFLUENCE}"
    if lost := [key for key in entry.estimates.known if key not in told]:
        yield f"{ESTIMATES}: no {lost[0][1]} of {lost[0][0]}, which {INFLUENCE} has"


def _is_row_number(name: object) -> bool:
    """Whether a sample id is one, of a table that may hold anything."""
    return isinstance(name, str) and ROW_NUMBER.fullmatch(name) is not None


def _estimates(path: Path) -> Iterator[tuple[Cell, str, float, int]]:
    """Group, metric, value and seeds of the grid of each line of `estimates.csv`."""
    with files.require(path).open(newline="", encoding="utf-8-sig") as stream:
        lines = csv.DictReader(stream)
        try:
            for line in lines:
                names = (line["family"], line["method"], line["train_domain"], line["test_domain"])
                group = Cell(*names, int(line["n_shots"]), 0)
                yield group, line["metric"], float(line["value"]), int(line["n_seeds_of_grid"])
        except (KeyError, TypeError, ValueError, csv.Error) as error:
            problem = f"line {lines.line_num}: no estimate of a method ({reason_of(error)})"
            raise SchemaError(f"{path}: {problem}") from None


def _provenance(entry: Entry) -> dict[str, Any]:
    """What configuration and records say, each distinct value once; later versions may not read the configuration."""
    params = load_config(entry.folder / paths.PARAMS_YAML)
    records = [*entry.records.values()]
    days = sorted(str(record["started_at"])[:10] for record in records)
    return {
        "presets": presets_of(params),
        "model": model_name(params.llm),
        "n_shots": params.grid.n_shots,
        "confidence": params.evaluate.confidence,
        "commits": _distinct(record.get("commit") for record in records),
        "changed_files": any(record.get("is_dirty") for record in records),
        "devices": _distinct(record.get("device") for record in records),
        "days": list(dict.fromkeys([days[0], days[-1]])) if days else [],
        "versions": _distinct(
            f"{name} {version}" for record in records for name, version in record.get("versions", {}).items()
        ),
    }


def _distinct(values: Iterable[object]) -> list[object]:
    return list(dict.fromkeys(values))
