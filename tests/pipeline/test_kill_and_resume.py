"""A stage that trains is killed with SIGKILL and run again: it ends as if nothing had happened, bit for bit."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
CHANGES: dict[str, dict[str, Any]] = {
    "world": {"n_items": 30, "n_other_items": 10, "reviews_per_item": 1, "instructions": 20},
    "base": {"vocabulary_size": 500, "hidden_size": 32, "intermediate_size": 32, "n_layers": 1, "n_updates": 6},
    "grid": {"domains": ["movie"], "n_shots": [8], "seeds": [0], "train_domains": ["movie"]},
    # With dropout, so that the random state counts, and epochs of two updates, so that the order of the rows does.
    "lora": {"dropout": 0.3},
    "instruct": {"n_updates": 6, "batch_size": 6, "micro_batch_size": 4},
    "tune": {
        **{"n_updates": 8, "warmup_updates": 0, "batch_size": 6, "micro_batch_size": 4},
        **{"eval_every": 2, "max_valid_samples": 10},
    },
}
TUNE = ["--recipe", "tallrec", "--train-domain", "movie", "--n-shots", "8", "--seed", "0"]
TUNED = Path("models/tuned/tallrec-movie/k8/seed0")
SCRATCH = Path("scratch/tune/tallrec-movie/k8/seed0")
KILLED = -signal.SIGKILL
RECORD = Path("runs/tune/tuned/tallrec-movie/movie-movie/k8/seed0.json")
FORMATS = ("ml-100k", "bookcrossing")
Run = Callable[..., dict[str, int]]


def write_params(folder: Path, **changes: dict[str, Any]) -> None:
    """Write `params.yaml`: the committed one, as small as it gets, with `changes` of its sections."""
    params: Any = YAML().load(REPOSITORY / "params.yaml")
    params["domains"]["movie"]["n_samples"] = 100
    params["world"]["populations"] = {name: {"n_users": 20, "ratings_per_user": [16, 20]} for name in FORMATS}
    for name, values in [*CHANGES.items(), *changes.items()]:
        params[name].update(values)
    YAML().dump(params, folder / "params.yaml")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Runs a stage in a process of its own, and says how it ended. All of them share one working directory."""
    folder = tmp_path_factory.mktemp("killed")
    write_params(folder)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        command = [sys.executable, str(Path(__file__).with_name("killable.py"))]
        with (
            Path("errors.log").open("w") as errors,
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
            ) as runner,
        ):
            assert runner.stdin
            assert runner.stdout

            def order(stage: str, arguments: list[str] | None = None, kill: Any = None) -> dict[str, int]:
                print(json.dumps({"stage": stage, "arguments": arguments or [], "kill": kill}), file=runner.stdin)
                runner.stdin.flush()
                return json.loads(runner.stdout.readline())

            for stage, arguments in [
                ("raw", ["--domain", "movie"]),
                ("prepare", ["--domain", "movie"]),
                ("draw", []),
                ("base", []),
                ("instruct", []),
            ]:
                assert order(stage, arguments)["status"] == 0, Path("errors.log").read_text()
            yield order
            runner.stdin.close()


without_validation = pytest.mark.parametrize(
    ("stage", "output"),
    [
        ("instruct", Path("models/start/tallrec")),
        ("base", Path("models/base")),
    ],
)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def remove_outputs() -> None:
    """What DVC does before it runs stage `tune`."""
    shutil.rmtree(TUNED, ignore_errors=True)
    RECORD.unlink(missing_ok=True)


def leaves_nothing_behind() -> bool:
    """Neither a checkpoint nor a half written output, even hidden."""
    return not SCRATCH.exists() and [path.name for path in TUNED.parent.iterdir()] == ["seed0"]


def n_resumed() -> int:
    return json.loads(RECORD.read_text())["n_resumed"]


@pytest.fixture(scope="module")
def left_alone(run: Run) -> dict[str, bytes]:
    """The adapter and the curve of a run that was not killed."""
    assert run("tune", TUNE)["status"] == 0
    assert n_resumed() == 0
    assert leaves_nothing_behind()
    return contents(TUNED)


@pytest.fixture
def uninterrupted(left_alone: dict[str, bytes]) -> dict[str, bytes]:
    """`left_alone`, with all traces of an earlier run removed."""
    remove_outputs()
    shutil.rmtree(SCRATCH, ignore_errors=True)
    return left_alone


