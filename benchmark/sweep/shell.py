"""The shell that DVC and its commands run in during a sweep: nothing outlives what started it.

DVC runs each command by `$SHELL -c COMMAND`. This one passes the death of its parent on to the whole group of the
command (Linux), so that a killed worker leaves no training behind; and it refuses commands where none may run.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmark.methods.launching import die_with_parent

ALLOWED = "TALLREC_BENCH_SWEEP_ALLOWED"
"""Environment: the only commands that may run, as a JSON list. Unset: every command may."""
REFUSED = 86
"""Exit code of a command that was refused."""
REFUSAL = "sweep: not run here: "
ENDED = "sweep: ended in: dvc "
"""Before the name of the command of DVC that failed, on stderr."""


def write_shell(path: Path) -> Path:
    """An executable that is this shell, for `SHELL`."""
    root = Path(__file__).parents[2]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(root)!r})\n"
        "from benchmark.sweep.shell import main\nsys.exit(main(sys.argv[1:]))\n"
    )
    path.chmod(0o755)
    return path.resolve()  # DVC calls it in other folders too, as that of an experiment


def guarded(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `command` in a group of its own that ends with this process, and collect what it prints."""
    return _in_own_group("run(sys.argv[1:])", command, folder, environment)


def guarded_dvc(
    commands: Sequence[Sequence[str]], folder: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run commands of DVC one after the other, up to one that fails; as `guarded`, and all in one process.

    To start Python and DVC takes longer than what the commands of a cell do.
    """
    listed = json.dumps([list(command) for command in commands])
    return _in_own_group("run_dvc(sys.argv[1])", [listed], folder, environment)


def _in_own_group(
    call: str, arguments: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Call a function of this module in a process that leads a group."""
    root = str(Path(__file__).parents[2])
    program = f"import sys; sys.path.insert(0, {root!r}); from benchmark.sweep.shell import *; sys.exit({call})"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=folder,
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    )


def run_dvc(commands: str) -> int:
    """The commands in this process, which its parent's death ends; what DVC runs then ends by `run`."""
    die_with_parent()
    dvc: Any = import_module("dvc.cli").main  # what the console script `dvc` calls
    for command in json.loads(commands):
        code = dvc(command)
        if code:
            print(f"{ENDED}{command[0]}", file=sys.stderr)
            return code
    return 0


def run(command: Sequence[str]) -> int:
    """Run `command`; the whole group of this process is killed as soon as its parent dies."""

    def end(*_: object) -> None:
        os.killpg(0, signal.SIGKILL)

    signal.signal(signal.SIGTERM, end)
    die_with_parent(signal.SIGTERM)
    code = subprocess.Popen(command).wait()
    return 128 - code if code < 0 else code


def main(arguments: Sequence[str]) -> int:
    """What DVC calls: `-c COMMAND`."""
    command = arguments[-1]
    allowed = os.environ.get(ALLOWED)
    if allowed is not None and command not in json.loads(allowed):
        print(f"{REFUSAL}{command}", file=sys.stderr)
        return REFUSED
    return run(["/bin/sh", "-c", command])
