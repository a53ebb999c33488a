"""The rows of a domain before a run: as prepared, or read from files at hand. The network is not asked."""

import logging
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmark.artifacts import files, paths
from benchmark.config.params import Params
from benchmark.config.pipeline import locked_stages
from benchmark.data.domains import format_module, raw_files
from benchmark.data.sources import chosen_mirror, fetch
from benchmark.errors import BenchmarkError
from benchmark.schema import Item, Labelled, Sample

MOST_BYTES = 1 << 27
"""Of raw files that are read for a plan; larger ones take minutes."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What stage `prepare` writes of a domain."""

    items: Mapping[str, Item]
    train: tuple[Labelled, ...]
    valid: tuple[Labelled, ...]
    test: tuple[Sample, ...]
    n_extended: int


def rows_of(params: Params, domain: str) -> Rows | None:
    """The rows of this configuration; None where they are neither prepared nor to be had without a download.

    What is prepared counts where `dvc.lock` says that it was prepared with these values.
    """
    if _is_prepared(params, domain):
        return _prepared(domain)
    section = params.domains[domain]
    with TemporaryDirectory() as folder, _readers_say_nothing():
        raw = Path(folder) / domain
        try:
            if section.source == "embedded":
                from benchmark.data.world import generator

                raw.mkdir()
                generator.write_raw(params.world, section.format, section.noun, raw)
            elif not _copied(params, domain, raw):
                return None
            data = format_module(section.format).read(raw, section)
        except BenchmarkError:
            return None  # stage `raw` or `prepare` will say what is wrong
    splits = data.splits
    test = tuple(row.sample for row in splits["test"])
    return Rows(data.items, splits["train"], splits["valid"], test, len(data.extended))


@contextmanager
def _readers_say_nothing() -> Generator[None]:
    """What they left out or guessed is told when stages `raw` and `prepare` read the files."""
    log = logging.getLogger("benchmark.data")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def _copied(params: Params, domain: str, raw: Path) -> bool:
    mirror, wanted = chosen_mirror(params.data.mirror), raw_files(params.domains[domain])
    if mirror is None:
        return False
    found = [
        next((path for name in (file.path, file.stand_in) if name and (path := mirror / name).is_file()), None)
        for file in wanted
    ]
    if not all(found) or sum(path.stat().st_size for path in found if path) > MOST_BYTES:
        return False
    fetch(wanted, raw, mirror)
    return True


def _is_prepared(params: Params, domain: str) -> bool:
    if not (paths.prepared_folder(domain) / "stats.json").exists():
        return False
    stage = locked_stages(Path()).get(f"prepare@{domain}", {})
    return stage.get("params", {}).get(paths.PARAMS_YAML.name) == {
        f"domains.{domain}": params.domains[domain].model_dump(mode="json"),
        "evaluate.max_test_samples": params.evaluate.max_test_samples,
        "world": params.world.model_dump(mode="json"),
    }


def _prepared(domain: str) -> Rows:
    folder = paths.prepared_folder(domain)
    extended = files.read_json(folder / "stats.json").get("extended")
    return Rows(
        files.read_items(folder / "items.parquet"),
        files.read_labelled(folder / "train.parquet"),
        files.read_labelled(folder / "valid.parquet"),
        files.read_samples(folder / "test.parquet"),
        extended["rows"] if extended else 0,
    )
