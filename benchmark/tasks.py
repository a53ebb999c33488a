"""Artifacts of stages `prepare` and `draw` -> the task of a cell. Reads no test label."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from benchmark import files
from benchmark.errors import DataError
from benchmark.schema import FewShotTask, Item, Labelled, Sample


def few_shot_task(
    train_domain: str, test_domain: str, n_shots: int, seed: int, side: Literal["llm", "conventional"]
) -> FewShotTask:
    """The draw of one (train_domain, n_shots, seed), to be tested on `test_domain`.

    Args:
        train_domain: domain of the training and validation rows, or `both`.
        test_domain: domain of the test samples.
        n_shots: training rows; 0 gives none.
        seed: seed of the draw and of the method.
        side: whose draw, where `fidelity.draw` gives the LLM and the conventional methods different rows.

    Raises:
        MissingArtifactError: stage `prepare` or `draw` has not written what is needed.
        DataError: a drawn row or an item is not in the files beside it.
    """
    draw_file = files.draw_file(train_domain, n_shots, seed)
    draws = draw_file.parents[1]
    train = _drawn(draw_file, draws / "pool.parquet", side) if n_shots else ()
    valid = files.read_labelled(draws / "valid.parquet")
    prepared = files.prepared_folder(test_domain)
    test = files.read_samples(prepared / "test.parquet")
    learned_from = [row.sample for row in (*train, *valid)]
    items = _items_of(learned_from, draws / "items.parquet") | _items_of(test, prepared / "items.parquet")
    return FewShotTask(train, valid, test, items, seed)


def training_task(train_domain: str, n_shots: int, seed: int, side: Literal["llm", "conventional"]) -> FewShotTask:
    """What tuning may see: the draw and the validation rows of `train_domain`, and no test sample.

    Raises:
        MissingArtifactError: stage `draw` has not written what is needed.
        DataError: a drawn row or an item is not in the files beside it.
    """
    draw_file = files.draw_file(train_domain, n_shots, seed)
    draws = draw_file.parents[1]
    train, valid = (
        _drawn(draw_file, draws / "pool.parquet", side),
        files.read_labelled(draws / "valid.parquet"),
    )
    items = _items_of([row.sample for row in (*train, *valid)], draws / "items.parquet")
    return FewShotTask(train, valid, (), items, seed)


def scoring_task(test_domain: str, seed: int) -> FewShotTask:
    """What scoring with a tuned model needs: the test samples of `test_domain` and nothing to learn from.

    Raises:
        MissingArtifactError: stage `prepare` has not written what is needed.
        DataError: an item is not in the file beside it.
    """
    prepared = files.prepared_folder(test_domain)
    test = files.read_samples(prepared / "test.parquet")
    return FewShotTask((), (), test, _items_of(test, prepared / "items.parquet"), seed)


def full_task(domain: str, seed: int) -> FewShotTask:
    """The task of `domain` with all of its training rows.

    Raises:
        MissingArtifactError: stage `prepare` has not written what is needed.
        DataError: an item is not in the file beside it.
    """
    prepared = files.prepared_folder(domain)
    train, valid = (files.read_labelled(prepared / f"{split}.parquet") for split in ("train", "valid"))
    test = files.read_samples(prepared / "test.parquet")
    samples = [*(row.sample for row in (*train, *valid)), *test]
    return FewShotTask(train, valid, test, _items_of(samples, prepared / "items.parquet"), seed)


def count_training_rows(domain: str) -> int:
    """Rows of the full training set, the `n_shots` of `full_task`.

    Raises:
        MissingArtifactError: stage `prepare` has not written them.
    """
    return files.count_rows(files.prepared_folder(domain) / "train.parquet")


def _drawn(draw_file: Path, pool_file: Path, side: str) -> tuple[Labelled, ...]:
    ids: list[str] = files.read_json(draw_file)["ids"][side]
    pool = {row.sample.sample_id: row for row in files.read_labelled(pool_file)}
    missing = [sample_id for sample_id in ids if sample_id not in pool]
    if missing:
        raise DataError(
            f"{draw_file}: {len(missing)} of {len(ids)} rows are not in {pool_file.name}, e.g. {missing[0]!r}"
        )
    return tuple(pool[sample_id] for sample_id in ids)


def _items_of(samples: Sequence[Sample], path: Path) -> dict[str, Item]:
    """Items that occur in `samples`; a domain has many more, and a stage may hold a task for each draw."""
    events = {event.item_id for sample in samples for event in sample.history}
    occurring = events | {sample.target_item_id for sample in samples}
    known = files.read_items(path)
    missing = sorted(occurring - known.keys())
    if missing:
        raise DataError(f"{path}: {len(missing)} items of the samples have no row, e.g. {missing[0]!r}")
    return {item_id: known[item_id] for item_id in sorted(occurring)}
