"""Two `dvc repro` in one folder at the same time: one gives way, and nothing of either is mixed."""

import random
import time
from dataclasses import replace
from pathlib import Path

import pytest
from trials import Repository, count

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
