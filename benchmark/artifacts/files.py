"""Reading and writing each artifact, whole or not at all; `paths` says where it lies."""

import gc
import json
import os
import shutil
import tempfile
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow  # pyright: ignore[reportMissingTypeStubs]
import pyarrow.parquet  # pyright: ignore[reportMissingTypeStubs]
from numpy.typing import NDArray

from benchmark.artifacts.paths import cell_folder
from benchmark.errors import MissingArtifactError, SchemaError, reason_of, refuse_pointer
from benchmark.schema import Cell, Interaction, Item, Labelled, Prediction, Sample

# pyarrow has no types. Whatever passes through these two names is `Any`; the functions below say what it is.
pa: Any = pyarrow
pq: Any = pyarrow.parquet


@contextmanager
def replacing_folder(folder: Path) -> Generator[Path]:
    """A temporary sibling of `folder` that takes its place at the end, so that `folder` is complete or absent.

    Of a link, what it points to is replaced.
    """
    folder = Path(os.path.realpath(folder)) if folder.is_symlink() else folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left_by_a_kill in folder.parent.glob(f".{folder.name}.????????"):
        shutil.rmtree(left_by_a_kill, ignore_errors=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    temporary.chmod(0o755)
    try:
        yield temporary
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
        Path(temporary).chmod(0o644)
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def write_json(path: Path, content: Mapping[str, Any] | Sequence[Any]) -> None:
    """Write indented JSON with a final newline, whole or not at all."""
    write_bytes(path, (json.dumps(content, indent=2, ensure_ascii=False, sort_keys=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """Read JSON that a stage wrote.

    Raises:
        MissingArtifactError: the file is not there.
        SchemaError: it is no JSON.
    """
    require(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise SchemaError(f"{path}: not JSON ({error}); remove it, and `dvc repro` makes it anew") from None


def require(path: Path) -> Path:
    """`path`, if it exists.

    Raises:
        MissingArtifactError: it does not; the message says what to run.
    """
    if not path.exists():
        raise MissingArtifactError(f"{path}: not there; `dvc repro` makes it")
    return path


def _write_table(path: Path, columns: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(dict(columns)), sink, compression="zstd")
    write_bytes(path, sink.getvalue().to_pybytes())


def _read_table(path: Path) -> Any:
    with _naming(require(path)), pq.ParquetFile(path) as file:  # `pq.read_table` takes three times as long to begin
        return file.read(use_threads=False)


@contextmanager
def _naming(path: Path) -> Generator[None]:
    """Name the table that pyarrow cannot read; of one that is damaged inside, it raises an OSError without a name."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        refuse_pointer(path)
        raise SchemaError(f"{path}: not a whole table ({reason_of(error)}); `dvc repro` makes it anew") from None


def write_items(path: Path, items: Mapping[str, Item]) -> None:
    """Write the items of a domain, sorted by item_id."""
    rows = [items[item_id] for item_id in sorted(items)]
    _write_table(path, {name: pa.array([getattr(row, name) for row in rows], pa.string()) for name in Item.__slots__})


def read_items(path: Path) -> dict[str, Item]:
    """Read what `write_items` wrote, by item_id."""
    return {row["item_id"]: Item(**row) for row in _read_table(path).to_pylist()}


def write_vectors(path: Path, vectors: Mapping[str, NDArray[np.float32]]) -> None:
    """Write vectors of one width by item_id, sorted."""
    ids = sorted(vectors)
    rows = pa.array([vectors[item_id] for item_id in ids], pa.list_(pa.float32()))
    _write_table(path, {"item_id": pa.array(ids, pa.string()), "vector": rows})


def read_vectors(path: Path) -> dict[str, NDArray[np.float32]]:
    """Read what `write_vectors` wrote."""
    table = _read_table(path)
    ids, column = table["item_id"].to_pylist(), table["vector"].combine_chunks()
    if not ids:
        return {}
    return dict(zip(ids, column.flatten().to_numpy().reshape(len(ids), -1), strict=True))


def write_samples(path: Path, samples: Sequence[Sample]) -> None:
    """Write unlabelled samples, in the order given."""
    _write_table(path, _sample_columns(samples))


def write_labelled(path: Path, labelled: Sequence[Labelled]) -> None:
    """Write labelled samples, in the order given."""
    columns = _sample_columns([row.sample for row in labelled])
    _write_table(path, columns | {"liked": pa.array([row.liked for row in labelled], pa.bool_())})


def _sample_columns(samples: Sequence[Sample]) -> dict[str, Any]:
    strings = pa.list_(pa.string())
    return {
        "sample_id": pa.array([sample.sample_id for sample in samples], pa.string()),
        "user_id": pa.array([sample.user_id for sample in samples], pa.string()),
        "history_item_ids": pa.array([[event.item_id for event in sample.history] for sample in samples], strings),
        "history_liked": pa.array([[e.liked for e in sample.history] for sample in samples], pa.list_(pa.bool_())),
        "target_item_id": pa.array([sample.target_item_id for sample in samples], pa.string()),
    }


def read_samples(path: Path) -> tuple[Sample, ...]:
    """Read unlabelled samples, in file order."""
    return tuple(_samples_of(_read_table(path)))


def read_labelled(path: Path) -> tuple[Labelled, ...]:
    """Read labelled samples, in file order."""
    return tuple(map(Labelled, _samples_of(table := _read_table(path)), table["liked"].to_pylist()))


def count_rows(path: Path) -> int:
    """Rows of a table, without reading it."""
    with _naming(require(path)):
        return int(pq.read_metadata(path).num_rows)


def _samples_of(table: Any) -> list[Sample]:
    """Samples that share their interactions: a file has far more events than different ones."""
    collects = gc.isenabled()
    gc.disable()  # half of the time would go into looking for garbage among millions of new objects that are none
    try:
        return list(_samples(table))
    finally:
        if collects:
            gc.enable()


def _samples(table: Any) -> Iterator[Sample]:
    items, liked = (table[name].combine_chunks() for name in ("history_item_ids", "history_liked"))
    lengths = items.value_lengths()
    if not lengths.equals(liked.value_lengths()):
        raise SchemaError("samples: histories and their likes differ in length")
    ends: list[int] = lengths.to_numpy().cumsum().tolist()
    events = list(zip(_shared(items.flatten()), liked.flatten().to_pylist(), strict=True))
    shared = {event: Interaction(*event) for event in set(events)}
    history = [shared[event] for event in events]
    users, targets = (_shared(table[name].combine_chunks()) for name in ("user_id", "target_item_id"))
    rows = zip(table["sample_id"].to_pylist(), users, targets, [0, *ends[:-1]], ends, strict=True)
    for sample_id, user, target, start, end in rows:
        yield Sample(sample_id, user, tuple(history[start:end]), target)


def _shared(column: Any) -> list[str]:
    """The texts of a column, equal ones as one object."""
    encoded = column.dictionary_encode()
    texts: list[str] = encoded.dictionary.to_pylist()
    return [texts[place] for place in encoded.indices.to_pylist()]


def write_labels(path: Path, labels: Mapping[str, bool]) -> None:
    """Write labels apart from their samples, sorted by sample_id."""
    ids = sorted(labels)
    liked = pa.array([labels[sample_id] for sample_id in ids], pa.bool_())
    _write_table(path, {"sample_id": pa.array(ids, pa.string()), "liked": liked})


def read_labels(path: Path) -> dict[str, bool]:
    """Read labels by sample_id."""
    return {row["sample_id"]: row["liked"] for row in _read_table(path).to_pylist()}


def write_predictions(root: str | Path, cell: Cell, predictions: Sequence[Prediction]) -> None:
    """Write the scores of a cell sorted by sample_id, and the details beside them, whole or not at all."""
    rows = sorted(predictions, key=lambda prediction: prediction.sample_id)
    ids = pa.array([row.sample_id for row in rows], pa.string())
    with replacing_folder(cell_folder(root, cell)) as folder:
        scores = pa.array([row.score for row in rows], pa.float64())
        _write_table(folder / "scores.parquet", {"sample_id": ids, "score": scores})
        names = sorted({name for row in rows for name in row.details})
        if names:
            details = {name: pa.array([row.details.get(name) for row in rows], pa.float64()) for name in names}
            _write_table(folder / "details.parquet", {"sample_id": ids} | details)


def write_columns(path: Path, texts: Mapping[str, Sequence[Any]], numbers: Mapping[str, NDArray[Any]]) -> None:
    """Write a table: columns in which few values stand often, and columns of numbers."""
    columns = {name: pa.array(values).dictionary_encode() for name, values in texts.items()}
    _write_table(path, columns | {name: pa.array(values) for name, values in numbers.items()})


def read_columns(path: Path) -> dict[str, NDArray[Any]]:
    """The columns of a table as arrays, by name; texts are objects.

    Raises:
        MissingArtifactError: the file is not there.
        SchemaError: it is no table.
    """
    table = _read_table(path)
    return {name: table[name].to_numpy() for name in table.column_names}


def write_long_scores(path: Path, scores: Mapping[Cell, Mapping[str, float]]) -> None:
    """Write the scores of many cells as one table: the key of the cell, sample_id, score."""
    rows = [(cell, sample_id, score) for cell, found in scores.items() for sample_id, score in sorted(found.items())]
    columns = {
        name: pa.array([getattr(cell, name) for cell, _, _ in rows]).dictionary_encode() for name in Cell.__slots__
    }
    columns["sample_id"] = pa.array([sample_id for _, sample_id, _ in rows], pa.string())
    columns["score"] = pa.array([score for _, _, score in rows], pa.float64())
    _write_table(path, columns)


def read_long_scores(path: Path) -> dict[Cell, dict[str, float]]:
    """Read what `write_long_scores` wrote.

    Raises:
        SchemaError: the file is no such table, or has two scores of a sample.
    """
    columns = _read_table(path).to_pydict()
    found: dict[Cell, dict[str, float]] = {}
    try:
        keys = [columns[name] for name in Cell.__slots__]
        for *key, sample_id, score in zip(*keys, columns["sample_id"], columns["score"], strict=True):
            scores = found.setdefault(cell := Cell(*key), {})
            if sample_id in scores:
                raise SchemaError(f"{path}: sample {sample_id!r} of {cell} stands twice")
            scores[sample_id] = score
    except (KeyError, TypeError) as error:
        raise SchemaError(f"{path}: not a table of cells, sample_id and score ({error})") from None
    return found


def read_scores(root: str | Path, cell: Cell) -> dict[str, float] | None:
    """Scores of a cell by sample_id, or None if the cell was not run.

    Raises:
        SchemaError: the file is there but is no table of scores.
    """
    path = cell_folder(root, cell) / "scores.parquet"
    if not path.exists():
        return None
    try:
        rows = _read_table(path).to_pydict()
        return dict(zip(rows["sample_id"], rows["score"], strict=True))
    except KeyError as error:
        raise SchemaError(f"{path}: not a table of sample_id and score ({error})") from error
