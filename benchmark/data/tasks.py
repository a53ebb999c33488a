"""Artifacts of stages `prepare` and `draw` -> the task of a cell. Reads no test label.

The tasks of a process share what they read: a stage has one for each draw, all with the same test samples.
"""

import functools
from collections.abc import Callable, Set
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from benchmark.artifacts import files, paths
from benchmark.errors import DataError
from benchmark.schema import FewShotTask, Item, Labelled, Sample, domain_of, item_ids

Content = TypeVar("Content")
N_FILES_KEPT = 16
"""Files of which the content is kept, the last ones read."""


def few_shot_task(train_domain: str, test_domain: str, n_shots: int, seed: int) -> FewShotTask:
    """The draw of one (train_domain, n_shots, seed) for methods without a language model, tested on `test_domain`.

    Args:
        train_domain: domain of the training and validation rows, or `both`.
        test_domain: the test set.
        n_shots: training rows; 0 gives none.
        seed: seed of the draw and of the method.

    Raises:
        MissingArtifactError: stage `prepare` or `draw` has not written what is needed.
        DataError: a drawn row or an item is not in the files beside it.
    """
    draws = paths.fewshot_folder(train_domain)
    train = _drawn(paths.draw_folder(train_domain, n_shots, seed), "conventional") if n_shots else ()
    valid_file = draws / "valid.parquet"
    valid, (test, items) = _kept(files.read_labelled, valid_file), _asked(test_domain)
    learned_from = item_ids(row.sample for row in train) | _kept(_items_in_labelled, valid_file)
    return FewShotTask(train, valid, test, _items_of(learned_from, draws / "items.parquet") | items, seed)


def training_task(train_domain: str, n_shots: int, seed: int) -> FewShotTask:
    """What tuning a language model may see: the draw and the validation rows of `train_domain`, and no test sample.

    With 0 shots there is no draw.

    Raises:
        MissingArtifactError: stage `draw` has not written what is needed.
        DataError: a drawn row or an item is not in the files beside it.
    """
    draws = paths.fewshot_folder(train_domain)
    train = _drawn(paths.draw_folder(train_domain, n_shots, seed), "llm") if n_shots else ()
    valid = files.read_labelled(draws / "valid.parquet")
    items = _items_of(item_ids(row.sample for row in (*train, *valid)), draws / "items.parquet")
    return FewShotTask(train, valid, (), items, seed)


def scoring_task(test_domain: str, seed: int) -> FewShotTask:
    """What scoring with a tuned model needs: the samples of a test set and nothing to learn from.

    Raises:
        MissingArtifactError: stage `prepare` has not written what is needed.
        DataError: an item is not in the file beside it.
    """
    test, items = _asked(test_domain)
    return FewShotTask((), (), test, items, seed)


def full_task(test_domain: str, seed: int) -> FewShotTask:
    """The task of a test set with all training rows of its domain.

    Raises:
        MissingArtifactError: stage `prepare` has not written what is needed.
        DataError: an item is not in the file beside it.
    """
    prepared = paths.prepared_folder(domain_of(test_domain))
    train, valid = (files.read_labelled(prepared / f"{split}.parquet") for split in ("train", "valid"))
    test, items = _asked(test_domain)
    known = item_ids(row.sample for row in (*train, *valid))
    return FewShotTask(train, valid, test, _items_of(known, prepared / "items.parquet") | items, seed)


def count_training_rows(domain: str) -> int:
    """Rows of the full training set, the `n_shots` of `full_task`.

    Raises:
        MissingArtifactError: stage `prepare` has not written them.
    """
    return files.count_rows(paths.prepared_folder(domain) / "train.parquet")


def demonstration_task(test_domain: str, n_shots: int, seed: int) -> FewShotTask:
    """The samples of a test set, with the draw of demonstrations of its domain to show before each of them.

    Raises:
        MissingArtifactError: stage `prepare` or `draw` has not written what is needed.
        DataError: a drawn row or an item is not in the files beside it.
    """
    asked, domain = scoring_task(test_domain, seed), domain_of(test_domain)
    shown = _drawn(paths.demonstrations_folder(domain, n_shots, seed), "llm")
    known = _items_of(item_ids(row.sample for row in shown), paths.prepared_folder(domain) / "items.parquet")
    return replace(asked, train=shown, items=known | dict(asked.items))


def _drawn(draw: Path, side: Literal["llm", "conventional"]) -> tuple[Labelled, ...]:
    """The rows of a draw that one side sees; with `fidelity.draw: released` those of the two differ."""
    ids: list[str] = files.read_json(draw / "draw.json")["ids"][side]
    rows = {row.sample.sample_id: row for row in files.read_labelled(draw / "rows.parquet")}
    missing = [sample_id for sample_id in ids if sample_id not in rows]
    if missing:
        raise DataError(
            f"{draw / 'draw.json'}: {len(missing)} of {len(ids)} rows are not in rows.parquet, e.g. {missing[0]!r}"
        )
    return tuple(rows[sample_id] for sample_id in ids)


def _items_of(wanted: Set[str], path: Path) -> dict[str, Item]:
    """Items that occur; a domain has many more, and a stage may hold a task for each draw."""
    known = _kept(files.read_items, path)
    missing = sorted(wanted - known.keys())
    if missing:
        raise DataError(f"{path}: {len(missing)} items of the samples have no row, e.g. {missing[0]!r}")
    return {item_id: known[item_id] for item_id in sorted(wanted)}


def _asked(test_domain: str) -> tuple[tuple[Sample, ...], dict[str, Item]]:
    """The samples of a test set, and the items that occur in them."""
    path = paths.test_file(test_domain)
    samples, items = _kept(files.read_samples, path), path.with_name("items.parquet")
    return samples, _items_of(_kept(_items_in_samples, path), items)


def _items_in_samples(path: Path) -> set[str]:
    return item_ids(_kept(files.read_samples, path))


def _items_in_labelled(path: Path) -> set[str]:
    return item_ids(row.sample for row in _kept(files.read_labelled, path))


def _kept(read: Callable[[Path], Content], path: Path) -> Content:
    """`read(path)`, once as long as the file is the same."""
    status = files.require(path).stat()
    return _read(read, path, path.resolve(), (status.st_ino, status.st_mtime_ns, status.st_size))


@functools.lru_cache(N_FILES_KEPT)
def _read(read: Callable[[Path], Any], path: Path, *same_file: object) -> Any:
    del same_file
    return read(path)
