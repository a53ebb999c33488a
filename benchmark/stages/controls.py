"""Stage `controls`: draws + prepared samples -> predictions of every control of one domain.

Usage: python -m benchmark.stages.controls --domain movie
"""

import functools
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmark.arguments import stage_arguments
from benchmark.config.names import refuse_unknown
from benchmark.data.tasks import count_training_rows, few_shot_task, full_task
from benchmark.errors import exit_code_of
from benchmark.methods.configuration import load_config
from benchmark.methods.controls import CONTROLS
from benchmark.methods.grid import control_cells
from benchmark.methods.running import run_cells
from benchmark.schema import FewShotTask


def run(domain: str) -> None:
    """Run every control on `domain`, at every K and on the full training set.

    Raises:
        ConfigError: there is no such domain.
    """
    params = load_config()
    refuse_unknown("domains", domain, params.domains)
    n_train = count_training_rows(domain)
    for root in ("predictions", "runs"):  # outputs of the stage, also where the grid names no control
        Path(root, "control", f"{domain}-{domain}").mkdir(parents=True, exist_ok=True)

    @functools.cache  # the controls share the tasks
    def task_of(test_domain: str, n_shots: int, seed: int) -> FewShotTask:
        if n_shots == n_train:
            return full_task(test_domain, seed)
        return few_shot_task(domain, test_domain, n_shots, seed)

    run_cells(
        list(control_cells(params, domain, n_train)),
        task_of=lambda cell: task_of(cell.test_domain, cell.n_shots, cell.seed),
        method_of=lambda cell: CONTROLS[cell.method].predict,
        settings_of=lambda _: {"draw": params.fidelity.draw},
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; exit code 0, or 2 with one line on stderr."""
    args = stage_arguments(__doc__, argv, "domain")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    return exit_code_of(lambda: run(args.domain))


if __name__ == "__main__":
    sys.exit(main())
