"""How a stage that ran ahead becomes the stage that DVC asks for: files in a folder of its own.

Who runs it ahead (`benchmark/warm/ahead.py`) writes an order, and its shell (`benchmark/warm/shell.py`) the exit code.
The shell that DVC asks waits until it has ended, and moves the outputs to their places. Nothing is handed over whose
inputs have changed since it began. Imports nothing but what Python brings, since the shell does.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

PARAMS = "params.yaml"
SECONDS_BETWEEN_LOOKS = 0.05


@dataclass(frozen=True)
class Job:
    """A stage that runs ahead in a folder that looks like the repository but for its own outputs."""

    folder: Path

    @classmethod
    def of(cls, jobs: Path, command: str) -> "Job":
        """The job of a command below `jobs`, whether there is one or not."""
        return cls(jobs / hashlib.sha256(command.encode()).hexdigest()[:16])

    @property
    def work(self) -> Path:
        """The folder that it runs in."""
        return self.folder / "work"

    @property
    def streams(self) -> tuple[Path, Path]:
        """What it says, on standard output and standard error."""
        return self.folder / "out", self.folder / "err"

    @property
    def order(self) -> Path:
        """What it reads and writes; there once it is begun."""
        return self.folder / "order.json"

    @property
    def running(self) -> Path:
        """A file that it has locked while it runs, so that its end is seen however it ends."""
        return self.folder / "running"

    @property
    def code(self) -> Path:
        """Its exit code; not there where it was killed."""
        return self.folder / "code"

    @property
    def unwanted(self) -> Path:
        """There where DVC has asked for it with other inputs: it is to be ended."""
        return self.folder / "unwanted"

    def end(self, code: int) -> None:
        """Say how it has ended."""
        self.code.write_text(str(code), encoding="utf-8")


@dataclass(frozen=True)
class Inputs:
    """What a stage reads and writes, and a fingerprint of what it reads."""

    deps: Sequence[str]
    outs: Sequence[str]
    fingerprint: str


def prepare(job: Job, repository: Path, deps: Sequence[str], outs: Sequence[str]) -> BinaryIO:
    """Make the folder of a job, with links to all in `repository` but the outputs, and its order last.

    Returns:
        The locked file that its process has to hold open.

    Raises:
        FileExistsError: DVC has asked for the stage already.
    """
    job.folder.mkdir(parents=True)
    try:
        inputs = Inputs(deps, outs, fingerprint(repository, deps))
        _link(repository, job.work, [Path(out).parts for out in outs])
        for stream in job.streams:
            stream.touch()
        running = job.running.open("wb")
        fcntl.flock(running, fcntl.LOCK_EX)
        written = job.order.with_suffix(".new")
        written.write_text(json.dumps(asdict(inputs)), encoding="utf-8")
        written.replace(job.order)
    except OSError:
        shutil.rmtree(job.folder, ignore_errors=True)
        raise
    return running


def fingerprint(repository: Path, deps: Iterable[str]) -> str:
    """A digest of path, size and time of every file below `deps`, and of the values of the run."""
    digest = hashlib.sha256((repository / PARAMS).read_bytes())
    for dep in sorted(deps):
        place = repository / dep
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.is_file() and path.suffix != ".pyc":
                status = path.stat()
                digest.update(f"{path.relative_to(repository)}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return digest.hexdigest()


def _link(source: Path, target: Path, without: Sequence[tuple[str, ...]]) -> None:
    """Links in `target` to all that is in `source` but for the paths `without`, given by their parts."""
    target.mkdir()
    for entry in source.iterdir():
        below = [path[1:] for path in without if path[0] == entry.name]
        if not below:
            (target / entry.name).symlink_to(entry.absolute())
        elif () not in below:
            _link(entry, target / entry.name, below)


def took_over(jobs: Path, command: str, repository: Path) -> bool:
    """Whether a job has done what DVC asks for now: waits for its end, and puts its outputs where they belong.

    False where there is none, where it failed, or where its inputs are others by now. It has ended in any case. What it
    says is passed on as it says it.

    Args:
        jobs: folder of all jobs of this run.
        command: what DVC asks for.
        repository: where DVC runs.
    """
    job = Job.of(jobs, command)
    if _is_ours(job):
        return False
    inputs = Inputs(**json.loads(job.order.read_text(encoding="utf-8")))
    is_wanted = fingerprint(repository, inputs.deps) == inputs.fingerprint
    if not is_wanted:
        job.unwanted.touch()
    with contextlib.ExitStack() as opened:
        running, *streams = (opened.enter_context(path.open("rb")) for path in (job.running, *job.streams))
        while not _is_free(running):
            _tell(streams if is_wanted else ())
            time.sleep(SECONDS_BETWEEN_LOOKS)
        _tell(streams if is_wanted else ())
    is_done = is_wanted and job.code.exists() and job.code.read_text(encoding="utf-8") == "0"
    if is_done:
        for out in inputs.outs:
            _move(job.work / out, repository / out)
    return is_done


def _is_ours(job: Job) -> bool:
    """Whether nobody runs it ahead, nor will from now on; waits for one that is being prepared."""
    while not job.order.exists():
        try:
            job.folder.mkdir(parents=True)
        except FileExistsError:
            if job.unwanted.exists():  # DVC asks again
                return True
            time.sleep(SECONDS_BETWEEN_LOOKS)
        else:
            job.unwanted.touch()
            return True
    return False


def _is_free(running: BinaryIO) -> bool:
    try:
        fcntl.flock(running, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _tell(streams: Sequence[BinaryIO]) -> None:
    """Pass on what a job has said since."""
    for number, stream in enumerate(streams, start=1):
        said = stream.read()
        while said:
            said = said[os.write(number, said) :]


def _move(source: Path, target: Path) -> None:
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(source, target)
