"""A sweep whose scheduler and workers are processes of their own on loopback, and are killed."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import psutil
import pytest

pytestmark = pytest.mark.slow
ON_LOOPBACK = ["--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0"]
SECONDS = 6 + os.getpid() % 1000 / 1000  # the sleeps of these tests are told from those of others by this number


class Cluster:
    """A scheduler and workers, each a process in a folder of its own."""

    def __init__(self, folder: Path, environment: Any) -> None:
        self.folder, self.environment = folder, environment
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, n_workers: int = 2) -> str:
        """Start everything; the address of the scheduler."""
        file = self.folder / "scheduler.json"
        file.unlink(missing_ok=True)
        self._run("scheduler", "scheduler", "--port", "0", "--scheduler-file", str(file))
        wait_for(file.exists)
        for number in range(n_workers):
            folder = self.folder / f"worker-{number}"
            folder.mkdir(exist_ok=True)
            options = ["--scheduler-file", str(file), "--nthreads", "1", "--name", f"w{number}"]
            self._run(f"w{number}", "worker", *options, "--local-directory", str(folder))
        import json

        return json.loads(file.read_text())["address"]

    def _run(self, name: str, *words: str) -> None:
        log = (self.folder / f"{name}.log").open("ab")
        command = [sys.executable, "-m", "distributed.cli.dask_" + words[0], *words[1:], *ON_LOOPBACK]
        self.processes[name] = subprocess.Popen(
            command, cwd=self.folder, env=self.environment, stdout=log, stderr=log, start_new_session=True
        )

    def worker_process(self, name: str) -> psutil.Process:
        """The process that works, a child of the nanny."""
        children = psutil.Process(self.processes[name].pid).children()
        (found,) = [child for child in children if "spawn_main" in " ".join(child.cmdline())]
        return found

    def kill(self) -> None:
        """Kill every process at once."""
        for process in self.processes.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def swept(new_repository: Callable[..., Any], tmp_path: Path) -> Generator[tuple[Any, Cluster]]:
    repository = new_repository(n_cells=3, seconds=SECONDS)
    folder = tmp_path / "cluster"
    folder.mkdir()
    cluster = Cluster(folder, repository.environment)
    yield repository, cluster
    cluster.kill()


def start_sweep(repository: Any, address: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        repository.command("--scheduler", address),
        cwd=repository.folder,
        env=repository.environment,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition: Callable[[], Any], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def running() -> int:
    """Copies of the command of a cell that run now."""
    found = 0
    for process in psutil.process_iter(["cmdline"]):
        found += (process.info["cmdline"] or []) == ["sleep", str(SECONDS)]
    return found


def test_everything_listens_on_loopback_alone(swept: tuple[Any, Cluster]) -> None:
    repository, cluster = swept
    sweep = start_sweep(repository, cluster.start())
    wait_for(lambda: running() == 2)
    families = [psutil.Process(process.pid) for process in cluster.processes.values()]
    families += [child for process in families for child in process.children(recursive=True)]
    listening = [c.laddr.ip for process in families for c in process.net_connections() if c.status == "LISTEN"]
    assert len(listening) >= 3
    assert set(listening) == {"127.0.0.1"}
    assert sweep.wait(timeout=120) == 0


def test_a_killed_worker_costs_one_retry_and_leaves_no_orphan(swept: tuple[Any, Cluster]) -> None:
    repository, cluster = swept
    sweep = start_sweep(repository, cluster.start())
    wait_for(lambda: running() == 2)
    os.kill(cluster.worker_process("w0").pid, signal.SIGKILL)
    wait_for(lambda: running() < 2, seconds=5)  # what it ran is gone with it
    most = 0
    while sweep.poll() is None:
        most = max(most, running())
        time.sleep(0.2)
    assert sweep.returncode == 0, sweep.stderr.read()
    assert most <= 2
    started = repository.started()
    assert len(started) == 4
    assert set(started) == {1, 2, 3}
    assert repository.metrics.read_text() == "1\n2\n3\n"


def test_after_the_scheduler_is_killed_finished_cells_come_from_the_run_cache(swept: tuple[Any, Cluster]) -> None:
    repository, cluster = swept
    sweep = start_sweep(repository, cluster.start(n_workers=1))
    wait_for(lambda: len(repository.started()) == 2)  # so the first one is done and pushed
    cluster.kill()
    sweep.kill()
    sweep.communicate()
    wait_for(lambda: running() == 0, seconds=5)
    again = start_sweep(repository, cluster.start())
    _, said = again.communicate(timeout=180)
    assert again.returncode == 0, said
    assert "cell@" in said
    assert said.count("was in the run-cache") == 2  # `prepare` and the first cell
    first, second, *rest = repository.started()
    assert sorted([second, *rest]) == sorted([second, second, *({1, 2, 3} - {first, second})])
    assert repository.metrics.read_text() == "1\n2\n3\n"
