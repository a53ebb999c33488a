from dataclasses import replace

import pytest

from benchmark.methods.probes import PROBES, PROMPT_STYLES, UNKNOWN
from benchmark.methods.rules import prompt_names
from benchmark.schema import FewShotTask, Sample
from tallrec.prompts.rendering import render, style_names

every_probe = pytest.mark.parametrize("probe", PROBES)


def changed(probe: str, task: FewShotTask) -> tuple[Sample, ...]:
    return PROBES[probe](task.test, task.items)[0]


@every_probe
def test_a_probe_keeps_the_samples_their_users_and_their_order(probe: str, toy_task: FewShotTask) -> None:
    keys = [(sample.sample_id, sample.user_id) for sample in toy_task.test]
    assert [(sample.sample_id, sample.user_id) for sample in changed(probe, toy_task)] == keys
    assert (changed(probe, toy_task) != toy_task.test) == (probe not in PROMPT_STYLES)


@every_probe
def test_every_item_of_a_changed_sample_is_known(probe: str, toy_task: FewShotTask) -> None:
    samples, items = PROBES[probe](toy_task.test, toy_task.items)
    for sample in samples:
        assert {sample.target_item_id, *(event.item_id for event in sample.history)} <= items.keys()


@every_probe
def test_a_probe_gives_the_same_again(probe: str, toy_task: FewShotTask) -> None:
    assert changed(probe, toy_task) == changed(probe, toy_task)


def test_likes_are_swapped(toy_task: FewShotTask) -> None:
    for before, after in zip(toy_task.test, changed("likes_swapped", toy_task), strict=True):
        assert [e.item_id for e in after.history] == [e.item_id for e in before.history]
        assert [e.liked for e in after.history] == [not e.liked for e in before.history]
        assert after.target_item_id == before.target_item_id


def test_the_history_is_removed(toy_task: FewShotTask) -> None:
    assert changed("history_removed", toy_task) == tuple(replace(sample, history=()) for sample in toy_task.test)


def test_a_shuffled_history_holds_the_same_events(toy_task: FewShotTask) -> None:
    for before, after in zip(toy_task.test, changed("history_shuffled", toy_task), strict=True):
        assert sorted(after.history, key=str) == sorted(before.history, key=str)


def test_every_target_is_the_same_unknown_item(toy_task: FewShotTask) -> None:
    samples, items = PROBES["title_removed"](toy_task.test, toy_task.items)
    assert {items[sample.target_item_id].text for sample in samples} == {UNKNOWN}
    assert {items[sample.target_item_id].noun for sample in samples} == {"movie"}
    assert [sample.history for sample in samples] == [sample.history for sample in toy_task.test]


def test_another_history_is_that_of_another_user(toy_task: FewShotTask) -> None:
    histories = {
        sample.user_id: {s.history for s in toy_task.test if s.user_id == sample.user_id} for sample in toy_task.test
    }
    assert len(histories) == 2
    for after in changed("another_history", toy_task):
        others = [found for user, found in histories.items() if user != after.user_id]
        assert any(after.history in found for found in others)


def test_a_user_alone_keeps_the_history_and_is_told(toy_task: FewShotTask, caplog: pytest.LogCaptureFixture) -> None:
    user = toy_task.test[0].user_id
    lonely = replace(toy_task, test=tuple(sample for sample in toy_task.test if sample.user_id == user))
    assert changed("another_history", lonely) == lonely.test
    assert f"all {len(lonely.test)} samples are of one user, so each keeps its history" in caplog.text


def test_a_probe_that_changes_the_question_changes_nothing_else(toy_task: FewShotTask) -> None:
    style = PROMPT_STYLES["dislike_asked"]
    assert style in style_names()
    assert style not in prompt_names()  # no row of a table is asked so
    for sample in toy_task.test:
        liked, disliked = (render(s, sample, toy_task.items, stray_comment=True) for s in ("released", style))
        assert disliked.count("dislike the target movie") == 2
        assert disliked.replace("dislike the target", "like the target") == liked


def test_only_the_question_is_turned_around(toy_task: FewShotTask) -> None:
    """A title or a history that holds the words of the question stays as it is."""
    sample = toy_task.test[0]
    item = toy_task.items[sample.target_item_id]
    text = 'Whether the user will like the target movie "x"?'
    items = {**toy_task.items, sample.target_item_id: replace(item, text=text, mention=f'"{text}"')}
    released, asked = (render(s, sample, items, stray_comment=True) for s in ("released", "released_dislike"))
    assert asked.count("dislike") == 2
    assert asked.endswith(f'Whether the user will dislike the target movie "{text}"?\n\n### Response:\n')
    assert released.endswith(f'Whether the user will like the target movie "{text}"?\n\n### Response:\n')
