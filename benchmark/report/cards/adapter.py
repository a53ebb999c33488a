"""One tuned adapter as a folder that plain PEFT loads, with its card; nothing is uploaded."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmark.artifacts import files, paths
from benchmark.artifacts.paths import METRICS_CSV, adapter_folder
from benchmark.artifacts.provenance import run_file
from benchmark.config.names import refuse_unknown
from benchmark.config.params import Params
from benchmark.errors import MissingArtifactError, refuse_other_folder
from benchmark.methods.grid import rule_cells
from benchmark.methods.language_model_cells import tuned_cells
from benchmark.report.cards.card import Facts, Tested, card_text, results_yaml
from benchmark.schema import Cell, Interaction, Item, Sample
from benchmark.statistics.results import MetricRow, read_rows

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
RESULTS = ".eval_results/tallrec-bench.yaml"
"""Where the Hub looks for the results of a model on a benchmark that is a data set there."""


def export_adapter(variant: str, n_shots: int, seed: int, out: Path, params: Params, benchmark: str = "") -> None:
    """Write the adapter of a cell, its card and its results into `out`, whole or not at all.

    Args:
        variant: recipe and what it was tuned on, e.g. `tallrec-movie`.
        n_shots: K.
        seed: of the draw.
        out: the folder; replaced.
        params: the configuration that it was tuned with.
        benchmark: data set of the Hub, `OWNER/NAME`, that is registered there as this benchmark; without one the
            results stand in the card alone.

    Raises:
        ConfigError: the grid has no such variant, K or seed, or `out` holds something else.
        MissingArtifactError: it is not tuned, scored or evaluated.
    """
    cells = _cells(params, variant, n_shots, seed)
    source = adapter_folder(variant, n_shots, seed)
    files.require(source / WEIGHTS)
    rows = {row.cell: row for row in read_rows(METRICS_CSV)}
    tested = [_tested(params, rows[cell], rows) for cell in cells if cell in rows and rows[cell].status == "ok"]
    if not tested:
        raise MissingArtifactError(f"{METRICS_CSV}: no result of {cells[0]}; `dvc repro evaluate` makes it")
    train_domain = cells[0].train_domain
    own = replace(cells[0], test_domain=train_domain)
    facts = Facts(
        params=params,
        cell=own,
        origin=files.read_json(paths.BASE_MODEL / "origin.json"),
        tuning=_record(own, "runs/tune"),
        scoring=_record(tested[0].row.cell, "runs"),
        tested=tuple(tested),
        example=_example(params),
    )
    config = files.read_json(source / CONFIG) | facts.base_of_hub
    refuse_other_folder(out, CONFIG, "README.md")
    with files.replacing_folder(out) as temporary:
        files.write_bytes(temporary / WEIGHTS, (source / WEIGHTS).read_bytes())
        files.write_bytes(temporary / CONFIG, (json.dumps(config, indent=2, sort_keys=True) + "\n").encode())
        files.write_bytes(temporary / "README.md", card_text(facts).encode())
        if benchmark:
            files.write_bytes(temporary / RESULTS, results_yaml(facts, benchmark).encode())


def _cells(params: Params, variant: str, n_shots: int, seed: int) -> list[Cell]:
    """The cells that the adapter was scored in, the first one of its own domain."""
    grid = params.grid
    variants = [f"{recipe}-{domain}" for recipe in grid.recipes for domain in grid.train_domains]
    refuse_unknown("variant", variant, variants)
    refuse_unknown("--n-shots", str(n_shots), [*map(str, grid.n_shots)])
    refuse_unknown("--seed", str(seed), [*map(str, grid.seeds)])
    recipe, train_domain = variant.split("-", 1)
    found = [c for c in tuned_cells(params, recipe, train_domain) if (c.n_shots, c.seed) == (n_shots, seed)]
    return sorted(found, key=lambda cell: cell.test_domain != train_domain)


def _tested(params: Params, row: MetricRow, rows: Mapping[Cell, MetricRow]) -> Tested:
    """A result, with the best rule without training on the same rows."""
    rules = rule_cells(params, row.cell.test_domain, 0).values()
    of_rules = {c.method: auc for c in rules if c.n_shots == 0 and c in rows and (auc := rows[c].auc) is not None}
    best = max(of_rules.items(), key=lambda item: item[1], default=None)
    return Tested(row, best)


def _record(cell: Cell, root: str) -> Mapping[str, Any]:
    path = run_file(cell, root)
    return files.read_json(path) if path.exists() else {}


def _example(params: Params) -> str:
    """The prompt as it is asked, of titles that nobody made: those of the data may not be passed on."""
    from tallrec.prompts.rendering import render

    noun = next(iter(params.domains.values())).noun
    items = {name: Item(name, noun, f"{name} (1990)", f'"{name} (1990)"') for name in ("First", "Second", "Third")}
    history = (Interaction("First", liked=True), Interaction("Second", liked=False))
    return render(
        "released", Sample("0", "", history, "Third"), items, stray_comment=params.fidelity.prompt == "released"
    )
