"""Controls: rules that train no model. A method that does not beat them has not shown preference modelling.

Adding a control is one function and one entry of `CONTROLS`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean

from benchmark.errors import ConfigError
from benchmark.schema import FewShotTask, Labelled, Method, Prediction, Sample
from benchmark.seeding import derive_seed

PRIOR_WEIGHT = 1.0
"""Ours: an item's mean label starts as one row with the mean label of all training rows."""

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


CONTROLS: Mapping[str, Control] = {
    "random": Control(learns=False, is_random=True, predict=random),
    "liked_share": Control(learns=False, is_random=False, predict=liked_share),
    "last_label": Control(learns=False, is_random=False, predict=last_label),
    "item_mean": Control(learns=True, is_random=False, predict=item_mean),
    "item_popularity": Control(learns=True, is_random=False, predict=item_popularity),
    "item_mean_liked_share": Control(learns=True, is_random=False, predict=item_mean_liked_share),
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


def _items_of(sample: Sample) -> set[str]:
    return {sample.target_item_id, *(event.item_id for event in sample.history)}


def build_control(name: str) -> Method:
    """The control called `name`.

    Raises:
        ConfigError: there is none.
    """
    if name not in CONTROLS:
        raise ConfigError(f"grid.controls: unknown name {name!r}, expected one of {', '.join(CONTROLS)}")
    return CONTROLS[name].predict
