import math
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from benchmark.errors import DataError
from benchmark.methods.controls import CONTROLS, biases
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
    valid = (Labelled(sample("v1", "a"), True), Labelled(sample("v2", "b"), False))
    return FewShotTask(train, valid, test, {}, seed=3)


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


def rated(user: str, item: str, *, liked: bool) -> Labelled:
    return Labelled(Sample(f"{user} {item}", user, (), item), liked)


ROWS = tuple(
    rated(f"u{user}", f"i{item}", liked=(3 * user + item * item) % 5 < 2 + user % 2)
    for user in range(7)
    for item in range(9)
    if (user * item) % 4 != 3
)


@pytest.mark.parametrize(("user_prior", "item_prior"), [(0.5, 2.0), (8.0, 1.0)])
def test_biases_are_a_ridge_regression(user_prior: float, item_prior: float) -> None:
    columns = sorted({row.sample.user_id for row in ROWS}) + sorted({row.sample.target_item_id for row in ROWS})
    seen = np.array([[c in (row.sample.user_id, row.sample.target_item_id) for c in columns] for row in ROWS])
    scale = np.array([(user_prior if c.startswith("u") else item_prior) ** -0.5 for c in columns])
    liked = np.array([row.liked for row in ROWS])
    fitted = Ridge(alpha=1.0, fit_intercept=False).fit(seen * scale, liked - liked.mean())
    score_of = biases(ROWS, user_prior, item_prior)
    expected = liked.mean() + fitted.predict(seen * scale)
    assert [score_of(row.sample) for row in ROWS] == pytest.approx(expected, abs=1e-5)


def test_without_users_the_bias_is_that_of_the_smoothed_mean() -> None:
    score_of, overall = biases(ROWS, math.inf, 4.0), np.mean([row.liked for row in ROWS])
    own = [row.liked for row in ROWS if row.sample.target_item_id == "i2"]
    assert score_of(Sample("x", "u1", (), "i2")) == pytest.approx((sum(own) + 4 * overall) / (len(own) + 4))
    assert score_of(Sample("x", "stranger", (), "unheard of")) == pytest.approx(overall)


def test_priors_are_those_that_rank_the_validation_rows_best() -> None:
    # One like of a rare item, seven of eleven of a common one: a weak prior has the rare one above, a strong one below.
    train = (rated("u", "rare", liked=True), *(rated(f"u{n}", "common", liked=n > 3) for n in range(11)))
    train += tuple(rated(f"v{n}", "bad", liked=False) for n in range(5))
    test = (Sample("r", "x", (), "rare"), Sample("c", "x", (), "common"))
    for rare in (True, False):
        valid = (rated("y", "rare", liked=rare), rated("y", "common", liked=not rare))
        of_rare, of_common = scores("item_bias", FewShotTask(train, valid, test, {}, seed=0))
        assert (of_rare > of_common) == rare


@pytest.mark.parametrize("name", ["item_bias", "user_item_bias"])
def test_validation_rows_of_one_label_choose_no_prior(name: str, task: FewShotTask) -> None:
    with pytest.raises(DataError, match="validation rows: 4 of 4 are liked, expected both labels"):
        scores(name, replace(task, valid=tuple(replace(row, liked=True) for row in task.train)))
