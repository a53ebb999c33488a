"""A baseline at one K, every draw under every seed of initial weights: what its scatter is made of."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from statistics import fmean

from benchmark.config.params import Params
from benchmark.data.tasks import few_shot_task
from benchmark.errors import ConfigError, MetricError
from benchmark.methods.baselines import text_vectors, train_baseline
from benchmark.schema import Prediction
from benchmark.statistics.components import Component, components
from benchmark.statistics.influence import Measured
from benchmark.statistics.labels import TestRows, in_order, read_test_rows
from benchmark.statistics.metrics import auc


def variance_table(
    params: Params, model: str, domain: str, *, n_shots: int, n_seeds: int, tell: Callable[[str, int, int], object]
) -> Iterator[tuple[str, float, list[Component]]]:
    """Train `model` on the first `n_seeds` draws, each under as many initial weights; nothing is written.

    Args:
        params: the configuration; its draws have been made.
        model: a baseline.
        domain: of its training rows and its test set.
        n_shots: a K of the grid.
        n_seeds: at least 2.
        tell: told the row, the updates done and to do.

    Yields:
        For each head: the name of the row, the mean AUC, and its parts.

    Raises:
        ConfigError: the grid has fewer seeds, or the baseline has no section.
        MissingArtifactError: the draws or the domain are not there.
        MetricError: a run has a test sample without a finite score, or the test set one label alone.
    """
    seeds = params.grid.every_seed[:n_seeds]
    if len(seeds) < n_seeds:
        raise ConfigError(f"grid.cheap_seeds: {len(seeds)} seeds, expected at least {n_seeds}")
    tasks = [few_shot_task(domain, domain, n_shots, seed) for seed in seeds]
    training = params.baselines.training.model_copy(update={"weight_decay_grid": ()})
    found = train_baseline(
        model,
        params.baselines.model_copy(update={"training": training}),
        [replace(task, seed=weights) for task in tasks for weights in seeds],
        domain=domain,
        texts=text_vectors(model, domain, params.baselines),
        tell=tell,
    )
    rows = read_test_rows(domain)
    for method, runs in found.items():
        measured = [_auc(f"{method} {domain} k{n_shots}", rows, predictions) for predictions in runs]
        by_draw = [measured[start : start + n_seeds] for start in range(0, len(measured), n_seeds)]
        mean = fmean(one.value for one in measured)
        yield method, mean, components(by_draw, params.evaluate.confidence)


def _auc(name: str, rows: TestRows, predictions: Sequence[Prediction]) -> Measured:
    """Of one run; a run that is left out would move all others to other draws."""
    scores = in_order({one.sample_id: one.score for one in predictions}, rows)
    found = None if scores is None else auc(rows, scores)
    if found is None:
        raise MetricError(f"{name}: no AUC: expected one finite score a test sample, and both labels among them")
    return found
