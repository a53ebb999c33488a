"""The one contract: every method is a function from a few-shot task to one score per test sample.

Read this file first. A control, a conventional baseline, an in-context LLM and a tuned LLM all take a `FewShotTask`
and return `Prediction`s. Test labels do not exist in these types, so no method can look at them.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from benchmark.errors import SchemaError

RELEASED_HEAD = "per_item"
"""Head of a baseline whose row is named after the model alone."""
SEARCHED = "searched"
"""What the name of a row ends in whose weight decay is chosen on the validation rows."""
LAST = "last"
"""What the name of a row ends in that is tested after the last update, so that no validation row chooses anything."""
LANGUAGE_MODELS = ("icl", "tuned")
"""Families of `Cell` whose scores a language model gives."""
DOES_NOT_FIT = "does not fit"
"""Status of a configuration that needs more memory than its limit."""
EXTENDED = "-extended"
"""What the name of a test set ends in that has users beyond those of its domain's own test set."""


@dataclass(frozen=True, slots=True)
class Item:
    """What a prompt may say about an item."""

    item_id: str
    noun: str
    """What such an item is called in a prompt: `movie`, `book`."""
    text: str
    """The item as the target of a question, without the quotes around it."""
    mention: str
    """The item as an element of a list in a prompt, with its quotes."""


@dataclass(frozen=True, slots=True)
class Interaction:
    """One past event of a user."""

    item_id: str
    liked: bool


@dataclass(frozen=True, slots=True)
class Sample:
    """One question: will this user like this target item? Carries no label."""

    sample_id: str
    user_id: str
    history: tuple[Interaction, ...]
    """Oldest first, where the source has an order."""
    target_item_id: str


@dataclass(frozen=True, slots=True)
class Labelled:
    """A sample with its label. Holds a Sample, is not one: a subclass would be accepted as test input."""

    sample: Sample
    liked: bool


def item_ids(samples: Iterable[Sample]) -> set[str]:
    """Items that are a target or stand in a history."""
    found: set[str] = set()
    for sample in samples:
        found.add(sample.target_item_id)
        found.update([event.item_id for event in sample.history])
    return found


def asked_of(sample: Sample) -> str:
    """What a sample asks, as one text, of which digests are made."""
    events = [(event.item_id, event.liked) for event in sample.history]
    return repr((sample.sample_id, sample.user_id, sample.target_item_id, events))


def digest_of(sample: Sample) -> str:
    """16 hexadecimal digits that stand for what a sample asks and spell no user and no item."""
    return hashlib.sha256(asked_of(sample).encode()).hexdigest()[:16]


def reveals(row: Labelled, following: Labelled) -> bool:
    """Whether the history of the next row ends with the target of this one and its label."""
    history = following.sample.history
    return bool(history) and (history[-1].item_id, history[-1].liked) == (row.sample.target_item_id, row.liked)


@dataclass(frozen=True, slots=True)
class FewShotTask:
    """All that a method may see of one cell."""

    train: tuple[Labelled, ...]
    """The few-shot draw; empty for methods that do not learn."""
    valid: tuple[Labelled, ...]
    """For the choice of a checkpoint, never for fitting."""
    test: tuple[Sample, ...]
    items: Mapping[str, Item]
    """Every item of train, valid and test, by item_id."""
    seed: int


@dataclass(frozen=True, slots=True)
class Prediction:
    """The score of one test sample."""

    sample_id: str
    score: float
    """Any finite real; higher = more likely liked."""
    details: Mapping[str, float] = field(default_factory=dict[str, float])
    """For diagnosis only; metrics never read it."""


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """The key of one result. It names folders, log lines and rows."""

    family: str
    """`control`, `baseline`, `icl`, `tuned`, or `external` for scores that were not made here."""
    method: str
    train_domain: str
    """A domain, or `both`."""
    test_domain: str
    """A domain, for its test set; or its name with `EXTENDED`, for the test set of further users."""
    n_shots: int
    """Training samples per domain (or demonstrations); 0 for methods that see none."""
    seed: int

    def __str__(self) -> str:
        return f"{self.method} {self.train_domain}-{self.test_domain} k{self.n_shots} seed{self.seed}"


def group_of(cell: Cell) -> Cell:
    """The cell without its seed (seed 0): what stands for all seeds of a method."""
    return Cell(cell.family, cell.method, cell.train_domain, cell.test_domain, cell.n_shots, 0)


def domain_of(test_domain: str) -> str:
    """The domain that a `Cell.test_domain` is a test set of."""
    return test_domain.removesuffix(EXTENDED)


def model_and_prompt(method: str) -> tuple[str, str]:
    """What `icl-MODEL-PROMPT` names: a model may have hyphens in its name, a prompt style has none."""
    model, _, prompt = method.removeprefix("icl-").rpartition("-")
    return model, prompt


class Method(Protocol):
    """Anything that can fill a row of the tables."""

    def __call__(self, task: FewShotTask) -> Sequence[Prediction]:
        """Score every sample of `task.test`, in any order."""
        ...


def check_predictions(predictions: Sequence[Prediction], task: FewShotTask) -> None:
    """Refuse predictions that are not exactly one finite score for each test sample.

    Raises:
        SchemaError: a test sample has no score or several, a score belongs to no test sample, or is not finite.
    """
    expected = {sample.sample_id for sample in task.test}
    counts = Counter(prediction.sample_id for prediction in predictions)
    for problem, ids in (
        ("have no score", sorted(expected - counts.keys())),
        ("are scored but are not test samples", sorted(counts.keys() - expected)),
        ("are scored more than once", sorted(sample_id for sample_id, n in counts.items() if n > 1)),
        (
            "have a score that is not finite",
            sorted(p.sample_id for p in predictions if not math.isfinite(p.score)),
        ),
    ):
        if ids:
            raise SchemaError(f"{len(ids)} samples {problem} (of {len(expected)} test samples), e.g. {ids[0]!r}")
