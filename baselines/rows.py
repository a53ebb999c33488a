"""The rows of one model: one a head, the same without a choice of checkpoints, and one of a searched weight decay."""

from collections.abc import Callable, Sequence
from statistics import fmean

from baselines.model import Inputs, Model
from baselines.training import Fitted, Texts, Training, fit, untold
from benchmark.schema import LAST, RELEASED_HEAD, SEARCHED, FewShotTask, Prediction


def predict_rows(
    build: Callable[[Inputs], Model],
    tasks: Sequence[FewShotTask],
    training: Training,
    *,
    heads: Sequence[str],
    weight_decay: float,
    weight_decay_grid: Sequence[float],
    texts: Texts | None = None,
    with_last: bool = False,
    tell: Callable[[str, int, int], object] = untold,
) -> dict[str, list[Sequence[Prediction]]]:
    """Predictions by what the name of a row adds to the model's: `` (released), `shared`, `searched`, `shared-last`.

    Args:
        build: the function `model` of a model file, with its own values bound.
        tasks: draws of one domain.
        training: values of the loop.
        heads: of `baselines.heads.HEADS`; each with `weight_decay`.
        weight_decay: coupled decay of Adam.
        weight_decay_grid: what `searched` chooses from, with the released head; empty: there is no such row.
        texts: for models that read text.
        with_last: a further row a head, tested after the last update.
        tell: told the row, the updates done and to do.

    Returns:
        For each row, the predictions of each task, in the order of `tasks`.

    Raises:
        DataError: as `fit`.
        ConfigError: as `fit`.
    """
    rows: dict[str, list[Sequence[Prediction]]] = {}
    for head in heads:
        name = "" if head == RELEASED_HEAD else head
        grid = weight_decay_grid if head == RELEASED_HEAD else ()
        fitted = fit(
            build,
            tasks,
            training,
            head_name=head,
            weight_decays=list(dict.fromkeys((weight_decay, *grid))),
            texts=texts,
            with_last=with_last,
            tell=lambda done, total, row=name: tell(row, done, total),
        )
        rows[name] = [of_task[0].predictions for of_task in fitted]
        if with_last:
            rows[f"{name}-{LAST}".removeprefix("-")] = [
                last for of_task in fitted if (last := of_task[0].last) is not None
            ]
        if grid:
            first = 0 if weight_decay in grid else 1
            rows[SEARCHED] = _searched(tasks, [of_task[first:] for of_task in fitted])
    return rows


def _searched(tasks: Sequence[FewShotTask], fitted: Sequence[Sequence[Fitted]]) -> list[Sequence[Prediction]]:
    """For each number of shots the decay with the best mean validation AUC over seeds."""
    chosen: dict[int, int] = {}
    for n_shots in {len(task.train) for task in tasks}:
        own = [of_task for task, of_task in zip(tasks, fitted, strict=True) if len(task.train) == n_shots]
        means = [fmean(one.valid_auc for one in of_decay) for of_decay in zip(*own, strict=True)]
        chosen[n_shots] = means.index(max(means))
    return [of_task[chosen[len(task.train)]].predictions for task, of_task in zip(tasks, fitted, strict=True)]
