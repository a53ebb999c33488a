"""Stages and whole runs of `dvc repro` are killed with SIGKILL at random moments, and run again."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import toy
from trials import STAGES, Repository, count

pytestmark = pytest.mark.harden


def test_every_stage_is_there(undisturbed: Repository) -> None:
    assert set(undisturbed.stages) == set(STAGES)
    undisturbed.check_finished()


@pytest.fixture(scope="module")
def by_hand(undisturbed: Repository, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A copy in which stages run without DVC, each timed once."""
    repository = undisturbed.copy(tmp_path_factory.mktemp("by-hand"))
    repository.stages = {name: replace(stage) for name, stage in undisturbed.stages.items()}
    for stage in repository.stages.values():
        started = time.monotonic()
        code, said = repository.run(stage)
        assert code == 0, said
        stage.seconds = time.monotonic() - started
    repository.check_identical()
    return repository


@pytest.mark.parametrize("name", STAGES)
def test_a_killed_stage_ends_as_if_it_had_not_been(by_hand: Repository, name: str) -> None:
    stage, rng = by_hand.stages[name], random.Random(name)
    for _ in range(1 if name == "efficiency" else 4):
        shutil.rmtree(by_hand.kept / "tallrec-bench", ignore_errors=True)  # answers of the server
        for _ in range(3):
            if rng.random() < 0.5:
                by_hand.remove_outputs(stage)  # as DVC does; by hand nobody does
            code, said = by_hand.run(stage, rng.uniform(0, stage.seconds))
            assert code in (0, -signal.SIGKILL), said
            by_hand.check_nothing_half()
            count("stage", name, "killed" if code else "ended before")
        by_hand.remove_outputs(stage)
        code, said = by_hand.run(stage)
        assert code == 0, said
        by_hand.check_identical()


KINDS = ("all", "the stage", "dvc")
"""What is killed: the group, as by a batch system; the stage alone, as by a kernel without memory; DVC alone."""


def kill(process: "subprocess.Popen[bytes]", kind: str) -> None:
    """Kill one of `KINDS`; everything where the stage has just ended."""
    if kind == "the stage":
        for other in psutil.process_iter():
            with contextlib.suppress(ProcessLookupError, psutil.Error):
                # What DVC started is a client that waits for the fork that carries the stage out.
                if os.getpgid(other.pid) == process.pid and not {"-c", "dvc"} & {*other.cmdline()}:
                    other.kill()
                    return
    if kind == "dvc":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)


def running(repository: Repository) -> list[str]:
    """The stages that `dvc repro` has begun with."""
    lines = repository.log.read_text().splitlines()
    return [line.split("'")[1] for line in lines if line.startswith("Running stage")]


def disturb(
    repository: Repository, left: dict[str, int], rng: random.Random, options: Sequence[str]
) -> tuple[int, str, str]:
    """Run `dvc repro` up to a stage that has kills left, and kill it there; exit code, stage, and what was killed."""
    process, n_begun = repository.start("repro", *options), 0
    while process.poll() is None:
        begun = running(repository)
        if len(begun) > n_begun:
            n_begun = len(begun)
            if left[begun[-1]]:
                time.sleep(rng.uniform(0, 0.9 * repository.stages[begun[-1]].seconds))
                name = running(repository)[-1]
                kind = KINDS[left[name] % len(KINDS)]
                left[name] = max(0, left[name] - 1)
                kill(process, kind)
                return process.wait(), name, kind
        time.sleep(0.005)
    return process.wait(), "", ""


def mend(repository: Repository) -> None:
    """What docs/reliability.md says to do after a kill that came while DVC wrote one of its own files."""
    said = repository.log.read_text()
    assert "dvc.lock" in said or "rwlock" in said, said
    mended = toy.run(repository.folder, sys.executable, "-m", "benchmark.cli", "verify", "--mend")
    (line,) = [line for line in mended.splitlines() if line.endswith("damaged, removed")]
    count(f"dvc repro killed: {Path(line.split(':')[0]).name} cut", "any", "removed, then identical")


def ends(repository: Repository, left: dict[str, int], rng: random.Random, *options: str) -> bool:
    """Whether `dvc repro` comes to its end without a kill; counts what it was killed in, and mends what it left cut."""
    code, name, kind = disturb(repository, left, rng, options)
    if kind == "the stage" and code > 0:
        said = repository.log.read_text()
        assert f"ERROR: failed to reproduce '{name}': " in said, said
    if name:
        count(f"dvc repro, {kind} killed", name)
    elif code:
        mend(repository)
    return not (code or name)


def test_dvc_repro_ends_the_same_however_often_it_is_killed(undisturbed: Repository, tmp_path: Path) -> None:
    repository, rng = undisturbed.clone(tmp_path / "killed"), random.Random("dvc repro")
    left = dict.fromkeys(STAGES, len(KINDS))
    while not ends(repository, left, rng):
        pass
    repository.check_finished()
    # Stages that had come to their end before all their kills came.
    for name in STAGES:
        while left[name]:
            ends(repository, left, rng, "--force", "--single-item", name)
    while not ends(repository, left, rng):
        pass
    repository.check_finished()


def test_outputs_that_come_from_the_cache_are_whole_after_kills(undisturbed: Repository, tmp_path: Path) -> None:
    repository, rng = undisturbed.copy(tmp_path), random.Random("checkout")
    toy.run(repository.folder, "rm", "-r", "data", "models", "predictions", "runs")
    started = time.monotonic()
    assert repository.dvc("checkout")[0] == 0
    seconds = time.monotonic() - started
    for command in ("checkout", "repro") * 3:
        toy.run(repository.folder, "rm", "-r", "data", "models", "predictions", "runs")
        process = repository.start(command)
        time.sleep(rng.uniform(0.4, 1) * seconds)
        kill(process, "all")
        process.wait()
        count(f"dvc {command} from the cache killed", "any")
        if repository.dvc("repro")[0]:
            mend(repository)
            assert repository.dvc("repro")[0] == 0
        repository.check_identical()
    repository.check_finished()


def test_dvc_repro_in_processes_of_its_own_ends_the_same(undisturbed: Repository, tmp_path: Path) -> None:
    warm, rng = undisturbed.clone(tmp_path / "cold"), random.Random("cold")
    repository = replace(warm, shell=Path("/bin/sh"))
    total = sum(stage.seconds for stage in repository.stages.values())
    for _ in range(6):
        process = repository.start("repro")
        time.sleep(rng.uniform(0, total))
        kill(process, "all")
        process.wait()
        begun = running(repository)
        count("dvc repro killed, nothing forked", begun[-1] if begun else "dvc")
    code, said = repository.dvc("repro")
    if code:
        mend(repository)
        code, said = repository.dvc("repro")
    assert code == 0, said
    repository.check_finished()
