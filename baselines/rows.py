"""The rows of one model: one a head, and one whose weight decay is chosen on the validation rows."""

from collections.abc import Callable, Sequence
from statistics import fmean

from baselines.model import Inputs, Model
from baselines.training import Fitted, Texts, Training, fit, untold
from benchmark.schema import RELEASED_HEAD, SEARCHED, FewShotTask, Prediction


def predict_rows(
    build: Callable[[Inputs], Model],
    tasks: Sequence[FewShotTask],
    training: Training,
    *,
    heads: Sequence[str],
    weight_decay: float,
    weight_decay_grid: Sequence[float],
    texts: Texts | None = None,
    tell: Callable[[str, int, int], object] = untold,
) -> dict[str, list[Sequence[Prediction]]]:
    """Predictions of every row, by what its name adds to the model's: `` (released), `tied`, `shared`, `searched`.

    Args:
        build: the function `model` of a model file, with its own values bound.
        tasks: draws of one domain.
        training: values of the loop.
        heads: of `baselines.heads.HEADS`; each with `weight_decay`.
        weight_decay: coupled decay of Adam.
        weight_decay_grid: what `searched` chooses from, with the released head; empty: there is no such row.
        texts: for models that read text.
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
            tell=lambda done, total, row=name: tell(row, done, total),
        )
        rows[name] = [of_task[0].predictions for of_task in fitted]
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
