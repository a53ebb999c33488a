"""Stage `score`: the adapters of one variant -> predictions on every test domain; the base model is loaded once.

Usage: python -m benchmark.stages.score --recipe tallrec --train-domain movie
"""

import functools
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace

from benchmark.arguments import stage_arguments
from benchmark.artifacts.paths import adapter_folder
from benchmark.config.names import refuse_unknown
from benchmark.data.tasks import scoring_task
from benchmark.errors import exit_code_of
from benchmark.methods import language_models
from benchmark.methods.configuration import load_config
from benchmark.methods.language_model_cells import tuned_cells
from benchmark.methods.running import run_cells
from benchmark.schema import Cell, FewShotTask, Method, Prediction

N_COMPARED = 50
"""Samples that are also scored without the adapter: one with an effect changes every score."""


def run(recipe: str, train_domain: str) -> None:
    """Score every cell of the variant; one whose adapter has no effect is refused."""
    from tallrec.models.adapters import load_adapter
    from tallrec.training.sentinels import refuse_inert

    params = load_config()
    refuse_unknown("grid.recipes", recipe, params.grid.recipes)
    refuse_unknown("grid.train_domains", train_domain, params.grid.train_domains)
    model, tokenizer = language_models.load_base(params, to_score=True)
    scoring = language_models.scoring(params)

    @functools.cache
    def without_adapter(test_domain: str) -> Sequence[Prediction]:
        task = scoring_task(test_domain, seed=0)
        few = replace(task, test=task.test[:N_COMPARED])
        return language_models.scoring_method(model, tokenizer, scoring)(few)

    def method_of(cell: Cell) -> Method:
        def predict(task: FewShotTask) -> Sequence[Prediction]:
            base = without_adapter(cell.test_domain)
            adapted = load_adapter(model, adapter_folder(cell.method, cell.n_shots, cell.seed))
            try:
                predictions = language_models.scoring_method(adapted, tokenizer, scoring)(task)
            finally:
                adapted.unload()
            refuse_inert(str(cell), predictions, base)
            return predictions

        return predict

    run_cells(
        list(tuned_cells(params, recipe, train_domain)),
        task_of=lambda cell: scoring_task(cell.test_domain, cell.seed),
        method_of=method_of,
        settings_of=lambda _: language_models.scoring_settings(params),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; exit code 0, or 2 with one line on stderr."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    args = stage_arguments(__doc__, argv, "recipe", "train-domain")
    return exit_code_of(lambda: run(args.recipe, args.train_domain))


if __name__ == "__main__":
    sys.exit(main())
