"""Stage `prepare`: data/raw/<domain>/ -> data/prepared/<domain>/ and, apart from them, the test labels.

Usage: python -m benchmark.stages.prepare --domain movie
"""

import logging
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmark.arguments import stage_arguments
from benchmark.artifacts import files, paths
from benchmark.config.params import Params
from benchmark.data.domains import DomainData, format_module
from benchmark.data.domains.summary import describe
from benchmark.data.domains.titles import plain
from benchmark.data.world import generator
from benchmark.errors import ConfigError, DataError, exit_code_of
from benchmark.methods.configuration import load_config

_LOG = logging.getLogger(__name__)


def prepare(domain: str, params: Params) -> None:
    """Write items, samples and statistics of a domain, and its test labels to a file of their own.

    Raises:
        ConfigError: no such domain.
        DataError: the raw files are malformed, or a split is empty.
    """
    if domain not in params.domains:
        raise ConfigError(f"params.yaml: domains: no domain {domain!r}, expected one of {', '.join(params.domains)}")
    section = params.domains[domain]
    raw = files.require(paths.raw_folder(domain))
    data = format_module(section.format).read(raw, section)
    _check(data, raw)
    with files.replacing_folder(paths.prepared_folder(domain)) as folder:
        files.write_items(folder / "items.parquet", data.items)
        files.write_labelled(folder / "train.parquet", data.splits["train"])
        files.write_labelled(folder / "valid.parquet", data.splits["valid"])
        files.write_samples(folder / "test.parquet", [row.sample for row in data.splits["test"]])
        files.write_json(folder / "stats.json", describe(data))
    with files.replacing_folder(paths.labels_file(domain).parent) as folder:
        test = data.splits["test"]
        files.write_labels(folder / paths.labels_file(domain).name, {row.sample.sample_id: row.liked for row in test})
        if section.source == "embedded":
            auc = generator.bayes_auc(params.world, section.noun, section.format, test)
            files.write_json(folder / paths.ceiling_file(domain).name, {"auc": auc})
    sizes = ", ".join(f"{split} {len(data.splits[split])}" for split in paths.SPLITS)
    _LOG.info("%s: %s rows, %d items", domain, sizes, len(data.items))


def _check(data: DomainData, raw: Path) -> None:
    for item in data.items.values():
        for text in (item.text, item.mention):
            if plain(text, most_letters=None) != text:
                raise DataError(
                    f"{raw}: item {item.item_id!r}: {text!r:.80} is no plain title (benchmark.data.domains.titles)"
                )
    counts = Counter(row.sample.sample_id for rows in data.splits.values() for row in rows)
    sample_id, count = max(counts.items(), key=lambda entry: entry[1], default=("", 0))
    if count > 1:
        raise DataError(f"{raw}: sample {sample_id!r} stands {count} times in the splits, expected once")
    for split in paths.SPLITS:
        if not data.splits[split]:
            raise DataError(f"{raw}: split {split!r} has no row; there are {len(counts)} in all")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage for one domain."""
    arguments = stage_arguments(__doc__, argv, "domain")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    return exit_code_of(lambda: prepare(arguments.domain, load_config()))


if __name__ == "__main__":
    sys.exit(main())
