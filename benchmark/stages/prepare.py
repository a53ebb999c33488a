"""Stage `prepare`: data/raw/<domain>/ -> data/prepared/<domain>/ and, apart from them, the test labels.

Usage: python -m benchmark.stages.prepare --domain movie
"""

import logging
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmark.arguments import stage_arguments
from benchmark.artifacts import files, paths
from benchmark.config.names import refuse_unknown
from benchmark.config.params import Params
from benchmark.data.domains import DomainData, format_module
from benchmark.data.domains.summary import describe
from benchmark.data.domains.titles import plain
from benchmark.data.world import generator
from benchmark.errors import DataError, exit_code_of
from benchmark.methods.configuration import load_config
from benchmark.schema import EXTENDED, Labelled
from benchmark.seeding import derive_seed

_LOG = logging.getLogger(__name__)


def prepare(domain: str, params: Params) -> None:
    """Write items, samples and statistics of a domain, and its test labels to a file of their own.

    Raises:
        ConfigError: no such domain.
        DataError: the raw files are malformed, too many of their lines are left out, a split is empty, or test rows
            are of one class.
    """
    refuse_unknown("domains", domain, params.domains)
    section = params.domains[domain]
    raw = files.require(paths.raw_folder(domain))
    data = format_module(section.format).read(raw, section)
    _check(data, raw)
    data = _first_look(data, params.evaluate.max_test_samples)
    _refuse_one_class(data, raw, params.evaluate.max_test_samples)
    test_sets = {domain: data.splits["test"]} | ({domain + EXTENDED: data.extended} if section.has_extended else {})
    with files.replacing_folder(paths.prepared_folder(domain)) as folder:
        files.write_items(folder / "items.parquet", data.items)
        files.write_labelled(folder / "train.parquet", data.splits["train"])
        files.write_labelled(folder / "valid.parquet", data.splits["valid"])
        for name, rows in test_sets.items():
            files.write_samples(folder / paths.test_file(name).name, [row.sample for row in rows])
        files.write_json(folder / "stats.json", describe(data))
    with files.replacing_folder(paths.labels_file(domain).parent) as folder:
        for name, rows in test_sets.items():
            files.write_labels(folder / paths.labels_file(name).name, {row.sample.sample_id: row.liked for row in rows})
        if section.source == "embedded":
            auc = generator.bayes_auc(params.world, section.noun, section.format, test_sets[domain])
            files.write_json(folder / paths.ceiling_file(domain).name, {"auc": auc})
    sizes = ", ".join(f"{split} {len(rows)}" for split, rows in {**data.splits, "extended": data.extended}.items())
    _LOG.info("%s: %s rows, %d items", domain, sizes, len(data.items))


def _first_look(data: DomainData, most: int | None) -> DomainData:
    """The data with at most `most` rows in each test set: always the same ones, in their order."""

    def some(rows: Sequence[Labelled]) -> tuple[Labelled, ...]:
        kept = sorted(range(len(rows)), key=lambda row: derive_seed("first look", rows[row].sample.sample_id))[:most]
        return tuple(rows[row] for row in sorted(kept))

    return replace(data, splits={**data.splits, "test": some(data.splits["test"])}, extended=some(data.extended))


def _check(data: DomainData, raw: Path) -> None:
    for item in data.items.values():
        for text in (item.text, item.mention):
            if plain(text, most_letters=None) != text:
                raise DataError(
                    f"{raw}: item {item.item_id!r}: {text!r:.80} is no plain title (benchmark.data.domains.titles)"
                )
    counts = Counter(row.sample.sample_id for rows in (*data.splits.values(), data.extended) for row in rows)
    sample_id, count = max(counts.items(), key=lambda entry: entry[1], default=("", 0))
    if count > 1:
        raise DataError(f"{raw}: sample {sample_id!r} stands {count} times in the splits, expected once")
    for name, count in data.lines.items():
        count.refuse_large_share(raw / name)
    for split in paths.SPLITS:
        if not data.splits[split]:
            raise DataError(f"{raw}: split {split!r} has no row; there are {len(counts)} in all")


def _refuse_one_class(data: DomainData, raw: Path, most: int | None) -> None:
    """Refuse data for which no AUC is defined, before anything is tuned on them.

    Raises:
        DataError: the rows of a test set are all liked or all disliked.
    """
    cut = "" if most is None else f" within evaluate.max_test_samples = {most}"
    test_sets = {name: rows for name, rows in {"test": data.splits["test"], "extended": data.extended}.items() if rows}
    for name, rows in test_sets.items():
        n_liked = sum(row.liked for row in rows)
        if n_liked in (0, len(rows)):
            raise DataError(
                f"{raw}: split {name!r}: {n_liked} of {len(rows)} rows{cut} are liked, expected some and not all, or "
                "there is no AUC; see liked_above, selection, n_samples and split of the domain"
            )
        if len({row.sample.user_id for row in rows}) == 1:
            _LOG.warning("%s: split %r is of one user: its numbers will have no interval", raw, name)
    for split, purpose in (
        ("train", "from which nothing is learnt"),
        ("valid", "by which neither recommenders nor fidelity.checkpoint: best_auc can choose a checkpoint"),
    ):
        if len({row.liked for row in data.splits[split]}) == 1:
            _LOG.warning("%s: the rows of split %r are of one class, %s", raw, split, purpose)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage for one domain."""
    arguments = stage_arguments(__doc__, argv, "domain")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    return exit_code_of(lambda: prepare(arguments.domain, load_config()))


if __name__ == "__main__":
    sys.exit(main())
