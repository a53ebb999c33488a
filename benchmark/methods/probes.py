"""Changed inputs: the same model, asked about samples from which one thing was taken, shows what a score is made of.

Adding a probe is one function and one entry of `PROBES`; one that changes the question has a prompt style too.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from benchmark.schema import FewShotTask, Interaction, Item, Prediction, Sample
from benchmark.seeding import derive_seed

Samples = Sequence[Sample]
Items = Mapping[str, Item]
Changed = tuple[tuple[Sample, ...], dict[str, Item]]

_LOG = logging.getLogger(__name__)

UNKNOWN = "unknown"


def likes_swapped(samples: Samples, items: Items) -> Changed:
    """Every like of the history is a dislike and the other way round: does the model read the flags?"""
    return tuple(
        replace(sample, history=tuple(Interaction(event.item_id, not event.liked) for event in sample.history))
        for sample in samples
    ), dict(items)


def history_removed(samples: Samples, items: Items) -> Changed:
    """No history: what is left is what the model thinks of the item."""
    return tuple(replace(sample, history=()) for sample in samples), dict(items)


def history_shuffled(samples: Samples, items: Items) -> Changed:
    """The history in a random order: does the order matter?"""
    return tuple(replace(sample, history=_shuffled(sample)) for sample in samples), dict(items)


def title_removed(samples: Samples, items: Items) -> Changed:
    """Every target is an unknown item: what is left is what the model thinks of the user."""
    nouns = {items[sample.target_item_id].noun for sample in samples}
    unknown = {f"{UNKNOWN}-{noun}": Item(f"{UNKNOWN}-{noun}", noun, UNKNOWN, f'"{UNKNOWN}"') for noun in sorted(nouns)}
    changed = (replace(s, target_item_id=f"{UNKNOWN}-{items[s.target_item_id].noun}") for s in samples)
    return tuple(changed), {**items, **unknown}


def another_history(samples: Samples, items: Items) -> Changed:
    """Each sample has the history of a sample of another user: is the score about this user at all?"""
    order = sorted(range(len(samples)), key=lambda position: derive_seed("another", samples[position].sample_id))
    histories: dict[str, tuple[Interaction, ...]] = {}
    if len({sample.user_id for sample in samples}) == 1 < len(samples):
        _LOG.warning("another_history: all %d samples are of one user, so each keeps its history", len(samples))
    for place, position in enumerate(order):
        sample = samples[position]
        others = (samples[order[(place + step) % len(order)]] for step in range(1, len(order)))
        donor = next((other for other in others if other.user_id != sample.user_id), sample)
        histories[sample.sample_id] = donor.history
    return tuple(replace(sample, history=histories[sample.sample_id]) for sample in samples), dict(items)


def unchanged(samples: Samples, items: Items) -> Changed:
    """The samples as they are, for a probe that changes the question."""
    return tuple(samples), dict(items)


def _shuffled(sample: Sample) -> tuple[Interaction, ...]:
    rng = np.random.default_rng(derive_seed("history_shuffled", sample.sample_id))
    return tuple(sample.history[int(position)] for position in rng.permutation(len(sample.history)))


PROBES: dict[str, Callable[[Samples, Items], Changed]] = {
    "likes_swapped": likes_swapped,
    "history_removed": history_removed,
    "history_shuffled": history_shuffled,
    "title_removed": title_removed,
    "another_history": another_history,
    "dislike_asked": unchanged,
}
"""Probes by name."""
PROMPT_STYLES = {"dislike_asked": "released_dislike"}
"""The prompt style of a probe that changes the question. Its score is that of a dislike: the higher, the less liked."""


def without_question(names: Sequence[str]) -> list[str]:
    """Those of the probes `names` that change no question, so that a model that is asked none can take them too."""
    return [name for name in names if name not in PROMPT_STYLES]


def with_probes(tasks: Sequence[FewShotTask], names: Sequence[str]) -> list[FewShotTask]:
    """Tasks with the test samples of each probe after their own, for methods that cannot be asked again later.

    Args:
        tasks: draws of one domain: their test samples are the same, and so are those of the results.
        names: of the probes.
    """
    asked, made_up = list(tasks[0].test), dict[str, Item]()
    for name in names:
        samples, items = PROBES[name](tasks[0].test, tasks[0].items)
        asked += [replace(sample, sample_id=_probed(sample.sample_id, name)) for sample in samples]
        made_up |= {item_id: item for item_id, item in items.items() if item_id not in tasks[0].items}
    test = tuple(asked)
    return [replace(task, test=test, items={**task.items, **made_up}) for task in tasks]


def of_probe(name: str, task: FewShotTask, predictions: Sequence[Prediction]) -> list[Prediction]:
    """The predictions of one probe among those of `with_probes`, under the ids that its samples have in `task`."""
    ending = _probed("", name)
    found = {one.sample_id: one for one in predictions if one.sample_id.endswith(ending)}
    ids = [sample.sample_id for sample in task.test]
    return [replace(found[_probed(sample_id, name)], sample_id=sample_id) for sample_id in ids]


def _probed(sample_id: str, name: str) -> str:
    return f"{sample_id} {name}"
