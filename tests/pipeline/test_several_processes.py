"""One cell in two processes (gloo, on a CPU) gives the adapter of one, whoever starts them, and survives their end."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from ruamel.yaml import YAML
from safetensors.torch import load_file

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
FORMATS = ("ml-100k", "bookcrossing")
CHANGES: dict[str, dict[str, Any]] = {
    "world": {
        "n_items": 30,
        "n_other_items": 10,
        "reviews_per_item": 1,
        "instructions": 20,
        "populations": {name: {"n_users": 20, "ratings_per_user": [16, 20]} for name in FORMATS},
    },
    "base": {"vocabulary_size": 500, "hidden_size": 32, "intermediate_size": 32, "n_layers": 2, "n_updates": 6},
    "grid": {"domains": ["movie"], "n_shots": [7], "seeds": [0], "train_domains": ["movie"]},
    "lora": {"dropout": 0.0},
    "instruct": {"n_updates": 4},
    # Seven rows, six an update, in micro-batches: each epoch ends with an update of one row, and a process without one.
    "tune": {
        **{"n_updates": 12, "warmup_updates": 0, "batch_size": 6, "micro_batch_size": 2},
        **{"eval_every": 2, "max_valid_samples": 9, "patience": 10},
    },
}
CELL = ["--recipe", "tallrec", "--train-domain", "movie", "--n-shots", "7", "--seed", "0"]
STAGE = ["-m", "benchmark.stages.tune", *CELL]
TUNED = Path("models/tuned/tallrec-movie/k7/seed0")
WEIGHTS = TUNED / "adapter_model.safetensors"
SCRATCH = Path("scratch/tune/tallrec-movie/k7/seed0")
RECORD = Path("runs/tune/tuned/tallrec-movie/movie-movie/k7/seed0.json")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
Tune = Callable[..., subprocess.CompletedProcess[str]]


def write_params(**changes: dict[str, Any]) -> None:
    params: Any = YAML().load(REPOSITORY / "params.yaml")
    params["domains"]["movie"]["n_samples"] = 100
    for name, values in [*CHANGES.items(), *changes.items()]:
        params[name].update(values)
    YAML().dump(params, Path("params.yaml"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which every stage before tuning has run, as working directory."""
    from benchmark.stages import base, draw, instruct, prepare, raw

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(tmp_path_factory.mktemp("several"))
        write_params()
        assert raw.main(["--domain", "movie"]) == 0
        assert prepare.main(["--domain", "movie"]) == 0
        for stage in (draw, base, instruct):
            assert stage.main([]) == 0
        yield Path.cwd()


def remove_outputs() -> None:
    for folder in (TUNED, SCRATCH):
        shutil.rmtree(folder, ignore_errors=True)
    RECORD.unlink(missing_ok=True)


