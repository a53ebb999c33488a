"""A stage that is forked is what a fresh process would be: what it inherits, how it ends, and what ends it."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import toy

from benchmark.warm.shell import LIGHT
from benchmark.warm.starting import COLD_VARIABLE, WarmStages

pytestmark = pytest.mark.slow
PROBE = '''
"""In the place of a stage: prints what it is, and does what it is told."""

import atexit, json, os, random, resource, signal, sys, threading, time
from pathlib import Path

status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
umask = os.umask(0)
os.umask(umask)
signals = [number for number in signal.valid_signals() if number not in (signal.SIGKILL, signal.SIGSTOP)]
state = {
    "pid": os.getpid(),
    "parent": os.getppid(),
    "inherited": {
        "arguments": sys.argv,
        "main": __spec__.name,
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "umask": umask,
        "group": os.getpgrp(),
        "session": os.getsid(0),
        "handlers": [str(signal.getsignal(number)) for number in signals],
        # Without the two that are glibc's own.
        "signals": [int(status[name], 16) & ~(3 << 31) for name in ("SigBlk", "SigIgn", "SigCgt")],
        "limits": [resource.getrlimit(kind) for kind in range(16)],
        "cores": sorted(os.sched_getaffinity(0)),
        "nice": os.nice(0),
        "descriptors": sorted(int(path.name) for path in Path("/proc/self/fd").iterdir() if path.exists()),
        "streams": [(s.isatty(), s.line_buffering, s.write_through, s.encoding) for s in (sys.stdout, sys.stderr)],
        "threads": threading.active_count(),
        "path": sys.path,
    },
    "input": sys.stdin.readline(),
}
if sys.argv[1:] == ["torch"]:
    import numpy, torch, tallrec.training.tuning

    state["inherited"]["threads of torch"] = [torch.get_num_threads(), torch.get_num_interop_threads()]
    state["inherited"]["CUDA"] = torch.cuda.is_initialized()
    state["draws"] = [random.random(), numpy.random.rand(), torch.rand(1).item()]
print(json.dumps(state), flush=True)
match sys.argv[1:]:
    case ["sleep"]:
        # In short ones: Python looks for a signal that came just before a sleep at its end.
        for _ in range(12_000):
            time.sleep(0.05)
    case ["raise"]:
        raise ValueError("as it is")
    case ["die", number]:
        os.kill(os.getpid(), int(number))
    case ["end", code]:
        atexit.register(print, "at the end")
        sys.exit(int(code))
'''


class Stages:
    """A repository with the probe in the place of a stage, and both ways to run it."""

    def __init__(self, folder: Path, usual: dict[str, str], warm: WarmStages) -> None:
        self.folder, self.usual, self.warm = folder, usual, warm
        assert warm.wait()

    def start(self, *arguments: str, cold: bool = False, **changes: str) -> "subprocess.Popen[str]":
        command = " ".join(("python -m benchmark.stages.icl", *arguments))
        shell = ["/bin/sh", "-c", f"exec {command}"] if cold else [self.warm.environment["SHELL"], "-c", command]
        return subprocess.Popen(
            shell,
            **{"cwd": self.folder, "env": (self.usual if cold else self.warm.environment) | changes, "text": True},
            **{"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE},
        )

    def run(self, *arguments: str, cold: bool = False, **changes: str) -> tuple[int, dict[str, Any], str, str]:
        """Exit code, the state, and what else was said."""
        process = self.start(*arguments, cold=cold, **changes)
        out, err = process.communicate("a line\n", timeout=120)
        assert out, err
        first, _, rest = out.partition("\n")
        return process.returncode, json.loads(first), rest, err

    def is_forked(self, **changes: str) -> bool:
        _, state, _, _ = self.run(**changes)
        return "benchmark.warm.process" in psutil.Process(state["parent"]).cmdline()


def begun(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """The state of a probe that has come to its sleep."""
    assert process.stdin
    assert process.stdout
    process.stdin.write("a line\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())


def is_gone(process: int) -> bool:
    """Whether a process has ended within seconds."""
    for _ in range(500):
        with contextlib.suppress(psutil.NoSuchProcess):
            if psutil.Process(process).status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.01)
                continue
        return True
    return False


@pytest.fixture(scope="module", autouse=True)
def _foreground() -> Iterator[None]:
    """SIGINT as in the foreground: a shell has what it starts in the background ignore it, which children inherit."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = toy.new_repository(tmp_path_factory.mktemp("warm") / "repository", {})
    (folder / "benchmark/stages/icl.py").write_text(PROBE)
    return folder


@pytest.fixture(scope="module")
def stages(repository: Path) -> Iterator[Stages]:
    usual = toy.environment(repository)
    with WarmStages(repository, usual) as warm:
        warm.start()
        yield Stages(repository, usual, warm)


