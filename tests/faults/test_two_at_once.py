"""Two `dvc repro` in one folder at the same time: one gives way, and nothing of either is mixed."""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from trials import STAGES, Repository, count

pytestmark = pytest.mark.harden


def test_two_at_once_end_as_one_alone(undisturbed: Repository, tmp_path: Path) -> None:
    first, rng = undisturbed.clone(tmp_path), random.Random("two at once")
    second = replace(first, name="second")
    refused, codes = 0, [1, 1]
    while any(codes):
        one = first.start("repro")
        time.sleep(rng.uniform(0, 5))
        other = second.start("repro")
        codes = [one.wait(), other.wait()]
        said = [first.log.read_text(), second.log.read_text()]
        for code, text in zip(codes, said, strict=True):
            if code:
                refused += 1
                assert "is busy, it is being blocked by" in text or "Unable to acquire lock" in text, text
                count("two at once", "any", "refused, then identical")
        assert not all(codes), said
        first.check_nothing_half()
    assert refused
    first.check_finished()


@pytest.fixture(scope="module")
def by_hand(undisturbed: Repository, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A copy in which stages run without DVC."""
    return undisturbed.copy(tmp_path_factory.mktemp("twice"))


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_that_a_killed_dvc_left_running_spoils_nothing_of_the_next(by_hand: Repository, name: str) -> None:
    stage, rng = by_hand.stages[name], random.Random(f"twice {name}")
    second = replace(by_hand, name="second")
    for _ in range(1 if name == "efficiency" else 3):
        by_hand.remove_outputs(stage)
        with ThreadPoolExecutor() as pool:
            left = pool.submit(by_hand.run, stage)
            time.sleep(rng.uniform(0, stage.seconds / 4))
            by_hand.remove_outputs(stage)  # as DVC does
            code, said = second.run(stage)
            left.result()
        if code:
            count("stage twice at once", name, "refused, then identical")
            code, said = by_hand.run(stage)
            assert code == 0, said
        else:
            count("stage twice at once", name)
        by_hand.check_identical()
