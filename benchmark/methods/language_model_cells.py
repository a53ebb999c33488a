"""The cells of the grid that a language model fills; apart, so that another control or baseline scores none anew."""

from collections.abc import Iterator

from benchmark.artifacts.files import read_json
from benchmark.artifacts.paths import unavailable_file
from benchmark.config.in_context import ServerParams
from benchmark.config.params import Params
from benchmark.schema import Cell


def icl_cells(params: Params, model: str, prompt: str, domain: str) -> Iterator[Cell]:
    """Zero-shot once; with demonstrations once a seed. `n_shots` counts the demonstrations."""
    section = params.icl.models.get(model)
    asks_all = prompt in params.icl.extended_prompts and (
        not isinstance(section, ServerParams) or section.extended_test_set
    )
    for test_domain in params.test_sets(domain) if asks_all else (domain,):
        for n_shots in params.icl.n_demonstrations:
            if n_shots and prompt not in params.icl.demonstrated_prompts:
                continue
            for seed in params.grid.seeds if n_shots else params.grid.seeds[:1]:
                yield Cell("icl", f"icl-{model}-{prompt}", domain, test_domain, n_shots, seed)


def unavailable(params: Params, root: str = "predictions") -> dict[str, str]:
    """Why in-context models could not be had, by method; those that could are not in it."""
    methods = [f"icl-{model}-{prompt}" for model in params.grid.other_models for prompt in params.grid.prompts]
    told = {method: unavailable_file(root, method) for method in methods}
    return {method: str(read_json(path)["reason"]) for method, path in told.items() if path.exists()}


def tuned_cells(params: Params, recipe: str, train_domain: str) -> Iterator[Cell]:
    """Every adapter is scored on every domain, so transfer costs no tuning."""
    for test_domain in (test_set for domain in params.grid.domains for test_set in params.test_sets(domain)):
        for n_shots in params.grid.n_shots:
            for seed in params.grid.seeds:
                yield Cell("tuned", f"{recipe}-{train_domain}", train_domain, test_domain, n_shots, seed)


def probe_cells(params: Params, variant: str) -> Iterator[Cell]:
    """The cells of `variant` whose inputs are changed: the largest K, on the domain it was tuned on or on every one."""
    recipe, train_domain = variant.split("-", 1)
    for cell in tuned_cells(params, recipe, train_domain):
        is_own = cell.test_domain in params.grid.domains and train_domain in ("both", cell.test_domain)
        if is_own and cell.n_shots == max(params.grid.n_shots):
            yield cell
