"""The grid of `params.yaml` as cells. Everything that must exist is listed here; nothing is found by globbing."""

from collections.abc import Iterator, Mapping

from benchmark.config.params import Params
from benchmark.methods.baselines import baseline_rows
from benchmark.methods.controls import CONTROLS
from benchmark.methods.language_model_cells import icl_cells, probe_cells, tuned_cells
from benchmark.methods.probes import without_question
from benchmark.schema import Cell, domain_of


def cells(params: Params, n_train: Mapping[str, int]) -> Iterator[Cell]:
    """Every cell of the grid, in the order of the tables.

    Args:
        params: the configuration.
        n_train: rows of the training split of each domain; controls also run on all of them.
    """
    for domain in params.grid.domains:
        yield from control_cells(params, domain, n_train[domain])
        for model in params.grid.baselines:
            yield from baseline_cells(params, model, domain)
    for model in (*params.grid.icl_models, *params.grid.other_models):
        for prompt in params.grid.prompts:
            for domain in params.grid.domains:
                yield from icl_cells(params, model, prompt, domain)
    yield from (entry.cell for entry in params.external)
    for recipe in params.grid.recipes:
        for train_domain in params.grid.train_domains:
            yield from tuned_cells(params, recipe, train_domain)


def is_seeded(params: Params, cell: Cell) -> bool:
    """Whether another seed would give another result: another draw, other initial weights, or other random scores."""
    if cell.family == "control":
        control = CONTROLS[cell.method]
        return control.is_random or (control.learns and cell.n_shots in params.grid.n_shots)
    if cell.family == "external":
        return any(entry.is_seeded for entry in params.external if entry.cell == cell)
    return cell.family != "icl" or cell.n_shots > 0


def control_cells(params: Params, domain: str, n_train: int) -> Iterator[Cell]:
    """Controls that learn run at every K and on the full training set; the others once, or once a seed."""
    grid = params.grid
    for name in grid.controls:
        control = CONTROLS[name]
        if control.learns:
            shots = [(n_shots, seed) for n_shots in grid.n_shots for seed in grid.every_seed]
            shots.append((n_train, grid.seeds[0]))
        else:
            shots = [(0, seed) for seed in (grid.every_seed if control.is_random else grid.seeds[:1])]
        for test_domain in params.test_sets(domain):
            for n_shots, seed in dict.fromkeys(shots):  # K may be the full training set
                yield Cell("control", name, domain, test_domain, n_shots, seed)


def rule_cells(params: Params, test_domain: str, n_train: int) -> dict[str, Cell]:
    """Each rule of the grid with all that it can know, by name: without training, or on the full training set."""
    found = control_cells(params, domain_of(test_domain), n_train)
    return {
        cell.method: cell
        for cell in found
        if cell.test_domain == test_domain and cell.n_shots in (0, n_train) and not CONTROLS[cell.method].is_random
    }


def baseline_cells(params: Params, model: str, domain: str) -> Iterator[Cell]:
    """The rows of a model; one cell a K and seed."""
    for method in baseline_rows(model, params.baselines):
        for test_domain in params.test_sets(domain):
            for n_shots in params.grid.n_shots:
                for seed in params.grid.every_seed:
                    yield Cell("baseline", method, domain, test_domain, n_shots, seed)


def baseline_probe_cells(params: Params, model: str, domain: str) -> Iterator[Cell]:
    """The cells of a baseline whose inputs are changed: every row at the largest K."""
    largest = max(params.grid.n_shots)
    return (c for c in baseline_cells(params, model, domain) if c.n_shots == largest and c.test_domain == domain)


def probed(params: Params) -> Iterator[tuple[str, Cell, str]]:
    """Every probe: name of its folder, cell, and what is changed."""
    for variant in params.probe.variants:
        for cell in probe_cells(params, variant):
            yield from ((variant, cell, probe) for probe in params.probe.inputs)
    for domain in params.grid.domains:
        for model in params.grid.baselines:
            for cell in baseline_probe_cells(params, model, domain):
                yield from ((f"{model}-{domain}", cell, probe) for probe in without_question(params.probe.inputs))
