"""Stage `external`: a file of scores that something else made -> predictions of one cell.

Usage: python -m benchmark.stages.external --name fm --test-domain movie --n-shots 64 --seed 0
"""

import hashlib
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.arguments import stage_arguments
from benchmark.data.external_scores import read_external_scores
from benchmark.data.tasks import scoring_task
from benchmark.errors import ConfigError, exit_code_of
from benchmark.methods.configuration import load_config
from benchmark.methods.running import run_cells
from benchmark.schema import Cell, FewShotTask, Prediction, domain_of


def run(name: str, test_domain: str, n_shots: int, seed: int) -> None:
    """Read and check one file of `external`.

    Raises:
        ConfigError: no entry is of this cell.
        DataError: the file is not one finite score for each sample of the test set.
    """
    wanted = Cell("external", name, domain_of(test_domain), test_domain, n_shots, seed)
    entry = next((one for one in load_config().external if one.cell == wanted), None)
    if entry is None:
        raise ConfigError(f"external: no entry is of {wanted}")
    notes: dict[str, Any] = {}

    def predict(task: FewShotTask) -> list[Prediction]:
        path = Path(entry.path)
        predictions, witnesses = read_external_scores(path, task.test)
        notes.update(file_sha256=hashlib.sha256(path.read_bytes()).hexdigest(), ids_checked_by=witnesses)
        return predictions

    run_cells(
        [wanted],
        task_of=lambda cell: scoring_task(cell.test_domain, cell.seed),
        method_of=lambda _: predict,
        settings_of=lambda _: entry.model_dump(mode="json"),
        notes_of=lambda _: notes,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; exit code 0, or 2 with one line on stderr."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    args = stage_arguments(__doc__, argv, "name", "test-domain", "n-shots", "seed")
    return exit_code_of(lambda: run(args.name, args.test_domain, args.n_shots, args.seed))


if __name__ == "__main__":
    sys.exit(main())
