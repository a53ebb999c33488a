"""Stage `draw`: data/prepared/ -> data/fewshot/<train_domain>/, one self-contained folder a training domain.

Usage: python -m benchmark.stages.draw
"""

import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmark.arguments import stage_arguments
from benchmark.artifacts import files, paths
from benchmark.config.params import Params
from benchmark.data.fewshot import Draw, draw
from benchmark.errors import DataError, exit_code_of
from benchmark.methods.configuration import load_config
from benchmark.schema import Item, Labelled

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What draws need of a prepared domain."""

    items: dict[str, Item]
    train: dict[str, Labelled]
    """By sample id, in file order."""
    valid: tuple[Labelled, ...]


def draw_all(params: Params) -> None:
    """Draw every K and seed of the grid for every training domain.

    Raises:
        ConfigError: a training split has fewer rows than K.
        MissingArtifactError: a domain is not prepared.
    """
    domains = {domain: _read(domain) for domain in params.grid.domains}
    # All draws come before the first write: a K that is too large leaves nothing half-written.
    drawn = {
        (domain, n_shots, seed): draw(tuple(domains[domain].train), n_shots, seed, domain, params.fidelity.draw)
        for domain in domains
        for n_shots, seed in _shots(params)
    }
    for train_domain in dict.fromkeys((*params.grid.domains, *params.grid.train_domains)):
        parts = params.grid.domains if train_domain == "both" else (train_domain,)
        _write(train_domain, {part: domains[part] for part in parts}, drawn, params)


def _shots(params: Params) -> Iterator[tuple[int, int]]:
    """Every number of shots with every seed; demonstrations are draws of their own size."""
    for n_shots in sorted({*params.grid.n_shots, *params.icl.n_demonstrations} - {0}):
        for seed in params.grid.seeds:
            yield n_shots, seed


def _read(domain: str) -> Prepared:
    folder = paths.prepared_folder(domain)
    return Prepared(
        files.read_items(folder / "items.parquet"),
        {row.sample.sample_id: row for row in files.read_labelled(folder / "train.parquet")},
        files.read_labelled(folder / "valid.parquet"),
    )


def _write(
    train_domain: str, parts: dict[str, Prepared], drawn: dict[tuple[str, int, int], Draw], params: Params
) -> None:
    """Write one training domain: the draws of its parts in turn, and the rows and items they need."""
    validating = list(parts.values())
    if params.fidelity.both_validation == "first_domain":
        validating = validating[:1]
    valid = tuple(row for part in validating for row in part.valid)
    target = paths.draw_file(train_domain, 1, 0).parent.parent
    pool: set[str] = set()
    with files.replacing_folder(target) as folder:
        for n_shots, seed in _shots(params):
            draws = [drawn[part, n_shots, seed] for part in parts]
            ids = {
                "llm": [sample_id for one in draws for sample_id in one.llm],
                "conventional": [sample_id for one in draws for sample_id in one.conventional],
            }
            pool.update(ids["llm"], ids["conventional"])
            content = {"domain": train_domain, "n_shots": n_shots, "seed": seed, "ids": ids}
            path = paths.draw_file(train_domain, n_shots, seed).relative_to(target)
            files.write_json(folder / path, content)
        rows = [row for part in parts.values() for sample_id, row in part.train.items() if sample_id in pool]
        files.write_labelled(folder / "pool.parquet", rows)
        files.write_labelled(folder / "valid.parquet", valid)
        items: dict[str, Item] = {}
        for part in parts.values():
            for item_id, item in part.items.items():
                if items.setdefault(item_id, item) != item:
                    raise DataError(
                        f"domains: {item_id} is {items[item_id].text!r} in one and {item.text!r} in another; where "
                        f"{train_domain!r} is tuned on, each domain needs a `noun` of its own"
                    )
        files.write_items(folder / "items.parquet", items)
    _LOG.info("%s: %d rows drawn, %d rows to validate on", train_domain, len(rows), len(valid))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage."""
    stage_arguments(__doc__, argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    return exit_code_of(lambda: draw_all(load_config()))


if __name__ == "__main__":
    sys.exit(main())
