"""Mutation fuzzing: inputs that start from valid files, and a count of what became of them.

Each test runs twice: with a few inputs, and marked `harden` with as many as `make harden` promises. Inputs follow from
the name of the reader and a number, so that a failure can be had again by the number that it names.
"""

import random
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from benchmark.errors import BenchmarkError

FEW = 40
SECONDS_AN_INPUT = 30.0
"""More is a hang: a valid file of this size takes milliseconds, deep YAML a second or two on a machine that is free."""
TRIED: dict[str, Counter[str]] = {}
"""Reader -> inputs, refused, slowest (milliseconds)."""


class HangError(BaseException):
    """An input took too long; not an `Exception`, so that no reader can swallow it."""


@pytest.fixture(params=["few", pytest.param("many", marks=pytest.mark.harden)])
def inputs(request: pytest.FixtureRequest) -> Callable[..., int]:
    """How many inputs to try, given how many `make harden` tries, and how `few` otherwise."""
    return lambda many, few=FEW: many if request.param == "many" else min(few, many)


@pytest.fixture
def survive(inputs: Callable[..., int]) -> Callable[..., None]:
    """Runs a reader on hostile inputs: it accepts each or raises a `BenchmarkError` of one line, and never hangs.

    Arguments of what it gives: name, the number of inputs of `make harden`, `make(rng)` for one input, and
    `read(input)`, which also checks that no row is lost.
    """

    def run(name: str, many: int, make: Callable[[random.Random], Any], read: Callable[[Any], object]) -> None:
        counts = TRIED.setdefault(name, Counter())
        former = signal.signal(signal.SIGALRM, _hang)
        try:
            for number in range(inputs(many)):
                hostile = make(random.Random(f"{name} {number}"))
                started = time.perf_counter()
                signal.setitimer(signal.ITIMER_REAL, SECONDS_AN_INPUT)
                try:
                    read(hostile)
                except BenchmarkError as error:
                    counts["refused"] += 1
                    problem = "" if str(error).isprintable() else f"message {str(error)!r:.600}"
                except (Exception, HangError) as error:  # noqa: BLE001 - whatever it is, it is reported
                    places = [(frame.name, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)[-4:]]
                    problem = f"{error!r:.600} in {places}"
                else:
                    problem = ""
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
                if problem:  # without a traceback: after a deep recursion there may be no line to show
                    pytest.fail(f"input {number} of {name}: {problem} from {hostile!r:.1000}", pytrace=False)
                counts["inputs"] += 1
                counts["slowest"] = max(counts["slowest"], round(1000 * (time.perf_counter() - started)))
        finally:
            signal.signal(signal.SIGALRM, former)

    return run


def _hang(_: int, __: FrameType | None) -> None:
    raise HangError(f"longer than {SECONDS_AN_INPUT} s")


def pytest_terminal_summary(terminalreporter: Any) -> Iterator[None] | None:
    """The counts of inputs tried, for docs/reliability.md."""
    if not TRIED:
        return
    terminalreporter.write_sep("-", "hostile inputs")
    terminalreporter.write_line(f"{'reader':<28}{'inputs':>9}{'refused':>9}{'slowest, ms':>13}")
    for name, counts in sorted(TRIED.items()):
        terminalreporter.write_line(f"{name:<28}{counts['inputs']:>9}{counts['refused']:>9}{counts['slowest']:>13}")
    total = sum(counts["inputs"] for counts in TRIED.values())
    terminalreporter.write_line(f"{'all':<28}{total:>9}")