def test_tuning_goes_on_wherever_it_was_killed(run: Run, uninterrupted: dict[str, bytes]) -> None:
    # In the checkpoint of update 4; in that of update 6, the second that the second run writes; in the last one.
    assert run("tune", TUNE, {"half": "optimizer.pt", "n": 2})["status"] == KILLED
    assert run("tune", TUNE, {"half": "trainer_state.json", "n": 2})["status"] == KILLED
    assert {path.name for path in SCRATCH.glob("checkpoint-*")} >= {"checkpoint-4", "checkpoint-6"}
    assert run("tune", TUNE, {"half": "rng_state.pth", "n": 2})["status"] == KILLED
    assert run("tune", TUNE)["status"] == 0
    assert n_resumed() == 6
    assert contents(TUNED) == uninterrupted
    assert leaves_nothing_behind()


def test_a_finished_tuning_is_stored_without_another_update(run: Run, uninterrupted: dict[str, bytes]) -> None:
    # With the adapter half stored, and before the record is written.
    for path in ("models/tuned", "runs"):
        assert run("tune", TUNE, {"change": path, "n": 3})["status"] == KILLED
        assert (SCRATCH / "checkpoint-8").exists()
    remove_outputs()
    assert run("tune", TUNE)["status"] == 0
    assert n_resumed() == 8
    assert contents(TUNED) == uninterrupted
    assert leaves_nothing_behind()


def test_a_checkpoint_of_other_settings_is_not_taken(run: Run, uninterrupted: dict[str, bytes]) -> None:
    assert run("tune", TUNE, {"half": "optimizer.pt", "n": 3})["status"] == KILLED
    write_params(Path(), tune={"learning_rate": 0.002})
    try:
        assert run("tune", TUNE)["status"] == 0
    finally:
        write_params(Path())
    assert n_resumed() == 0
    assert contents(TUNED) != uninterrupted


def test_early_stopping_counts_on(run: Run, uninterrupted: dict[str, bytes]) -> None:
    # A learning rate of nearly nothing: no validation is better than the first, so that patience ends at update 8.
    write_params(Path(), tune={"n_updates": 40, "patience": 3, "learning_rate": 1e-9})
    try:
        for kill in (
            {"half": "trainer_state.json", "n": 2},
            {"half": "optimizer.pt", "n": 2},
            {"half": "scheduler.pt", "n": 2},
        ):
            assert run("tune", TUNE, kill)["status"] == KILLED
        assert run("tune", TUNE)["status"] == 0
    finally:
        write_params(Path())
    curve = json.loads((TUNED / "curve.json").read_text())
    assert (n_resumed(), curve["n_steps"], curve["best_step"]) == (6, 8, 2)


@without_validation
def test_training_without_validation_goes_on_too(run: Run, stage: str, output: Path) -> None:
    expected = contents(output)
    shutil.rmtree(output)
    assert run(stage, [], {"half": "optimizer.pt", "n": 4})["status"] == KILLED
    assert run(stage, [], {"half": "rng_state.pth", "n": 2})["status"] == KILLED
    # Of the second run, which began with the third checkpoint.
    assert (Path("scratch") / stage / "checkpoint-4").exists()
    assert run(stage)["status"] == 0
    assert contents(output) == expected
    assert not (Path("scratch") / stage).exists()


@without_validation
def test_a_finished_training_is_stored_as_if_it_had_just_ended(run: Run, stage: str, output: Path) -> None:
    expected = contents(output)
    shutil.rmtree(output)
    assert run(stage, [], {"change": "models", "n": 3})["status"] == KILLED
    assert (Path("scratch") / stage / "checkpoint-6").exists()
    assert run(stage)["status"] == 0
    assert contents(output) == expected


def test_tuning_goes_on_from_every_change_of_a_file(run: Run, uninterrupted: dict[str, bytes]) -> None:
    n_changes = run("tune", TUNE)["n_changes"]
    assert n_changes > 50
    remove_outputs()
    for moment in range(1, n_changes + 1):
        assert run("tune", TUNE, {"change": "", "n": moment})["status"] == KILLED
        remove_outputs()
        assert run("tune", TUNE)["status"] == 0
        assert contents(TUNED) == uninterrupted, moment
        assert leaves_nothing_behind(), moment
        remove_outputs()


def test_tuning_goes_on_after_kills_at_any_time(run: Run, uninterrupted: dict[str, bytes]) -> None:
    statuses = [run("tune", TUNE, {"seconds": 0.2 * n})["status"] for n in range(1, 11)]
    assert set(statuses) <= {KILLED, 0}
    assert statuses.count(KILLED) >= 3
    assert run("tune", TUNE)["status"] == 0
    assert contents(TUNED) == uninterrupted
    assert leaves_nothing_behind()
