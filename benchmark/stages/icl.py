"""Stage `icl`: a model as it is and a prompt style -> predictions on every domain, zero-shot and with demonstrations.

Usage: python -m benchmark.stages.icl --model base --prompt released
"""

import logging
import sys
from collections.abc import Sequence
from typing import Any

from benchmark.arguments import stage_arguments
from benchmark.config.names import unknown
from benchmark.data.tasks import few_shot_task, scoring_task
from benchmark.errors import ConfigError, exit_code_of
from benchmark.methods.configuration import load_config
from benchmark.methods.grid import icl_cells
from benchmark.methods.in_context import icl_method, icl_settings
from benchmark.methods.running import run_cells
from benchmark.schema import Cell, FewShotTask


def run(model_name: str, prompt: str) -> None:
    """Score every domain, the model loaded once. The demonstrations are the few-shot draw of their number."""
    params = load_config()
    if model_name not in params.grid.icl_models:
        raise ConfigError(f"--model: {unknown(model_name, params.grid.icl_models)} of grid.icl_models")
    notes: dict[str, Any] = {}
    method = icl_method(params, model_name, prompt, notes)

    def task_of(cell: Cell) -> FewShotTask:
        if cell.n_shots == 0:
            return scoring_task(cell.test_domain, cell.seed)
        return few_shot_task(cell.train_domain, cell.test_domain, cell.n_shots, cell.seed, side="llm")

    run_cells(
        [cell for domain in params.grid.domains for cell in icl_cells(params, model_name, prompt, domain)],
        task_of=task_of,
        method_of=lambda _: method,
        settings_of=lambda _: icl_settings(params, model_name, prompt),
        notes_of=lambda _: notes,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; exit code 0, or 2 with one line on stderr."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    args = stage_arguments(__doc__, argv, "model", "prompt")
    return exit_code_of(lambda: run(args.model, args.prompt))


if __name__ == "__main__":
    sys.exit(main())
