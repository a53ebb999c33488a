from dataclasses import replace

import pytest

from benchmark.methods.controls import CONTROLS
from benchmark.schema import FewShotTask, Interaction, Labelled, Sample
from benchmark.seeding import derive_seed


def sample(name: str, target: str, *history: tuple[str, bool]) -> Sample:
    return Sample(name, "user", tuple(Interaction(*event) for event in history), target)


@pytest.fixture
def task() -> FewShotTask:
    train = (
        Labelled(sample("t1", "a", ("b", True)), True),
        Labelled(sample("t2", "a", ("b", False), ("c", True)), True),
        Labelled(sample("t3", "b", ("b", True)), False),
        Labelled(sample("t4", "c"), False),
    )
    test = (
        sample("known", "a", ("x", True), ("y", True), ("z", False), ("x", False), ("y", True)),
        sample("disliked", "b", ("x", True), ("y", False)),
        sample("empty", "never-seen"),
    )
    return FewShotTask(train, (), test, {}, seed=3)


def scores(name: str, task: FewShotTask) -> list[float]:
    return [prediction.score for prediction in CONTROLS[name].predict(task)]


def test_the_names_are_those_of_the_tables() -> None:
    assert set(CONTROLS) >= {
        "random",
        "liked_share",
        "last_label",
        "item_mean",
        "item_popularity",
        "item_mean_liked_share",
    }


def test_random_is_a_hash_of_sample_and_seed(task: FewShotTask) -> None:
    values = scores("random", task)
    assert values == [derive_seed("random", name, 3) / 2**32 for name in ("known", "disliked", "empty")]
    assert all(0 <= value < 1 for value in values)
    assert scores("random", replace(task, seed=4)) != values


def test_liked_share_counts_likes_in_the_history(task: FewShotTask) -> None:
    assert scores("liked_share", task) == [3 / 5, 1 / 2, 0.5]


def test_last_label_reads_the_newest_interaction(task: FewShotTask) -> None:
    assert scores("last_label", task) == [1.0, 0.0, 0.5]


def test_item_mean_is_smoothed_towards_the_mean_of_all_rows(task: FewShotTask) -> None:
    overall = 2 / 4
    assert scores("item_mean", task) == pytest.approx([(2 + overall) / 3, (0 + overall) / 2, overall])


def test_an_unseen_item_gets_the_mean_of_all_rows(task: FewShotTask) -> None:
    unbalanced = replace(task, train=task.train[:3])
    assert scores("item_mean", unbalanced)[2] == pytest.approx(2 / 3)


def test_item_popularity_counts_rows_not_occurrences(task: FewShotTask) -> None:
    assert scores("item_popularity", task) == [2.0, 3.0, 0.0]


def test_item_mean_liked_share_is_the_sum(task: FewShotTask) -> None:
    parts = zip(scores("item_mean", task), scores("liked_share", task), strict=True)
    assert scores("item_mean_liked_share", task) == pytest.approx([sum(pair) for pair in parts])


def test_without_training_rows_item_mean_is_neutral(task: FewShotTask) -> None:
    assert scores("item_mean", replace(task, train=())) == [0.5, 0.5, 0.5]


def test_exactly_the_controls_that_learn_depend_on_the_training_rows(task: FewShotTask) -> None:
    empty = replace(task, train=())
    depend = {name for name in CONTROLS if scores(name, empty) != scores(name, task)}
    assert depend == {name for name, control in CONTROLS.items() if control.learns}


def test_exactly_the_random_controls_depend_on_the_seed(task: FewShotTask) -> None:
    other = replace(task, seed=task.seed + 1)
    depend = {name for name in CONTROLS if scores(name, other) != scores(name, task)}
    assert depend == {name for name, control in CONTROLS.items() if control.is_random}
