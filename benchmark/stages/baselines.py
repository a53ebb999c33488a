"""Stage `baselines`: draws + prepared samples -> predictions of one baseline on one domain, every K and seed.

Its probes are predicted on the way, since no checkpoint is kept: predictions/probe/<baseline>-<domain>/<probe>/.

Usage: python -m benchmark.stages.baselines --baseline gru4rec --domain movie
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from benchmark.arguments import stage_arguments
from benchmark.artifacts import files, paths
from benchmark.config.names import refuse_unknown
from benchmark.data.tasks import few_shot_task
from benchmark.errors import exit_code_of
from benchmark.methods.baselines import baseline_heads, text_vectors, train_baseline
from benchmark.methods.configuration import load_config
from benchmark.methods.grid import baseline_cells, baseline_probe_cells
from benchmark.methods.probes import of_probe, with_probes, without_question
from benchmark.methods.running import write_cells
from benchmark.progress import progress
from benchmark.schema import Cell, FewShotTask, Prediction


def run(baseline: str, domain: str) -> None:
    """Train and test `baseline` on every draw of `domain`, all in one run.

    Raises:
        ConfigError: there is no such baseline or domain, or no text encoder where the baseline reads text.
    """
    params = load_config()
    grid, values = params.grid, params.baselines
    refuse_unknown("baselines.models", baseline, values.models)
    refuse_unknown("domains", domain, params.domains)
    texts = text_vectors(baseline, domain, values)
    cells, probes = list(baseline_cells(params, baseline, domain)), without_question(params.probe.inputs)
    tasks = {
        (test_domain, n_shots, seed): few_shot_task(domain, test_domain, n_shots, seed)
        for test_domain in params.test_sets(domain)
        for n_shots in grid.n_shots
        for seed in grid.every_seed
    }
    draws = list(dict.fromkeys(key[1:] for key in tasks))
    asked = with_probes([tasks[domain, *draw] for draw in draws], probes)
    for further in params.test_sets(domain)[1:]:
        asked = [_with_test_set(task, tasks[further, *draw]) for draw, task in zip(draws, asked, strict=True)]
    if grid.weights_seed is not None:
        asked = [replace(task, seed=grid.weights_seed) for task in asked]
    if texts:
        no_text = np.zeros_like(next(iter(texts.values())))
        texts = dict.fromkeys(asked[0].items, no_text) | texts  # of the items that a probe makes up
    start, n_rows_done, last_row = time.perf_counter(), 0, None
    with progress(f"{baseline} {domain}, {len(cells)} cells") as show:

        def tell(row: str, done: int, total: int) -> None:
            nonlocal n_rows_done, last_row
            n_rows_done += last_row is not None and row != last_row
            last_row = row
            show(n_rows_done * total + done, len(baseline_heads(baseline, values)) * total)

        found = train_baseline(baseline, values, asked, domain=domain, texts=texts, tell=tell)
    seconds = time.perf_counter() - start
    predicted = {
        (method, *draw): predictions
        for method, by_draw in found.items()
        for draw, predictions in zip(draws, by_draw, strict=True)
    }

    def task_of(cell: Cell) -> FewShotTask:
        return tasks[cell.test_domain, cell.n_shots, cell.seed]

    settings = {
        "draw": params.fidelity.draw,
        "training": values.training.model_dump(mode="json"),
        "model": values.models[baseline],
        "weights_seed": grid.weights_seed,
    }
    write_cells(
        cells,
        task_of=task_of,
        predictions_of=lambda cell: _of_task(task_of(cell), predicted[cell.method, cell.n_shots, cell.seed]),
        settings=settings,
        seconds=seconds,
    )
    with files.replacing_folder(paths.probe_folder(f"{baseline}-{domain}")) as folder:
        for cell in baseline_probe_cells(params, baseline, domain):
            for probe in probes:
                of_cell = of_probe(probe, task_of(cell), predicted[cell.method, cell.n_shots, cell.seed])
                files.write_predictions(folder / probe, cell, of_cell)


def _with_test_set(task: FewShotTask, further: FewShotTask) -> FewShotTask:
    return replace(task, test=task.test + further.test, items={**task.items, **further.items})


def _of_task(task: FewShotTask, predictions: Sequence[Prediction]) -> list[Prediction]:
    ids = {sample.sample_id for sample in task.test}
    return [prediction for prediction in predictions if prediction.sample_id in ids]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; exit code 0, or 2 with one line on stderr."""
    args = stage_arguments(__doc__, argv, "baseline", "domain")
    return exit_code_of(lambda: run(args.baseline, args.domain))


if __name__ == "__main__":
    sys.exit(main())
