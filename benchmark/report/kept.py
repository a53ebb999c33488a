"""Results of one run in a folder that git can hold, and bringing the cells of several such folders together.

A folder has `params.yaml`, `scores.parquet` (one row a cell and sample; without a language model there is none, since
such a run is soon made anew) and `records.parquet` (how each cell came about), and of all cells that were run
`metrics.csv`, `estimates.csv` and `influence.parquet`, since labels are not there. It holds no data: samples and users
are numbers. What is missing in a grid can so be run on another machine, or later.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from benchmark.artifacts import files, paths
from benchmark.artifacts.paths import METRICS_CSV
from benchmark.artifacts.provenance import run_file
from benchmark.config.deciding import OF_MACHINE, deciding_keys, differing
from benchmark.config.params import Params
from benchmark.config.pipeline import pipeline_stages
from benchmark.config.reading import read_yaml
from benchmark.errors import DataError, MissingArtifactError, SchemaError, refuse_other_folder
from benchmark.methods.grid import cells
from benchmark.methods.running import rows_digest
from benchmark.schema import LANGUAGE_MODELS, Cell, Prediction
from benchmark.statistics.estimates import INFLUENCE as INFLUENCE_FILE
from benchmark.statistics.results import ESTIMATES_CSV, read_rows, write_rows

SCORES, RECORDS = "scores.parquet", "records.parquet"
METRICS, ESTIMATES, INFLUENCE = METRICS_CSV.name, ESTIMATES_CSV.name, INFLUENCE_FILE.name
KINDS: Mapping[str, Any] = {
    "started_at": Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d")],
    "wall_seconds": Annotated[float, Field(ge=0, allow_inf_nan=False)],
    "versions": dict[str, str],
    "commit": str | None,
    "is_dirty": bool | None,
    "device": str | None,
    "peak_memory_bytes": int,
    "peak_device_memory_bytes": int | None,
}
"""What pages read of a record, with its kind."""
ROOTS = ("runs", "runs/tune")
"""Where the records of a cell lie: of what scored it, and of its tuning."""


@dataclass(frozen=True, slots=True)
class Merged:
    """What became of the cells of a folder."""

    n_taken: int
    n_known: int
    """Cells that were here already, and stay."""
    refused: Mapping[str, int]
    """Reason -> cells."""
    told: tuple[str, ...]
    """Keys of `OF_MACHINE` with another value."""


def keep(folder: Path, params: Params, families: Sequence[str] | None = None) -> int:
    """Write the cells that were run into `folder`, whole or not at all; their number.

    Args:
        folder: is made, or replaced.
        params: of the run.
        families: of the cells whose scores and records are kept. None: those of language models, which take long; of
            a run without any, the records of all.

    Raises:
        MissingArtifactError: no cell of them was run, or none is evaluated.
        ConfigError: `folder` holds something else.
    """
    refuse_other_folder(folder, RECORDS)
    grid = list(grid_cells(params))
    wanted = [cell for cell in grid if cell.family in (families or LANGUAGE_MODELS)]
    has_scores = bool(wanted or families)
    wanted = wanted if has_scores else grid
    found = {cell: scores for cell in wanted if (scores := files.read_scores("predictions", cell)) is not None}
    if not found:
        names = ", ".join(families or dict.fromkeys(cell.family for cell in wanted))
        raise MissingArtifactError(f"no cell of {names} has predictions; `dvc repro` makes them")
    records = [
        {"root": root, **files.read_json(path)}
        for cell in found
        for root in ROOTS
        if (path := run_file(cell, root)).exists()
    ]
    with files.replacing_folder(folder) as temporary:
        files.write_bytes(temporary / paths.PARAMS_YAML, paths.PARAMS_YAML.read_bytes())
        if has_scores:
            files.write_long_scores(temporary / SCORES, found)
        write_records(temporary, records)
        write_rows(temporary / METRICS, [row for row in read_rows(METRICS_CSV) if row.status == "ok"])
        for path in (ESTIMATES_CSV, INFLUENCE_FILE):
            files.write_bytes(temporary / path.name, files.require(path).read_bytes())
        for domain in params.memory.domains:
            if (there := paths.memorised_file(domain)).exists():
                files.write_json(_memorised(temporary, domain), files.read_json(there))
    return len(found)


def merge(folder: Path, params: Params) -> Merged:
    """Take the cells of `folder` that the grid has and this run lacks, where nothing that decides them differs.

    Raises:
        MissingArtifactError: the folder, or a test set here, is not there.
        SchemaError: the folder is not of this form.
    """
    if (folder / METRICS).exists() and not (folder / SCORES).exists():
        problem = "not there; `keep` writes no scores of a run without a language model unless --family names its cells"
        raise MissingArtifactError(f"{folder / SCORES}: {problem}")
    scores = files.read_long_scores(files.require(folder / SCORES))
    here, there = (read_yaml(path / paths.PARAMS_YAML) for path in (Path(), folder))
    records = read_records(folder)
    stages = pipeline_stages(Path())
    samples = {name: files.read_samples(paths.test_file(name)) for name in _test_sets(params)}
    expected = {name: rows_digest(rows) for name, rows in samples.items()}
    ids = {name: {sample.sample_id for sample in rows} for name, rows in samples.items()}
    refused: Counter[str] = Counter()
    told: set[str] = set()
    n_taken, n_known = 0, 0
    wanted = set(grid_cells(params))
    for cell, found in scores.items():
        if cell not in wanted:
            refused["not in this grid"] += 1
            continue
        if files.read_scores("predictions", cell) is not None:
            n_known += 1
            continue
        unlike = [leaf for key in deciding_keys(cell, stages) for leaf in differing(here, there, key)]
        told.update(f"{key}: {theirs}" for key, _, theirs in unlike if key in OF_MACHINE)
        other = [f"{key}: {theirs} there, {ours} here" for key, ours, theirs in unlike if key not in OF_MACHINE]
        record = records.get((cell, "runs"))
        if record is None:
            other.append("no record")
        elif record.get("test_sha256") != expected[cell.test_domain]:
            other.append(f"other rows of {cell.test_domain}")
        elif found.keys() != ids[cell.test_domain] or not all(map(is_finite, found.values())):
            other.append(f"not one finite score for each row of {cell.test_domain}")
        if other:
            refused[other[0]] += 1
            continue
        files.write_predictions("predictions", cell, [Prediction(name, score) for name, score in found.items()])
        for root in ROOTS:
            if (cell, root) in records:
                files.write_json(run_file(cell, root), records[cell, root])
        n_taken += 1
    _take_memorised(folder, params, here, there)
    return Merged(n_taken, n_known, refused, tuple(sorted(told)))


def is_finite(score: object) -> bool:
    """Whether a value of a table of scores is one."""
    return isinstance(score, float) and math.isfinite(score)


def _memorised(folder: Path, domain: str) -> Path:
    return folder / f"memorised-{domain}.json"


def _take_memorised(folder: Path, params: Params, here: Any, there: Any) -> None:
    """What stage `memorised` found of the same model, where this run has not asked it."""
    if any(key not in OF_MACHINE for key, _, _ in differing(here, there, "llm")):
        return
    for domain in params.memory.domains:
        kept, own = _memorised(folder, domain), paths.memorised_file(domain)
        if kept.exists() and not own.exists():
            files.write_json(own, files.read_json(kept))


def grid_cells(params: Params) -> Iterator[Cell]:
    """Every cell of the grid.

    Raises:
        MissingArtifactError: a domain is not prepared.
    """
    stats = {domain: files.read_json(paths.prepared_folder(domain) / "stats.json") for domain in params.grid.domains}
    return cells(params, {domain: found["splits"]["train"]["rows"] for domain, found in stats.items()})


def _test_sets(params: Params) -> Iterator[str]:
    for domain in params.grid.domains:
        yield from params.test_sets(domain)


def write_records(folder: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Write records as a table of JSON texts: those of thousands of cells are nearly alike, and take next to nothing.

    Args:
        folder: of the run.
        records: with their `root`.
    """
    texts = [json.dumps(record, sort_keys=True) for record in records]
    files.write_columns(folder / RECORDS, {"record": texts}, {})


def read_records(folder: Path) -> dict[tuple[Cell, str], dict[str, Any]]:
    """The records of a folder by cell and root.

    Raises:
        MissingArtifactError: the file is not there.
        SchemaError: it is no such table, or a value of a record is of another kind.
        DataError: a text is no record.
    """
    path = folder / RECORDS
    columns = files.read_columns(path)
    if "record" not in columns:
        raise SchemaError(f"{path}: not a table of records (no column record)")
    found: dict[tuple[Cell, str], dict[str, Any]] = {}
    for number, text in enumerate(columns["record"]):
        try:
            record = json.loads(text)
            found[cell := Cell(**record["cell"]), record.pop("root")] = record
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: row {number}: no record of a cell ({error})") from None
        for key in filter(record.__contains__, KINDS):
            check_kind(path, f"{key} of {cell}", KINDS[key], record[key])
    return found


def check_kind(path: Path, key: str, kind: Any, value: object) -> None:
    """Refuse a value of another kind than the page reads."""
    try:
        _adapter(kind).validate_python(value, strict=True)
    except ValidationError as error:
        raise SchemaError(f"{path}: {key}: {error.errors()[0]['msg']}, got {value!r:.60}") from None


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
