"""What ran ahead becomes the stage that DVC asks for where its inputs are the same, and nothing else does."""

import os
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from benchmark.warm import handing_over
from benchmark.warm.handing_over import Job, prepare, took_over

COMMAND = "python -m benchmark.stages.tune --seed 0"
DEPS = ("data/draw.csv", "code")
OUTS = ("models/tuned/seed0", "runs/tune/seed0.json")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    for name in ("params.yaml", "data/draw.csv", "code/deep/tune.py", "models/base/weights", "models/tuned/seed1/a"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


@pytest.fixture
def jobs(repository: Path) -> Path:
    return repository / "scratch/ahead/1"


def begin(repository: Path, jobs: Path) -> tuple[Job, BinaryIO]:
    job = Job.of(jobs, COMMAND)
    running = prepare(job, repository, DEPS, OUTS)
    return job, running


def do(job: Job) -> None:
    """What the stage does: it writes its outputs where it runs, and says something."""
    (job.work / "models/tuned/seed0").mkdir()
    (job.work / "models/tuned/seed0/adapter").write_text("new")
    (job.work / "runs/tune").mkdir(parents=True)
    (job.work / "runs/tune/seed0.json").write_text("{}")
    for stream, said in zip(job.streams, ("to the output\n", "to the error\n"), strict=True):
        stream.write_text(said)


def test_the_folder_looks_like_the_repository_but_for_the_outputs(repository: Path, jobs: Path) -> None:
    (repository / "models/tuned/seed0").mkdir()
    job, _ = begin(repository, jobs)
    assert (job.work / "models/base/weights").read_text() == "models/base/weights"
    assert (job.work / "models/tuned/seed1/a").exists()
    assert (job.work / "code").is_symlink()
    assert not (job.work / "models/tuned/seed0").exists()
    (job.work / "models/tuned/seed0").mkdir()
    assert not list((repository / "models/tuned/seed0").iterdir())


def test_outputs_of_one_that_has_ended_come_to_their_places(
    repository: Path, jobs: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    former = repository / "models/tuned/seed0/former"
    former.parent.mkdir()
    former.write_text("of another run")
    job, running = begin(repository, jobs)
    do(job)
    job.end(0)
    running.close()
    assert took_over(jobs, COMMAND, repository)
    assert [path.name for path in (repository / "models/tuned/seed0").iterdir()] == ["adapter"]
    assert (repository / "runs/tune/seed0.json").read_text() == "{}"
    assert capfd.readouterr() == ("to the output\n", "to the error\n")
    assert not took_over(jobs, COMMAND + " --seed 1", repository)


def test_one_that_runs_is_waited_for_and_heard_meanwhile(
    repository: Path, jobs: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    job, running = begin(repository, jobs)
    found: list[bool] = []
    waiting = threading.Thread(target=lambda: found.append(took_over(jobs, COMMAND, repository)))
    waiting.start()
    do(job)
    while not (said := capfd.readouterr().out):
        time.sleep(0.01)
    assert said == "to the output\n"
    assert not found
    job.end(0)
    running.close()
    waiting.join(20)
    assert found == [True]


@pytest.mark.parametrize("code", [1, 2, -9, None])
def test_one_that_failed_or_was_killed_is_left_aside(repository: Path, jobs: Path, code: int | None) -> None:
    job, running = begin(repository, jobs)
    do(job)
    if code is not None:
        job.end(code)
    running.close()
    assert not took_over(jobs, COMMAND, repository)
    assert not (repository / "models/tuned/seed0").exists()


@pytest.mark.parametrize("changed", ["params.yaml", "data/draw.csv", "code/deep/tune.py", "code/deep/new.py"])
def test_one_with_other_inputs_is_ended_and_left_aside(
    repository: Path, jobs: Path, changed: str, capfd: pytest.CaptureFixture[str]
) -> None:
    job, running = begin(repository, jobs)
    do(job)
    (repository / changed).write_text("edited meanwhile")
    found: list[bool] = []
    waiting = threading.Thread(target=lambda: found.append(took_over(jobs, COMMAND, repository)))
    waiting.start()
    while not job.unwanted.exists():
        time.sleep(0.01)
    job.end(0)
    running.close()
    waiting.join(20)
    assert found == [False]
    assert not (repository / "models/tuned/seed0").exists()
    assert capfd.readouterr().out == ""


def test_an_input_of_equal_size_and_another_time_is_another_one(repository: Path, jobs: Path) -> None:
    job, running = begin(repository, jobs)
    do(job)
    job.end(0)
    running.close()
    os.utime(repository / "data/draw.csv", (1, 1))
    assert not took_over(jobs, COMMAND, repository)


def test_what_no_code_reads_changes_nothing(repository: Path, jobs: Path) -> None:
    job, running = begin(repository, jobs)
    do(job)
    job.end(0)
    running.close()
    (repository / "code/deep/tune.pyc").write_text("compiled meanwhile")
    (repository / "models/tuned/seed2").mkdir()
    assert took_over(jobs, COMMAND, repository)


def test_what_dvc_runs_itself_is_not_run_ahead_as_well(repository: Path, jobs: Path) -> None:
    assert not took_over(jobs, COMMAND, repository)
    with pytest.raises(FileExistsError):
        begin(repository, jobs)
    assert not took_over(jobs, COMMAND, repository)


def test_one_that_is_being_prepared_is_waited_for(
    repository: Path, jobs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, found = handing_over._link, list[bool]()
    waiting = threading.Thread(target=lambda: found.append(took_over(jobs, COMMAND, repository)))

    def slow(*arguments: Any) -> None:
        if not waiting.ident:  # it calls itself
            waiting.start()
            waiting.join(0.3)
            assert waiting.is_alive()
        link(*arguments)

    monkeypatch.setattr(handing_over, "_link", slow)
    job, running = begin(repository, jobs)
    do(job)
    job.end(0)
    running.close()
    waiting.join(20)
    assert found == [True]
