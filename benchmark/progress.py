"""Progress of long work, how fast it goes and the time left: a bar on a terminal, a few lines in a log."""

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

N_LOG_LINES = 4
"""Lines of one piece of work where there is no terminal."""


@contextmanager
def progress(label: str) -> Generator[Callable[[int, int], None]]:
    """A function to be told how much is done of how much; shown on stderr."""
    if not sys.stderr.isatty():
        yield _Log(label)
        return
    columns = (
        TextColumn(label),
        BarColumn(),
        MofNCompleteColumn(),
        _Speed(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class _Speed(ProgressColumn):
    """What is done a second."""

    def render(self, task: Task) -> str:
        """Empty until two steps are done."""
        return "" if task.speed is None else a_second(task.speed)


def a_second(speed: float) -> str:
    """How many a second, in a few characters."""
    return f"{speed:,.0f}/s" if speed >= 10 else f"{speed:.2g}/s"


class _Log:
    """Lines at a quarter, half, three quarters and the end of the work."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.start = time.perf_counter()
        self.n_lines = 0
        self.first: tuple[int, float] | None = None
        """What was done when, by the first call: more than one where an earlier run had begun."""

    def __call__(self, done: int, total: int) -> None:
        now = time.perf_counter()
        before, since = self.first or (0, self.start)
        is_known = done == 1 or self.first is not None
        self.first = self.first or (done, now)
        if done * N_LOG_LINES // total > self.n_lines:
            self.n_lines = done * N_LOG_LINES // total
            line = f"{self.label}: {done}/{total}, {now - self.start:.0f} s"
            if is_known:
                speed = (done - before) / (now - since)
                line += f", {a_second(speed)}, {(total - done) / speed:.0f} s left"
            print(line, file=sys.stderr, flush=True)
