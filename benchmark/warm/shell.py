"""The shell that DVC runs commands by: it asks a process with its imports done for a fork, and ends as the fork ends.

DVC knows this process alone. A signal to it goes on to the fork; its death, and that of DVC, is the fork's. It leaves
the group of DVC and the fork joins it, so that a signal to the group, as Ctrl-C is, reaches the stage once. What no
fork is to be had for runs as ever, in the place of this process. Imports nothing but what Python brings.
"""

import contextlib
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

from benchmark.methods.launching import die_with_parent
from benchmark.warm.handing_over import Job, took_over

PLAIN = re.compile(r"python -m benchmark\.stages\.(\w+)((?: [\w.-]+)*)")
"""A command of a stage, without a sign that a shell would read."""
LIGHT = {"raw", "prepare", "draw", "encode", "controls", "baselines", "external", "evaluate", "report"}
"""Stages without a language model: they start in a second or two, and their records tell their own memory alone."""
COLD = "cold"
"""The answer where a fork would not be as good as a fresh process."""
PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


AHEAD = "--ahead"
"""In the place of `-c`: the command is not DVC's own. That of a language model is run by a fork or not at all."""


def write_shell(path: Path, address: Path, jobs: Path, usual: str | None) -> None:
    """Write an executable that is this shell, for `SHELL`.

    Args:
        path: of the executable.
        address: socket of the process to fork.
        jobs: folder of what runs ahead.
        usual: what `SHELL` is outside of the pipeline; stages see this one.
    """
    program = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r}); from benchmark.warm.shell import main; "
        f"main({str(address)!r}, {str(jobs)!r}, {usual!r}, *sys.argv[1:])"
    )
    path.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, "-IS", "-c", program])} "$@"\n')
    path.chmod(0o700)


def main(address: str, jobs: str, usual: str | None, option: str, command: str) -> None:
    """What DVC calls: `-c COMMAND`. Does not return."""
    die_with_parent()
    os.environ.pop("SHELL", None)
    if usual is not None:
        os.environ["SHELL"] = usual
    job = Job.of(Path(jobs), command) if option == AHEAD else None
    if not job:
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell says nothing at Ctrl-C
        with contextlib.suppress(OSError):
            if took_over(Path(jobs), command, Path()):
                os._exit(0)
    plain = PLAIN.fullmatch(command)
    if plain and plain[1] not in LIGHT:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.connect(address)
            stand_for(*ask(connection, command), job)
    arguments = command.split() if plain else ["/bin/sh", "-c", command]
    if job:
        if plain and plain[1] in LIGHT:
            job.end(subprocess.call(arguments, preexec_fn=die_with_parent))
        os._exit(1)
    os.execvp(arguments[0], arguments)  # noqa: S606 - what a shell does


def ask(connection: socket.socket, command: str) -> tuple[bytes, BinaryIO]:
    """Send what a fresh process would inherit; the answer, `COLD` or the fork's number, and where its end is told."""
    os.umask(umask := os.umask(0o077))
    order = {
        **{"command": command, "folder": str(Path.cwd()), "group": os.getpgrp(), "umask": umask},
        "environment": dict(os.environ),
    }
    socket.send_fds(connection, [b"\n"], [0, 1, 2])
    connection.sendall(json.dumps(order).encode() + b"\n")
    told = connection.makefile("rb")
    return told.readline(), told


def stand_for(answer: bytes, told: BinaryIO, job: Job | None) -> None:
    """Pass signals on to the fork, and end as it ends, which a job is told; returns where there is none."""
    if not answer.strip().isdigit():
        return
    fork = int(answer)

    def pass_on(number: int, _: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(fork, number)

    for number in PASSED_ON:
        signal.signal(number, pass_on)
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)
    end = told.readline()
    # Of a fork nothing is told where the process that it came from was killed, which is the fork's death too.
    code = int(end) if end else -signal.SIGKILL
    if job:
        job.end(code)
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)
