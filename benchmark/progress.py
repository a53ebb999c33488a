"""Progress of long work, how fast it goes and the time left: a bar on a terminal, lines in a log; and of all stages."""

import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping
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
"""Lines of one piece of work where there is no terminal, or more: one in `EVERY_SECONDS`."""
EVERY_SECONDS = 30.0
MODEL_PIPELINE = "tallrec/dvc.yaml:"
"""Before the names of stages that make the model, as DVC has them."""
PRIOR = 0.25
"""Share of all that is expected, which counts as done as foretold where what stages took corrects the rest."""


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


def spoken(seconds: float) -> str:
    """A time as one would say it: `40 s`, `9 minutes`, `3.5 hours`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:,.0f} hours" if seconds > 100 * 3600 else f"{seconds / 3600:.1f} hours"


class OfAll:
    """Which stage of how many runs, and how long the rest of them will take."""

    def __init__(self, n_stages: int, expected: Mapping[str, tuple[int, float]] | None = None) -> None:
        self.n_stages = n_stages
        self.expected = expected or {}
        """Of each kind of stage, how many there are and the seconds of one; empty while nobody knows."""
        self.running: tuple[str, ...] = ()
        self._n_begun: Counter[str] = Counter()
        self._start, self._took, self._foretold = time.perf_counter(), 0.0, 0.0

    def begin(self, *stages: str) -> None:
        """What ran before is done, and these run."""
        now = time.perf_counter()
        if self.running:
            self._took += now - self._start
            self._foretold += self._seconds_of(self.running)
        self._start, self.running = now, stages
        self._n_begun.update(map(kind_of, stages))

    def skip(self, stage: str) -> None:
        """What ran before is done, and this one is up to date."""
        self.begin()
        self._n_begun[kind_of(stage)] += 1

    def line(self) -> str:
        """E.g. `stage 14 of 55 (tune@rt-movie-16-0), about 9 minutes left of all`."""
        running = ", ".join(stage.removeprefix(MODEL_PIPELINE) for stage in self.running)
        told = f"stage {self._n_begun.total()} of {self.n_stages} ({running})"
        if not self.expected:
            return told
        prior = PRIOR * sum(n * seconds for n, seconds in self.expected.values())
        ratio = (self._took + prior) / (self._foretold + prior)
        later = sum(max(0, n - self._n_begun[kind]) * seconds for kind, (n, seconds) in self.expected.items())
        of_these = ratio * self._seconds_of(self.running) - (time.perf_counter() - self._start)
        return f"{told}, about {spoken(max(0.0, of_these) + ratio * later)} left of all"

    def _seconds_of(self, stages: Iterable[str]) -> float:
        return sum(self.expected.get(kind_of(stage), (0, 0.0))[1] for stage in stages)


def kind_of(stage: str) -> str:
    """`tune` of `tallrec/dvc.yaml:tune@rt-movie-16-0` and of `tune rt movie`."""
    return re.split("[@ ]", stage.removeprefix(MODEL_PIPELINE))[0]


class _Log:
    """Lines at a quarter, half, three quarters and the end of the work, and wherever there was none for long."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.start = time.perf_counter()
        self.n_lines = 0
        self.told = self.start
        self.first: tuple[int, float] | None = None
        """What was done when, by the first call: more than one where an earlier run had begun."""

    def __call__(self, done: int, total: int) -> None:
        now = time.perf_counter()
        before, since = self.first or (0, self.start)
        is_known = done == 1 or self.first is not None
        self.first = self.first or (done, now)
        if done * N_LOG_LINES // total > self.n_lines or now - self.told >= EVERY_SECONDS:
            self.n_lines, self.told = done * N_LOG_LINES // total, now
            line = f"{self.label}: {done}/{total}, {now - self.start:.0f} s"
            if is_known:
                speed = (done - before) / (now - since)
                line += f", {a_second(speed)}, {(total - done) / speed:.0f} s left"
            print(line, file=sys.stderr, flush=True)
