"""Stage `draw`: prepared rows -> data/fewshot/<train_domain>/, and data/demonstrations/<domain>/ for prompts.

Each draw is a folder that nothing else is in, so that one more K or seed leaves all others as they are.

Usage: python -m benchmark.stages.draw
"""

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

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


Parts = Mapping[str, Prepared]
"""The domains that a training domain is made of; more than one of `both`."""
Drawn = Callable[[str, int, int], Draw]
"""Domain, n_shots, seed -> draw."""


def draw_all(params: Params) -> None:
    """Draw every K and seed of the grid for every training domain, and the demonstrations of every domain.

    What baselines and controls alone have are the seeds beyond `grid.seeds`, which `both` needs no draws of.

    Raises:
        ConfigError: a training split has fewer rows than K.
        MissingArtifactError: a domain is not prepared.
    """
    grid = params.grid
    domains = {domain: _read(domain) for domain in grid.domains}
    n_shown = [n for n in params.icl.n_demonstrations if n]
    # All draws come before the first write: a K that is too large leaves nothing half-written.
    drawn = {
        (domain, n_shots, seed): draw(tuple(domains[domain].train), n_shots, seed, domain, params.fidelity.draw)
        for domain in domains
        for n_shots in sorted({*grid.n_shots, *n_shown})
        for seed in grid.every_seed
    }

    def found(domain: str, n_shots: int, seed: int) -> Draw:
        return drawn[domain, n_shots, seed]

    for train_domain in dict.fromkeys((*grid.domains, *grid.train_domains)):
        seeds = grid.every_seed if train_domain in grid.domains else grid.seeds
        parts = {part: domains[part] for part in (grid.domains if train_domain == "both" else (train_domain,))}
        validating = list(parts.values())
        if params.fidelity.both_validation == "first_domain":
            validating = validating[:1]
        with files.replacing_folder(paths.fewshot_folder(train_domain)) as folder:
            files.write_labelled(folder / "valid.parquet", [row for part in validating for row in part.valid])
            files.write_items(folder / "items.parquet", _items(train_domain, parts))
            for n_shots in grid.n_shots:
                for seed in seeds:
                    place = paths.draw_folder(train_domain, n_shots, seed)
                    inner = folder / place.relative_to(paths.fewshot_folder(train_domain))
                    _write(inner, train_domain, parts, n_shots, seed, found)
        _LOG.info("%s: %d draws", train_domain, len(grid.n_shots) * len(seeds))
    with files.replacing_folder(paths.DEMONSTRATIONS) as folder:
        files.write_json(folder / "numbers.json", {"domains": grid.domains, "n_demonstrations": n_shown})
        for domain, part in domains.items():
            for n_shots in n_shown:
                for seed in grid.seeds:
                    place = paths.demonstrations_folder(domain, n_shots, seed).relative_to(paths.DEMONSTRATIONS)
                    _write(folder / place, domain, {domain: part}, n_shots, seed, found)


def _read(domain: str) -> Prepared:
    folder = paths.prepared_folder(domain)
    return Prepared(
        files.read_items(folder / "items.parquet"),
        {row.sample.sample_id: row for row in files.read_labelled(folder / "train.parquet")},
        files.read_labelled(folder / "valid.parquet"),
    )


def _write(folder: Path, train_domain: str, parts: Parts, n_shots: int, seed: int, drawn: Drawn) -> None:
    """Write one draw: the ids that each side sees in order, those of the parts in turn, and the rows they name."""
    draws = [drawn(part, n_shots, seed) for part in parts]
    ids = {
        "llm": [sample_id for one in draws for sample_id in one.llm],
        "conventional": [sample_id for one in draws for sample_id in one.conventional],
    }
    files.write_json(folder / "draw.json", {"domain": train_domain, "n_shots": n_shots, "seed": seed, "ids": ids})
    seen = {*ids["llm"], *ids["conventional"]}
    rows = [row for part in parts.values() for sample_id, row in part.train.items() if sample_id in seen]
    liked = {row.sample.sample_id: row.liked for row in rows}
    for side, of_side in ids.items():
        if len(of_side) > 1 and len(answers := {liked[sample_id] for sample_id in of_side}) == 1:
            label = "liked" if answers.pop() else "disliked"
            told = "%s k%d seed%d: all rows that the %s side draws are %s, so that it sees one answer alone"
            _LOG.warning(told, train_domain, n_shots, seed, side, label)
    files.write_labelled(folder / "rows.parquet", rows)


def _items(train_domain: str, parts: Parts) -> dict[str, Item]:
    """The items of all parts together."""
    items: dict[str, Item] = {}
    for part in parts.values():
        for item_id, item in part.items.items():
            if items.setdefault(item_id, item) != item:
                raise DataError(
                    f"domains: {item_id} is {items[item_id].text!r} in one and {item.text!r} in another; where "
                    f"{train_domain!r} is tuned on, each domain needs a `noun` of its own"
                )
    return items


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage."""
    stage_arguments(__doc__, argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    return exit_code_of(lambda: draw_all(load_config()))


if __name__ == "__main__":
    sys.exit(main())
