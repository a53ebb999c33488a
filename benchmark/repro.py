"""`tallrec-bench repro`: `dvc repro`, which says which stage of how many runs and how long the rest will take."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.artifacts.paths import PARAMS_YAML
from benchmark.config.pipeline import pipeline_stages, stage_counts
from benchmark.config.reading import read_yaml
from benchmark.progress import EVERY_SECONDS, OfAll, kind_of
from benchmark.warm.ahead import Ahead
from benchmark.warm.shell import LIGHT
from benchmark.warm.starting import WarmStages

BEGUN = re.compile(r"(Running stage|Stage) '([^']+)'")
"""What DVC says of a stage that runs, or that is up to date or cached."""
ENDS = (signal.SIGTERM, signal.SIGHUP)
"""Signals that come to this process alone; Ctrl-C comes to DVC and its stage too."""
NO_ROOM = 1 << 20
"""Free bytes of the disk below which DVC's database of hashes may wait for room, without end and without a word."""


def repro(arguments: Sequence[str]) -> int:
    """Run `dvc repro`, print what it prints, and say on stderr how far it is: at each stage, and every 30 seconds.

    Args:
        arguments: of `dvc repro`.

    Returns:
        Its exit code; as a shell tells it, 128 and the number of the signal, where one ended it.
    """
    params = read_yaml(PARAMS_YAML)
    told, is_done = OfAll(n_stages(Path(), params)), threading.Event()
    here = str(Path(sys.executable).parent)
    environment = {**os.environ, "PATH": f"{here}{os.pathsep}{os.environ.get('PATH', '')}", "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "dvc", "repro", *arguments]
    plan: subprocess.Popen[str] | None = None
    threading.Thread(target=_tick, args=(told, is_done), daemon=True).start()
    with (
        WarmStages(Path(), environment) as warm,
        Ahead(warm, params, is_wanted=not arguments) as ahead,
        subprocess.Popen(command, env=warm.environment, stdout=subprocess.PIPE, text=True) as process,
    ):
        assert process.stdout is not None
        former = {number: signal.signal(number, lambda by, _: process.send_signal(by)) for number in ENDS}
        for line in process.stdout:
            print(line, end="", flush=True)
            if begun := BEGUN.match(line):
                ahead.begin(begun[2])
                if begun[1] == "Stage":
                    told.skip(begun[2])
                else:
                    told.begin(begun[2])
                    if ahead.expects_forks or kind_of(begun[2]) not in LIGHT:
                        warm.start()  # beside this first one, which starts by itself
                    plan = plan or _planned(environment, told)
                    _say(told)
    for number, handler in former.items():
        signal.signal(number, handler)
    is_done.set()
    if plan is not None and plan.poll() is None:
        plan.kill()
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


def _planned(environment: Mapping[str, str], told: OfAll) -> subprocess.Popen[str]:
    """A plan by a process of its own, beside the first stage; without one, time is not told."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmark.planning.foretold"]
    process = subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def read() -> None:
        printed, _ = process.communicate()
        if process.returncode == 0:
            told.expected = {stage: (n, seconds) for stage, (n, seconds) in json.loads(printed).items()}

    threading.Thread(target=read, daemon=True).start()
    return process


def _tick(told: OfAll, is_done: threading.Event) -> None:
    while not is_done.wait(EVERY_SECONDS):
        _say(told)
        if shutil.disk_usage(".").free < NO_ROOM:
            said = (
                "the disk of this folder is full; DVC may wait for room without a word: make some, or end it (Ctrl-C)"
            )
            print(said, file=sys.stderr, flush=True)


def _say(told: OfAll) -> None:
    if told.running:
        print(told.line(), file=sys.stderr, flush=True)


def n_stages(folder: Path, params: Mapping[str, Any]) -> int:
    """Stages that `dvc repro` looks at: all but those that make a model which no other stage needs.

    Args:
        folder: of the pipeline.
        params: the content of `params.yaml`.
    """
    counts = stage_counts(pipeline_stages(folder), params)
    grid = params["grid"]
    needs_model = any(counts.get(stage) for stage in ("score", "probe", "icl", "memorised", "efficiency"))
    needs_adapter = needs_model and ("tallrec" in grid["recipes"] or "alpaca" in grid["icl_models"])
    idle = [stage for stage, is_needed in (("base", needs_model), ("instruct", needs_adapter)) if not is_needed]
    return sum(n for stage, n in counts.items() if stage not in idle)
