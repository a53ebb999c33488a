"""In-context learning: a model as it is, asked about every test sample, with and without demonstrations."""

from collections.abc import Mapping
from typing import Any

from benchmark.artifacts.paths import STARTS
from benchmark.config.params import Params
from benchmark.data.tasks import demonstration_task, scoring_task
from benchmark.methods import language_models
from benchmark.methods.language_model_cells import icl_cells
from benchmark.methods.running import run_cells
from benchmark.schema import Cell, FewShotTask, Method


def run_in_context(
    params: Params, model: str, prompt: str, method: Method, settings: Mapping[str, Any], notes: Mapping[str, Any]
) -> None:
    """Score every domain with a model that is loaded once; the demonstrations are a draw of their number.

    Args:
        params: the configuration.
        model: its name in the grid.
        prompt: the style that it is asked in.
        method: asks it.
        settings: the values that decide its scores beside the prompt, for the records.
        notes: what `method` has to say of each cell that it has just scored, for the records.
    """

    def task_of(cell: Cell) -> FewShotTask:
        if cell.n_shots == 0:
            return scoring_task(cell.test_domain, cell.seed)
        return demonstration_task(cell.test_domain, cell.n_shots, cell.seed)

    run_cells(
        [cell for domain in params.grid.domains for cell in icl_cells(params, model, prompt, domain)],
        task_of=task_of,
        method_of=lambda _: method,
        settings_of=lambda _: {**settings, "prompt": prompt},
        notes_of=lambda _: notes,
    )


def own_method(params: Params, name: str, prompt: str) -> Method:
    """The method that asks the model of section `llm` in the style `prompt`: `base`, or `alpaca` with its adapter."""
    model, tokenizer = language_models.load_base(params, to_score=True)
    if name == "alpaca":
        from tallrec.models.adapters import load_adapter

        model = load_adapter(model, STARTS / name)
    return language_models.scoring_method(model, tokenizer, language_models.scoring(params, prompt))