def test_a_fork_inherits_what_a_fresh_process_does(stages: Stages) -> None:
    before = os.umask(0o027)
    try:
        _, fresh, _, _ = stages.run("torch", cold=True, DVC_STAGE="icl")
        _, forked, _, _ = stages.run("torch", DVC_STAGE="icl")
    finally:
        os.umask(before)
    assert stages.is_forked()
    assert forked["input"] == "a line\n"
    for state in (fresh, forked):
        for name in ("PWD", "OLDPWD", "SHLVL", "_"):  # which each shell has for itself
            state["inherited"]["environment"].pop(name, None)
        state["inherited"]["environment"].pop("TORCHINDUCTOR_CACHE_DIR", None)  # which a module of torch sets
    for name, expected in fresh["inherited"].items():
        assert forked["inherited"][name] == expected, name


def test_no_two_forks_draw_the_same(stages: Stages) -> None:
    (_, first, _, _), (_, second, _, _) = stages.run("torch"), stages.run("torch")
    assert not {*first["draws"]} & {*second["draws"]}


@pytest.mark.parametrize("arguments", [("end", "0"), ("end", "2"), ("raise",), ("die", "11"), ("die", "15")])
def test_it_ends_as_a_fresh_process_does(stages: Stages, arguments: tuple[str, ...]) -> None:
    (expected, _, said, _), (code, _, said_warm, error) = (stages.run(*arguments, cold=cold) for cold in (True, False))
    assert (code, said_warm) == (expected, said)
    assert ("ValueError: as it is" in error) == (arguments == ("raise",))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("whom", ["shell", "fork"])
def test_a_signal_ends_both(stages: Stages, number: signal.Signals, whom: str) -> None:
    process = stages.start("sleep")
    fork = begun(process)["pid"]
    os.kill(process.pid if whom == "shell" else fork, number)
    _, error = process.communicate(timeout=20)
    if number == signal.SIGINT:
        assert error.rstrip().endswith("KeyboardInterrupt")
        assert process.returncode in (1, -number)  # as what libraries do at the end has it, in a fresh process too
    else:
        assert process.returncode == -number
    assert is_gone(fork)


def test_a_signal_to_the_group_reaches_the_fork_alone(stages: Stages) -> None:
    process = stages.start("sleep")
    fork = begun(process)["pid"]
    assert os.getpgid(fork) == os.getpgrp()
    assert os.getpgid(process.pid) == process.pid
    os.kill(fork, signal.SIGKILL)
    process.wait(10)


def test_nothing_outlives_dvc(stages: Stages) -> None:
    start = "import subprocess, sys; subprocess.run([sys.argv[1], '-c', 'python -m benchmark.stages.icl sleep'])"
    command = [sys.executable, "-c", start, stages.warm.environment["SHELL"]]
    with subprocess.Popen(
        command,
        cwd=stages.folder,
        env=stages.warm.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as dvc:
        fork = begun(dvc)
        (shell,) = psutil.Process(dvc.pid).children()
        dvc.kill()
        assert is_gone(fork["pid"])
        assert is_gone(shell.pid)
    assert stages.is_forked()


HOLDER = """
import os, subprocess, sys
from pathlib import Path
from benchmark.warm.starting import WarmStages

with WarmStages(Path.cwd(), os.environ) as warm:
    warm.start()
    assert warm.wait()
    subprocess.run([warm.shell, "-c", "python -m benchmark.stages.icl sleep"], env=warm.environment)
"""


def test_nothing_outlives_who_started_it_all(repository: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        **{"cwd": repository, "env": toy.environment(repository), "text": True},
        **{"stdin": subprocess.PIPE, "stdout": subprocess.PIPE},
    ) as holder:
        fork = begun(holder)
        started = psutil.Process(holder.pid).children()
        assert len(started) == 2
        place = Path(psutil.Process(fork["parent"]).cmdline()[-1]).parent
        assert place.exists()
        holder.kill()
        assert all(is_gone(process) for process in (fork["pid"], *(child.pid for child in started)))
        assert not place.exists()


def test_what_a_fork_would_not_know_runs_by_itself(stages: Stages) -> None:
    assert stages.is_forked()
    assert not stages.is_forked(OMP_NUM_THREADS="3")
    module = stages.folder / "tallrec/disk.py"
    content = module.read_bytes()
    module.write_bytes(content + b"# changed\n")
    assert not stages.is_forked()
    module.write_bytes(content)
    assert stages.is_forked()


def test_it_can_be_turned_off(repository: Path) -> None:
    environment = toy.environment(repository) | {COLD_VARIABLE: "1"}
    with WarmStages(repository, environment) as warm:
        warm.start()
        assert warm.environment == environment
        assert not warm.address.exists()


def test_light_stages_are_those_without_a_language_model() -> None:
    sources = {path.stem: path.read_text() for path in (toy.ROOT / "benchmark/stages").glob("[!_]*.py")}
    assert sources.keys() > LIGHT
    of_models = {name for name, source in sources.items() if re.search("^ +from tallrec", source, re.MULTILINE)}
    assert len(of_models) > 5
    assert not of_models & LIGHT
