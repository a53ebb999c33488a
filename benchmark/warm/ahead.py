"""Runs stages before DVC asks for them, on the cores that its one stage leaves idle.

DVC runs one stage after the other. Most of them wait for no other of their kind, so the next ones run meanwhile, each
in a folder of its own (`benchmark/warm/handing_over.py`). DVC then asks for each in its own order, by its own command,
and finds the outputs there: its lock, its cache and what it prints are as ever.
"""

import contextlib
import os
import shutil
import subprocess
import threading
from collections.abc import Mapping, Sequence, Set
from pathlib import Path, PurePath
from typing import Any

from benchmark.artifacts.paths import BASE_MODEL
from benchmark.config.pipeline import Stage, locked_stages, unfolded
from benchmark.errors import BenchmarkError
from benchmark.progress import kind_of
from benchmark.warm.handing_over import Job, prepare
from benchmark.warm.shell import AHEAD, LIGHT
from benchmark.warm.starting import JOBS, WarmStages

KINDS = ("prepare", "encode", "controls", "baselines", "tune", "score", "probe", "icl")
"""Stages that run ahead, in this order: those of which there are many. None asks a server or loads a file from
elsewhere."""
ALONE = ("base", "efficiency")
"""While one of these runs, none is begun: it takes all cores, or it measures."""
SECONDS_BETWEEN_LOOKS = 0.1
MEMORY = 1 << 30
"""Bytes that a process of the smallest model takes."""
TIMES_THE_WEIGHTS = 6
"""What the tuning of a model takes beside that, in sizes of its weights on the disk: Gemma 3 270M takes 5.3."""
SHARE_OF_MEMORY = 0.8


class Ahead:
    """A thread that runs stages ahead until it is ended.

    Args:
        warm: whose forks are used; without them nothing runs ahead.
        params: the content of `params.yaml`.
        is_wanted: whether anything is to run ahead.
    """

    def __init__(self, warm: WarmStages, params: Mapping[str, Any], *, is_wanted: bool) -> None:
        self._warm, self._lock, self._is_ended = warm, threading.Lock(), threading.Event()
        self._n_threads, self._stages, self._known = 1, list[Stage](), set[str]()
        with contextlib.suppress(BenchmarkError, LookupError, TypeError, AttributeError):  # which DVC or a stage tells
            self._n_threads = params["llm"]["n_threads"]
            if is_wanted:
                self._known, self._stages = {*locked_stages(Path())}, [*unfolded(Path(), params)]
        self._waits_for = _waits_for(self._stages)
        self._stages = sorted(
            (stage for stage in self._stages if stage.name in self._waits_for),
            key=lambda stage: KINDS.index(kind_of(stage.name)),
        )
        self._passed: set[str] = set()
        self._running = ""
        self._begun: set[str] = set()
        self._jobs: dict[str, tuple[Job, subprocess.Popen[bytes]]] = {}
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Ahead":
        for left in JOBS.glob("*"):  # by a run that was killed
            if not Path("/proc", left.name).exists():
                shutil.rmtree(left, ignore_errors=True)
        if self._stages and self._warm.is_wanted:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_ended.set()
        if self._thread.is_alive():
            self._thread.join()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _folder(self) -> Path:
        return self._warm.jobs

    @property
    def expects_forks(self) -> bool:
        """Whether DVC will certainly come to a stage of a language model."""
        return any(kind_of(name) not in LIGHT and name not in self._known for name in self._waits_for)

    def begin(self, stage: str) -> None:
        """DVC is past what it ran before, and runs this one."""
        with self._lock:
            self._passed.add(self._running)
            self._running = stage

    def _run(self) -> None:
        while not self._is_ended.wait(SECONDS_BETWEEN_LOOKS):
            self._end_unwanted()
            with self._lock:
                stage = self._next()
            if stage:
                with contextlib.suppress(OSError):  # of a full disk; what was not begun DVC runs by itself
                    self._start(stage)
        for _, process in self._jobs.values():
            process.kill()  # its fork dies with it
            process.wait()

    def _end_unwanted(self) -> None:
        for job, process in self._jobs.values():
            if process.poll() is None and job.unwanted.exists():
                process.kill()

    def _next(self) -> Stage | None:
        """What can run now: none that has run before, since DVC may find it up to date or in its cache."""
        if kind_of(self._running) in ALONE:
            return None
        begun = self._passed | self._begun | self._known | {self._running}
        return next((stage for stage in self._stages if self._is_next(stage, begun) and self._has_room(stage)), None)

    def _is_next(self, stage: Stage, begun: Set[str]) -> bool:
        """Whether DVC has not come to it, and is past all that makes what it reads."""
        return stage.name not in begun and self._waits_for[stage.name] <= self._passed

    def _has_room(self, stage: Stage) -> bool:
        """Whether cores and memory are left beside the stage of DVC, which may be waiting for one that runs ahead."""
        n_threads, weights = 1, 0
        if kind_of(stage.name) not in LIGHT:
            n_threads, weights = self._n_threads, sum(path.stat().st_size for path in BASE_MODEL.glob("*.safetensors"))
            if not weights or not self._warm.is_ready:  # a model of the Hub, of any size; or no fork to be had
                return False
        memory = SHARE_OF_MEMORY * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        n_most = min(len(os.sched_getaffinity(0)) // n_threads, int(memory / (MEMORY + TIMES_THE_WEIGHTS * weights)))
        running = {name for name, (_, process) in self._jobs.items() if process.poll() is None}
        return len(running | {self._running}) < n_most

    def _start(self, stage: Stage) -> None:
        job = Job.of(self._folder, stage.command)
        self._begun.add(stage.name)
        with (
            prepare(job, Path(), stage.deps, stage.outs) as running,
            job.streams[0].open("wb") as out,
            job.streams[1].open("wb") as err,
        ):
            process = subprocess.Popen(
                [self._warm.shell, AHEAD, stage.command],
                cwd=job.work,
                env={**self._warm.environment, "DVC_STAGE": stage.name},
                pass_fds=[running.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )
        self._jobs[stage.name] = job, process


def _waits_for(stages: Sequence[Stage]) -> dict[str, set[str]]:
    """Of each stage that may run ahead, the stages that make what it reads."""
    makers = {out: stage.name for stage in stages for out in stage.outs}
    parts = {out: PurePath(out).parts for out in makers}
    found: dict[str, set[str]] = {}
    for stage in stages:
        if kind_of(stage.name) in KINDS:
            read = [PurePath(dep).parts for dep in stage.deps]
            found[stage.name] = {makers[out] for out in makers if any(_overlap(parts[out], dep) for dep in read)}
    return found


def _overlap(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether two paths are the same or one lies in the other."""
    return all(first == second for first, second in zip(one, other, strict=False))
