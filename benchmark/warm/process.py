"""The process that stages are forked from: `python -m benchmark.warm.process ADDRESS`, ADDRESS a socket that it makes.

It imports what language models and baselines need, once, and starts no thread, so that a fork can do whatever a fresh
process could. A client (`benchmark/warm/shell.py`) gives one order by a connection and keeps it open: who closes it has
died, and its fork is killed. A fork dies with this process too, which ends when its own standard input does.
"""

import contextlib
import gc
import hashlib
import importlib
import json
import os
import pkgutil
import re
import runpy
import selectors
import shutil
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import cast

import numpy

from benchmark.methods.launching import die_with_parent
from benchmark.warm.shell import COLD, PLAIN

PACKAGES = ("benchmark", "baselines", "tallrec")
OF_ONE_COMMAND = re.compile("DVC_.*|SHLVL|PWD|OLDPWD|_")
"""Variables that may differ from those of this process: no library reads them when it is imported."""
HARMLESS_THREAD = "jemalloc_bg_thd"
"""Of pyarrow's allocator, which is made for forks: in one it goes on without its thread."""
SECONDS_OF_AN_ORDER = 5.0
"""After which a client that has not said all is left to itself."""


def main(address: str) -> None:
    """Serve until standard input ends; in each fork, become the stage."""
    environment, sources = dict(os.environ), digests(Path())
    import_all()
    if can_fork() and (order := next_order(address, environment, sources)):
        become(order)


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every module below `folder`, by path: a fork runs what was imported, whatever lies there by then."""
    paths = (path for package in PACKAGES for path in (folder / package).rglob("*.py"))
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def import_all() -> None:
    """Import what a stage imports when it runs, as far as it is installed."""
    importlib.import_module("benchmark.stages")  # which has the collector look less often
    for name in PACKAGES[1:]:
        package = importlib.import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            with contextlib.suppress(ModuleNotFoundError):  # of another distribution
                importlib.import_module(module.name)
    gc.collect()
    gc.freeze()  # all of it stays; no fork looks through it


def can_fork() -> bool:
    """Whether a fork is as good as a fresh process: no GPU, which libraries touch when imported, and no threads."""
    import torch

    if torch.cuda.is_available():
        return False
    if (child := os.fork()) == 0:
        os._exit(0)
    os.waitpid(child, 0)  # before a fork OpenBLAS ends its threads, and starts them where they are needed
    others = [task for task in Path("/proc/self/task").iterdir() if int(task.name) != os.getpid()]
    return all((task / "comm").read_text().strip() == HARMLESS_THREAD for task in others)


@dataclass(frozen=True)
class Order:
    """What a fresh process would inherit."""

    command: str
    folder: str
    group: int
    umask: int
    environment: Mapping[str, str]
    streams: tuple[int, ...]
    """Descriptors of standard input, output and error."""


@dataclass
class _Fork:
    process: int
    client: socket.socket
    ended: int
    """Descriptor that can be read once the process has ended."""

    def close(self) -> None:
        _close(self.client, self.ended)


def _close(client: socket.socket, *descriptors: int) -> None:
    client.close()
    for descriptor in descriptors:
        os.close(descriptor)


def next_order(address: str, environment: Mapping[str, str], sources: Mapping[str, str]) -> Order | None:
    """Take orders. Returns in each fork, with the order that is its own, and None here at the end of standard input.

    Args:
        address: of the socket; whoever finds it there is answered.
        environment: of the imports; an order from another one is left to a fresh process.
        sources: `digests` before the imports; an order in a folder with others is left to a fresh process.
    """
    forks: list[_Fork] = []
    # Not epoll, which a fork would share with this process.
    with socket.socket(socket.AF_UNIX) as listening, selectors.PollSelector() as selector:
        listening.bind(unready := f"{address}.unready")
        listening.listen()
        Path(unready).rename(address)
        selector.register(listening, selectors.EVENT_READ)
        selector.register(0, selectors.EVENT_READ)
        while True:
            (key, _), *_ = selector.select()
            if key.fileobj == 0:  # who started this has died
                shutil.rmtree(Path(address).parent, ignore_errors=True)
                return None
            if isinstance(key.data, _Fork):
                _attend(key.data, selector, forks)
                continue
            client, _ = listening.accept()
            order = _received(client)
            if not order:
                client.close()
                continue
            if not _is_as_here(order, environment, sources):
                _tell(client, COLD)
                _close(client, *order.streams)
                continue
            parent, process = os.getpid(), os.fork()
            if process == 0:
                die_with_parent(parent=parent)
                client.close()
                for fork in forks:
                    fork.close()
                return order
            fork = _Fork(process, client, os.pidfd_open(process))
            forks.append(fork)
            selector.register(fork.client, selectors.EVENT_READ, fork)
            selector.register(fork.ended, selectors.EVENT_READ, fork)
            _tell(client, process)
            for stream in order.streams:
                os.close(stream)


def _received(client: socket.socket) -> Order | None:
    """The order of a client; None where it went away."""
    client.settimeout(SECONDS_OF_AN_ORDER)
    streams: list[int] = []
    try:
        _, streams, *_ = socket.recv_fds(client, 1, 3)
        with client.makefile("rb") as said:
            return Order(**json.loads(said.readline()), streams=tuple(streams))
    except (OSError, ValueError):
        for stream in streams:
            os.close(stream)
        return None


def _is_as_here(order: Order, environment: Mapping[str, str], sources: Mapping[str, str]) -> bool:
    """Whether a fresh process would import in the same environment what was imported here."""
    different = {name for name, _ in environment.items() ^ order.environment.items()}
    return all(map(OF_ONE_COMMAND.fullmatch, different)) and digests(Path(order.folder)) == sources


def _attend(fork: _Fork, selector: selectors.BaseSelector, forks: list[_Fork]) -> None:
    """Kill a fork whose client has died, and tell the client of one that has ended."""
    process, status = os.waitpid(fork.process, os.WNOHANG)
    if not process:
        os.kill(fork.process, signal.SIGKILL)
        _, status = os.waitpid(fork.process, 0)
    _tell(fork.client, os.waitstatus_to_exitcode(status))
    selector.unregister(fork.client)
    selector.unregister(fork.ended)
    forks.remove(fork)
    fork.close()


def _tell(client: socket.socket, answer: int | str) -> None:
    with contextlib.suppress(OSError):  # it has died, which the selector says next
        client.sendall(f"{answer}\n".encode())


def become(order: Order) -> None:
    """Run the module of an order in this fork as if Python had just been started for it."""
    os.setpgid(0, order.group)
    for number, stream in enumerate(order.streams):
        os.dup2(stream, number)
        os.close(stream)
    out = cast("TextIOWrapper", sys.stdout)
    out.reconfigure(line_buffering=out.isatty() and not out.write_through)
    os.umask(order.umask)
    os.chdir(order.folder)
    for name in {*os.environ} - {*order.environment}:
        if OF_ONE_COMMAND.fullmatch(name):
            del os.environ[name]
    os.environ.update(order.environment)
    # As in each new process; `random` sees to that by itself.
    numpy.random.seed()  # noqa: NPY002
    sys.modules["torch"].default_generator.seed()
    matched = PLAIN.fullmatch(order.command)
    assert matched, order.command
    sys.argv[1:] = matched[2].split()
    runpy.run_module(f"benchmark.stages.{matched[1]}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1])
