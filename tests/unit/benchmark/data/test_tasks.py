from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.artifacts import files, paths
from benchmark.data import tasks
from benchmark.errors import DataError, MissingArtifactError
from benchmark.schema import FewShotTask

N_TRAIN, N_SHOTS = 16, 4


@pytest.fixture
def domain(repository: Path, write_domain: Callable[[str], None]) -> str:
    write_domain("toy")
    return "toy"


def test_a_task_holds_the_drawn_rows_in_their_order(domain: str, toy_task: FewShotTask) -> None:
    task = tasks.training_task(domain, N_SHOTS, seed=1)
    assert task.train == toy_task.train[1 : 1 + N_SHOTS]
    assert (task.valid, task.test, task.seed) == (toy_task.valid, (), 1)


def test_methods_without_a_language_model_may_have_another_draw(domain: str, toy_task: FewShotTask) -> None:
    task = tasks.few_shot_task(domain, domain, N_SHOTS, seed=1)
    assert task.train == toy_task.train[1 : 1 + N_SHOTS][::-1]
    assert (task.valid, task.test, task.seed) == (toy_task.valid, toy_task.test, 1)


def test_no_shots_need_no_draw(domain: str) -> None:
    assert tasks.few_shot_task(domain, domain, 0, seed=99).train == ()


def test_a_task_has_the_items_of_its_samples_and_no_others(domain: str) -> None:
    task = tasks.few_shot_task(domain, domain, N_SHOTS, seed=0)
    samples = [*(row.sample for row in (*task.train, *task.valid)), *task.test]
    events = {event.item_id for sample in samples for event in sample.history}
    assert task.items.keys() == events | {sample.target_item_id for sample in samples}


def test_train_and_test_domain_may_differ(
    domain: str, write_domain: Callable[[str], None], toy_task: FewShotTask
) -> None:
    files.write_samples(paths.prepared_folder("other") / "test.parquet", toy_task.test[:3])
    files.write_items(paths.prepared_folder("other") / "items.parquet", toy_task.items)
    task = tasks.few_shot_task(domain, "other", N_SHOTS, seed=0)
    assert (len(task.train), task.test) == (N_SHOTS, toy_task.test[:3])


def test_tasks_share_what_they_read_until_the_file_is_another(domain: str, toy_task: FewShotTask) -> None:
    one, other = (tasks.few_shot_task(domain, domain, N_SHOTS, seed) for seed in (0, 1))
    assert one.test is other.test is tasks.full_task(domain, seed=0).test
    assert one.valid is other.valid
    files.write_samples(paths.prepared_folder(domain) / "test.parquet", toy_task.test[:3])
    assert tasks.few_shot_task(domain, domain, N_SHOTS, seed=0).test == toy_task.test[:3]


def test_the_full_task_trains_on_every_row(domain: str, toy_task: FewShotTask) -> None:
    task = tasks.full_task(domain, seed=5)
    assert (task.train, task.valid, task.test) == (toy_task.train, toy_task.valid, toy_task.test)
    assert task.seed == 5
    assert tasks.count_training_rows(domain) == len(task.train) == N_TRAIN


def test_what_is_not_there_is_named(repository: Path) -> None:
    with pytest.raises(MissingArtifactError, match=r"data/fewshot/toy/k4/seed0/draw\.json"):
        tasks.few_shot_task("toy", "toy", N_SHOTS, seed=0)
    with pytest.raises(MissingArtifactError, match=r"data/prepared/toy/train\.parquet"):
        tasks.full_task("toy", seed=0)
    with pytest.raises(MissingArtifactError, match=r"data/prepared/toy/train\.parquet"):
        tasks.count_training_rows("toy")


def test_a_drawn_row_that_is_not_there_is_named(domain: str) -> None:
    path = paths.draw_folder(domain, N_SHOTS, 0) / "draw.json"
    ids = files.read_json(path)["ids"]["llm"]
    files.write_json(path, {"ids": {"llm": ids, "conventional": [*ids, "nowhere"]}})
    with pytest.raises(DataError, match=r"seed0/draw\.json: 1 of 5 rows are not in rows\.parquet, e\.g\. 'nowhere'"):
        tasks.few_shot_task(domain, domain, N_SHOTS, seed=0)


def test_an_item_without_a_row_is_named(domain: str, toy_task: FewShotTask) -> None:
    target = toy_task.test[0].target_item_id
    items = {item_id: item for item_id, item in toy_task.items.items() if item_id != target}
    files.write_items(paths.prepared_folder(domain) / "items.parquet", items)
    with pytest.raises(DataError, match=rf"prepared/toy/items\.parquet: 1 items .* '{target}'"):
        tasks.full_task(domain, seed=0)
