"""One sample of each test set of generated data, with its answer and the score of every method: to see what is asked.

Real data are left out: their licences forbid to pass answers on, and a page of results may be sent around.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.artifacts.paths import ceiling_file
from benchmark.config.params import Params
from benchmark.schema import Cell, group_of
from benchmark.statistics.auc import Floats
from benchmark.statistics.labels import TestRows

EXAMPLES_JSON = Path("results/examples.json")


def examples_of(
    params: Params, scores: Mapping[Cell, Floats], truth: Mapping[str, TestRows]
) -> dict[str, dict[str, Any]]:
    """By test set: the first sample, its answer, and by method the score of the first seed that was run.

    Args:
        params: the configuration.
        scores: of each cell, in the order of the rows of its test set.
        truth: by test set, its rows.
    """
    found: dict[str, dict[str, Any]] = {
        name: {"sample_id": truth[name].sample_ids[0], "is_liked": truth[name].liked[0], "scores": {}}
        for domain in params.grid.domains
        if ceiling_file(domain).exists()
        for name in params.test_sets(domain)
    }
    for cell, values in scores.items():
        if cell.test_domain in found:
            found[cell.test_domain]["scores"].setdefault(str(group_of(cell)), float(values[0]))
    return found
