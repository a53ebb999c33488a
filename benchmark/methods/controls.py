"""Controls: rules that train no model. A method that does not beat them has not shown preference modelling.

Adding a control is one function and one entry of `CONTROLS`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import fmean
from typing import Any

import numpy as np

from benchmark.errors import DataError
from benchmark.schema import FewShotTask, Labelled, Method, Prediction, Sample
from benchmark.seeding import derive_seed

PRIOR_WEIGHT = 1.0
"""Ours: an item's mean label starts as one row with the mean label of all training rows."""

PRIORS = tuple(2.0**power for power in range(8))
"""Ours: rows of prior that the validation rows choose from, 1 to 128."""

CONVERGED = 1e-6
"""Biases that move by less are solved."""

NEUTRAL = 0.5
"""Score where there is nothing to go by."""


@dataclass(frozen=True, slots=True)
class Control:
    """A rule, and what the grid has to know about it."""

    learns: bool
    """Reads the training rows, so that it runs at every K and on the full training set."""
    is_random: bool
    """Depends on the seed even where the training rows do not."""
    predict: Method


def random(task: FewShotTask) -> list[Prediction]:
    """A number in [0, 1) hashed from sample_id and seed: the same in any order and any company."""
    return _scored(task.test, lambda sample: derive_seed("random", sample.sample_id, task.seed) / 2**32)


def liked_share(task: FewShotTask) -> list[Prediction]:
    """Share of liked items in the history, in [0, 1]: how lenient the user is, whatever the target."""
    return _scored(task.test, _liked_share)


def last_label(task: FewShotTask) -> list[Prediction]:
    """1 if the last item of the history was liked, 0 if not; an empty history gets 0.5."""
    return _scored(task.test, lambda sample: float(sample.history[-1].liked) if sample.history else NEUTRAL)


def item_mean(task: FewShotTask) -> list[Prediction]:
    """Smoothed mean label of the target in the training rows, in [0, 1]; for other items the mean of all."""
    mean_of = _item_mean(task.train)
    return _scored(task.test, mean_of)


def item_popularity(task: FewShotTask) -> list[Prediction]:
    """Number of training rows in which the target occurs, as target or in the history. Reads no label."""
    counts = Counter(item_id for row in task.train for item_id in _items_of(row.sample))
    return _scored(task.test, lambda sample: float(counts[sample.target_item_id]))


def item_mean_liked_share(task: FewShotTask) -> list[Prediction]:
    """`item_mean` + `liked_share`, in [0, 2]: a good item for a lenient user, with no match between them."""
    mean_of = _item_mean(task.train)
    return _scored(task.test, lambda sample: mean_of(sample) + _liked_share(sample))


def item_bias(task: FewShotTask) -> list[Prediction]:
    """`item_mean` with the rows of prior that rank the validation rows best."""
    return _with_best_priors(task, [(np.inf, prior) for prior in PRIORS])


def user_item_bias(task: FewShotTask) -> list[Prediction]:
    """Mean label + bias of the user + bias of the target: a good item for a lenient user, with no match between them.

    Both biases are fitted together on the training rows, and both priors chosen on the validation rows.

    Source:
        The baseline estimates of Koren, Collaborative Filtering with Temporal Dynamics (KDD 2009): ridge regression on
        who rates and on what is rated.
    """
    return _with_best_priors(task, list(product(PRIORS, PRIORS)))


CONTROLS: Mapping[str, Control] = {
    "random": Control(learns=False, is_random=True, predict=random),
    "liked_share": Control(learns=False, is_random=False, predict=liked_share),
    "last_label": Control(learns=False, is_random=False, predict=last_label),
    "item_mean": Control(learns=True, is_random=False, predict=item_mean),
    "item_popularity": Control(learns=True, is_random=False, predict=item_popularity),
    "item_mean_liked_share": Control(learns=True, is_random=False, predict=item_mean_liked_share),
    "item_bias": Control(learns=True, is_random=False, predict=item_bias),
    "user_item_bias": Control(learns=True, is_random=False, predict=user_item_bias),
}
"""By the name that `grid.controls` and the tables use."""


def _scored(samples: Iterable[Sample], score_of: Callable[[Sample], float]) -> list[Prediction]:
    return [Prediction(sample.sample_id, score_of(sample)) for sample in samples]


def _liked_share(sample: Sample) -> float:
    return sum([event.liked for event in sample.history]) / len(sample.history) if sample.history else NEUTRAL


def _item_mean(train: Iterable[Labelled]) -> Callable[[Sample], float]:
    rows = [(row.sample.target_item_id, row.liked) for row in train]
    overall = fmean(liked for _, liked in rows) if rows else NEUTRAL
    n_rows = Counter(item_id for item_id, _ in rows)
    n_liked = Counter(item_id for item_id, liked in rows if liked)

    def mean_of(sample: Sample) -> float:
        item_id = sample.target_item_id
        return (n_liked[item_id] + PRIOR_WEIGHT * overall) / (n_rows[item_id] + PRIOR_WEIGHT)

    return mean_of


def _with_best_priors(task: FewShotTask, priors: Sequence[tuple[float, float]]) -> list[Prediction]:
    """Scores with the priors of users and of items that give the highest AUC on the validation rows."""
    import sklearn.metrics  # pyright: ignore[reportMissingTypeStubs]  # a second of imports, which no other rule needs

    metrics: Any = sklearn.metrics
    liked = [row.liked for row in task.valid]
    if len(set(liked)) < 2:
        counts = f"{sum(liked)} of {len(liked)} are liked"
        raise DataError(f"validation rows: {counts}, expected both labels to choose a prior by AUC")
    rules = [biases(task.train, *pair) for pair in priors]
    aucs: list[float] = [
        metrics.roc_auc_score(liked, [score_of(row.sample) for row in task.valid]) for score_of in rules
    ]
    return _scored(task.test, rules[int(np.argmax(aucs))])


def biases(train: Sequence[Labelled], user_prior: float, item_prior: float) -> Callable[[Sample], float]:
    """Mean label + bias of the user + bias of the target: ridge regression, solved for one side after the other.

    Args:
        train: the rows to fit; who or what is not among them has no bias.
        user_prior: penalty of the biases of users, as a number of rows without one; infinite: they have none.
        item_prior: the same of items.
    """
    users = {user: number for number, user in enumerate(dict.fromkeys(row.sample.user_id for row in train))}
    items = {item: number for number, item in enumerate(dict.fromkeys(row.sample.target_item_id for row in train))}
    user = np.array([users[row.sample.user_id] for row in train], dtype=np.int64)
    item = np.array([items[row.sample.target_item_id] for row in train], dtype=np.int64)
    overall = fmean(row.liked for row in train) if train else NEUTRAL
    left = np.array([row.liked - overall for row in train])
    n_user, n_item = np.bincount(user) + user_prior, np.bincount(item) + item_prior
    of_user, of_item, moved = np.zeros(len(users)), np.zeros(len(items)), np.inf
    while moved > CONVERGED:
        of_user = np.bincount(user, left - of_item[item]) / n_user
        before, of_item = of_item, np.bincount(item, left - of_user[user]) / n_item
        moved = np.abs(of_item - before).max(initial=0.0)

    def score_of(sample: Sample) -> float:
        of_them = of_user[users[sample.user_id]] if sample.user_id in users else 0.0
        of_target = of_item[items[sample.target_item_id]] if sample.target_item_id in items else 0.0
        return float(overall + of_them + of_target)

    return score_of


def _items_of(sample: Sample) -> set[str]:
    return {sample.target_item_id, *(event.item_id for event in sample.history)}
