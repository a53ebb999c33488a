"""Scores that something else made, read from a file and checked against the samples that they are of.

A file has the columns `sample_id` and `score`, and may repeat for each id what the export says of it (`WITNESSES`). Ids
that were sorted, shuffled or shifted against the rest of their rows then contradict it. Scores that went to the rows of
other samples with ids and witnesses left in place look like any others: no reader can tell.
"""

import csv
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.artifacts.files import pa, pq
from benchmark.config.names import guess
from benchmark.errors import DataError, MissingArtifactError, reason_of, refuse_other_text
from benchmark.schema import Prediction, Sample, digest_of

REQUIRED = ("sample_id", "score")
WITNESSES: Mapping[str, Callable[[Sample], str]] = {
    "user_id": lambda sample: sample.user_id,
    "item_id": lambda sample: sample.target_item_id,
    "digest": digest_of,
}
"""Columns that a file may have beside, each with what it says of a sample."""

_TOO_MANY = "(too many)"
_Row = tuple[str, Mapping[str, Any]]
"""Where it stands, e.g. `line 7`, and its values by column."""


def read_external_scores(path: Path, samples: Sequence[Sample]) -> tuple[list[Prediction], list[str]]:
    """The score of every sample, and the witnesses that the file has: none means that nothing vouches for its ids.

    Args:
        path: CSV, Parquet (`.parquet`) or JSON lines (`.jsonl`, `.ndjson`).
        samples: of the test set that it scores.

    Raises:
        MissingArtifactError: the file is not there.
        DataError: it cannot be read, lacks a column or has one that nothing reads; or a row has no sample of the test
            set, one that stands in a row before it, a score that is not finite, or a witness of another sample; or a
            sample has no row; or all scores are the same.
    """
    if not path.is_file():
        raise MissingArtifactError(f"{path}: not there; it is a file of scores that `external` in params.yaml names")
    expected = {sample.sample_id: sample for sample in samples}
    scores: dict[str, float] = {}
    places: dict[str, str] = {}
    columns: tuple[str, ...] = ()
    for place, row in _rows(path):
        if not columns:
            columns = tuple(row)
            _check_columns(path, columns)
        elif set(row) != set(columns):
            raise DataError(f"{path}: {place}: expected the columns {', '.join(columns)}")
        sample_id = str(row["sample_id"])
        sample = expected.get(sample_id)
        if sample is None:
            raise DataError(f"{path}: {place}: {sample_id!r} is no sample of this test set of {len(expected)} rows")
        if sample_id in places:
            raise DataError(f"{path}: {place}: {sample_id!r} stands in {places[sample_id]} already")
        for column in columns:
            # A table that joined or lost rows on its way has 196.0 in the place of the id 196.
            if column in WITNESSES and str(row[column]) not in (true := WITNESSES[column](sample), f"{true}.0"):
                raise DataError(
                    f"{path}: {place}: {column} {row[column]!r}, but that of {sample_id!r} is {true!r}; the ids are "
                    "not in the order of their rows, or the file is of other test rows"
                )
        places[sample_id] = place
        scores[sample_id] = _score(path, place, row["score"])
    if missing := [sample_id for sample_id in expected if sample_id not in scores]:
        raise DataError(f"{path}: {len(missing)} of {len(expected)} test samples have no row, e.g. {missing[0]!r}")
    if len(scores) > 1 and len(set(scores.values())) == 1:
        raise DataError(
            f"{path}: all {len(scores)} scores are {next(iter(scores.values())):g}, expected an order of the samples"
        )
    return [Prediction(sample_id, score) for sample_id, score in scores.items()], [c for c in columns if c in WITNESSES]


def _check_columns(path: Path, columns: Iterable[str]) -> None:
    known = (*REQUIRED, *WITNESSES)
    for column in columns:
        if column not in known:
            near = guess(column, known)
            raise DataError(f"{path}: column {column!r} is not one of {', '.join(known)}{near}; leave others out")
    if lacking := [column for column in REQUIRED if column not in columns]:
        raise DataError(f"{path}: no column {lacking[0]!r}; expected {', '.join(REQUIRED)}")


def _score(path: Path, place: str, value: object) -> float:
    try:
        if not isinstance(value, bool) and "_" not in str(value) and math.isfinite(score := float(value)):  # pyright: ignore[reportArgumentType]
            return score
    except (TypeError, ValueError, OverflowError):
        pass
    raise DataError(f"{path}: {place}: score {value!r}, expected a finite number")


def _rows(path: Path) -> Iterator[_Row]:
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise DataError(f"{path}: expected a name that ends in one of {', '.join(_READERS)}")
    try:
        refuse_other_text(path)
        yield from read(path)
    except (csv.Error, ValueError, RecursionError, pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: cannot be read as {path.suffix} ({reason_of(error)})") from None


def _of_csv(path: Path) -> Iterator[_Row]:
    with path.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream, restkey=_TOO_MANY, strict=True)
        names = list(reader.fieldnames or ())
        if len(set(names)) < len(names):
            raise DataError(f"{path}: line 1: a column stands twice in {', '.join(names)}")
        for row in reader:
            if _TOO_MANY in row:
                problem = f"more values than the header has columns ({', '.join(names)}); a decimal comma?"
                raise DataError(f"{path}: line {reader.line_num}: {problem}")
            if None in row.values():
                raise DataError(f"{path}: line {reader.line_num}: expected the columns {', '.join(names)}, got fewer")
            yield f"line {reader.line_num}", row


def _of_json_lines(path: Path) -> Iterator[_Row]:
    with path.open(encoding="utf-8-sig") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():  # left out in a CSV too
                continue
            try:
                row: object = json.loads(line, object_pairs_hook=_each_once)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}: line {number}: no JSON ({error})") from None
            if not isinstance(row, dict):
                raise DataError(f"{path}: line {number}: expected an object, got {line.strip():.80}")
            yield f"line {number}", row


def _each_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found


def _of_parquet(path: Path) -> Iterator[_Row]:
    number = 0
    with pq.ParquetFile(path) as file:
        names: list[str] = file.schema_arrow.names
        if len(set(names)) < len(names):
            raise DataError(f"{path}: a column stands twice in {', '.join(names)}")
        for batch in file.iter_batches():
            for row in batch.to_pylist():
                number += 1
                yield f"row {number}", row


_READERS = {".csv": _of_csv, ".parquet": _of_parquet, ".jsonl": _of_json_lines, ".ndjson": _of_json_lines}