@pytest.fixture
def tune(world: Path) -> Tune:
    """Runs stage `tune` with changed values, from the start."""

    def run(*command: str, **changes: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        remove_outputs()
        write_params(**changes)
        return subprocess.run(
            [sys.executable, *(command or STAGE)], env=ENVIRONMENT, capture_output=True, text=True, check=False
        )

    return run


@pytest.fixture(scope="module")
def alone(world: Path) -> dict[str, Any]:
    """What one process leaves."""
    from benchmark.stages import tune

    remove_outputs()
    write_params()
    assert tune.main(CELL) == 0
    return outcome()


def outcome() -> dict[str, Any]:
    return {
        "weights": load_file(WEIGHTS),
        "curve": json.loads((TUNED / "curve.json").read_text()),
        "record": json.loads(RECORD.read_text()),
    }


def flat(weights: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.cat([weights[name].flatten() for name in sorted(weights)])


def aucs(found: dict[str, Any]) -> list[float]:
    return [entry["auc"] for entry in found["curve"]["curve"]]


def test_two_processes_leave_the_adapter_of_one(tune: Tune, alone: dict[str, Any]) -> None:
    done = tune(tune={"n_processes": 2})
    assert done.returncode == 0, done.stderr
    together = outcome()
    start = flat(load_file("models/start/tallrec/adapter_model.safetensors"))
    moved = (flat(alone["weights"]) - start).norm()
    assert moved > 0.1
    assert (flat(together["weights"]) - flat(alone["weights"])).norm() < 1e-3 * moved
    assert together["curve"]["best_step"] == alone["curve"]["best_step"]
    assert aucs(together) == pytest.approx(aucs(alone), abs=1e-9)
    assert len(set(aucs(alone))) > 1
    assert (together["record"]["n_processes"], alone["record"]["n_processes"]) == (2, 1)
    # One process speaks, and nothing is left behind.
    lines = [line for line in done.stderr.splitlines() if line.startswith("tuned")]
    assert len(lines) == 1
    assert not SCRATCH.exists()

    launched = tune("-m", "torch.distributed.run", "--nproc-per-node", "2", *STAGE, tune={"n_processes": 2})
    assert launched.returncode == 0, launched.stderr
    assert WEIGHTS.read_bytes() == _bytes(together)


def _bytes(found: dict[str, Any]) -> bytes:
    from safetensors.torch import save

    return save(found["weights"], {"format": "pt"})


def test_processes_that_share_the_weights_leave_the_adapter_of_those_that_hold_all(tune: Tune) -> None:
    # Two validations of nine rows, of one prompt a call: a process calls the model once more than the other.
    changes: dict[str, Any] = {"score": {"batch_tokens": 1}}
    found: dict[tuple[int, bool], dict[str, Any]] = {}
    for n_processes, sharded in ((1, False), (2, False), (2, True)):
        of_processes = {"n_processes": n_processes, "sharded": sharded, "patience": 2}
        done = tune(**changes, tune=of_processes)
        assert done.returncode == 0, done.stderr
        found[n_processes, sharded] = outcome()
    alone, together, in_shards = found.values()
    start = flat(load_file("models/start/tallrec/adapter_model.safetensors"))
    moved = (flat(alone["weights"]) - start).norm()
    assert moved > 0.1
    assert (flat(in_shards["weights"]) - flat(alone["weights"])).norm() < 1e-3 * moved
    assert (flat(in_shards["weights"]) - flat(together["weights"])).norm() < 1e-5 * moved
    assert aucs(in_shards) == pytest.approx(aucs(alone), abs=1e-9)
    assert len(set(aucs(alone))) > 1
    # All of them stop early, at the same update.
    assert in_shards["record"]["n_steps"] == alone["record"]["n_steps"] < 12
    adapter_bytes = sum(tensor.nbytes for tensor in alone["weights"].values())
    whole, half = (of["record"]["weights_bytes"] - adapter_bytes for of in (together, in_shards))
    assert half == pytest.approx(whole / 2, rel=0.01)


@pytest.mark.parametrize("sharded", [False, True])
def test_a_launch_that_is_killed_goes_on(tune: Tune, sharded: bool) -> None:
    changes = {
        "lora": {"dropout": 0.3},
        "tune": {"n_processes": 2, "n_updates": 40, "eval_every": 4, "sharded": sharded},
    }
    assert tune(**changes).returncode == 0
    uninterrupted = WEIGHTS.read_bytes()

    remove_outputs()
    with subprocess.Popen([sys.executable, *STAGE], env=ENVIRONMENT, stderr=subprocess.DEVNULL) as launcher:
        while not (SCRATCH / "checkpoint-8" / "trainer_state.json").exists():
            assert launcher.poll() is None
            time.sleep(0.005)
        children = [int(pid) for pid in Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()]
        launcher.send_signal(signal.SIGKILL)
    assert len(children) >= 2
    time.sleep(0.5)
    assert not [child for child in children if is_alive(child)]

    again = subprocess.run([sys.executable, *STAGE], env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert outcome()["record"]["n_resumed"] >= 8
    assert WEIGHTS.read_bytes() == uninterrupted


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def test_an_error_is_one_line(tune: Tune, world: Path) -> None:
    start = Path("models/start/tallrec/adapter_model.safetensors")
    start.rename("hidden")
    try:
        done = tune(tune={"n_processes": 2})
    finally:
        Path("hidden").rename(start)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == f"error: {start}: not there; `dvc repro` makes it"
    assert (done.stderr.count("error"), done.stderr.count("Traceback")) == (1, 0)
    assert not TUNED.exists()

    done = tune(tune={"n_processes": 4})
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "tune.n_processes: 4 does not divide the 6 rows of an update" in done.stderr

    done = tune("-m", "torch.distributed.run", "--nproc-per-node", "2", *STAGE)
    assert done.returncode == 1
    assert "ConfigError: tune.n_processes: 1, and 2 processes were launched" in done.stderr


def test_a_process_that_is_killed_ends_the_others(world: Path) -> None:
    remove_outputs()
    write_params(tune={"n_processes": 2, "n_updates": 2000, "eval_every": 4, "patience": 1000})
    with subprocess.Popen([sys.executable, *STAGE], env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as launcher:
        while not (SCRATCH / "checkpoint-4").exists():
            assert launcher.poll() is None
            time.sleep(0.01)
        children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
        os.kill(int(children[-1]), signal.SIGKILL)
        assert launcher.stderr
        lines = launcher.stderr.read().splitlines()
    assert launcher.returncode == 2
    assert lines[-1].startswith("error: process ")
    assert "SIGKILL" in lines[-1]
    assert not TUNED.exists()
