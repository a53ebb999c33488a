"""A shell for DVC that forks the commands of stages from a process with torch imported, so that tests wait once for it.

`python warm_shell.py SOCKET` is that process. `python warm_shell.py SOCKET -c COMMAND` asks it for a fork that runs
`python -m benchmark.stages.<stage> ...` in this working directory, with this output, in this process group; it ends as
the fork ends, by SIGKILL too.
"""

import contextlib
import importlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import traceback
from pathlib import Path

PREFIX = ["python", "-m"]
STAGES = (
    *("raw", "prepare", "draw", "encode", "controls", "baselines", "base", "instruct", "tune", "score", "probe", "icl"),
    "others",
    *("memorised", "efficiency", "evaluate", "report"),
)


@contextlib.contextmanager
def warm_shell(top, folder, environment):
    """Start the process for the repository in `folder`; the shell is `top / "shell"`, the address `top / "socket"`."""
    address, shell = str(top / "socket"), top / "shell"
    shell.write_text(f'#!/bin/sh\nexec {sys.executable} -S -E {__file__} {address} "$@"\n')
    shell.chmod(0o755)
    command = [sys.executable, __file__, address]
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout.readline() == "ready\n"
            yield shell
        finally:
            server.kill()


def ask(address, command, folder, streams, group, environment):
    """Start a fork; what it says of itself, and its process id."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        order = {"command": command, "folder": str(folder), "group": group, "environment": environment}
        socket.send_fds(connection, [json.dumps(order).encode()], streams)
        said = connection.makefile("rb")
    return said, int(said.readline())


def end_of(said):
    """Exit code of a fork; that of SIGKILL, negative, if it left none."""
    code = said.read()
    return int(code) if code else -signal.SIGKILL


def serve(address):
    for name in STAGES:
        importlib.import_module(f"benchmark.stages.{name}")
    # What the stages import when they run; none of it starts a thread that a fork would lack.
    for name in (
        "tiny.tokenizer",
        "tiny.pretraining",
        "models.loading",
        "models.adapters",
        "training.tuning",
        "scoring.samples",
        "training.sentinels",
        "prompts.instructions",
        "api.samples",
        "cost.measuring",
    ):
        importlib.import_module(f"tallrec.{name}")
    importlib.import_module("baselines.training")
    importlib.import_module("benchmark.data.download")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(address)
    listening.listen()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # forks are nobody's to wait for
    print("ready", flush=True)
    while True:
        connection, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            carry_out(connection)
        connection.close()


def carry_out(connection):
    message, streams, *_ = socket.recv_fds(connection, 1 << 16, 2)
    order = json.loads(message)
    os.setpgid(0, order["group"])
    for stream, number in zip(streams, (1, 2), strict=True):
        os.dup2(stream, number)
    os.chdir(order["folder"])
    os.environ.update(order["environment"])
    connection.sendall(f"{os.getpid()}\n".encode())
    code = 1
    try:
        words = shlex.split(order["command"])
        assert words[:2] == PREFIX, order["command"]
        code = importlib.import_module(words[2]).main(words[3:])
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 - as the interpreter would show it
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        with contextlib.suppress(BrokenPipeError):  # who asked was killed
            connection.sendall(str(code).encode())
        os._exit(code)


def main():
    address, *rest = sys.argv[1:]
    if not rest:
        serve(address)
    said, _ = ask(address, rest[-1], Path.cwd(), [1, 2], os.getpgrp(), {})
    code = end_of(said)
    if code < 0:
        os.kill(os.getpid(), -code)
    sys.exit(code)


if __name__ == "__main__":
    main()
