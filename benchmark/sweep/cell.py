"""One stage in a clone of its own: restored from the shared run-cache, or run and pushed to it. Knows no engine.

Usage: python -m benchmark.sweep.cell --repository URL --revision REV --clone FOLDER --stage STAGE [-S KEY=VALUE ...]
"""

import argparse
import fcntl
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from io import StringIO
from pathlib import Path
from typing import Any, cast

from ruamel.yaml import YAML

from benchmark.artifacts.provenance import git_environment
from benchmark.config.pipeline import item_of
from benchmark.config.reading import UNREADABLE, read_yaml
from benchmark.errors import CRASH, BenchmarkError, ConfigError, exit_code_of
from benchmark.sweep.shell import ENDED, guarded, guarded_dvc, write_shell

RAN = re.compile(r"^Running stage '(?:dvc\.yaml:)?([^']+)':", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Order:
    """What to run, of which state of the repository."""

    repository: str
    """Address or folder that `git clone` takes."""
    revision: str
    """Full commit id."""
    stage: str
    overrides: tuple[str, ...] = ()
    """Changed values of params.yaml, `key=value`."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a stage."""

    stage: str
    was_run: bool
    """False: it came from the run-cache."""
    others_run: tuple[str, ...]
    """Stages before it that were run here too, because the remote did not have them."""
    seconds: float


class CellError(BenchmarkError):
    """A stage that did not end well; the message begins with its name and a colon."""


def run_cell(order: Order, clone: Path) -> Outcome:
    """Bring `clone` to the revision, make the stage, push what was made and the run-cache.

    Only one cell may run in a clone at a time. What earlier cells of the same revision left there is used.

    Raises:
        CellError: git or DVC failed; with the cause, and where the rest of what they said is. Or another sweep has the
            clone.
    """
    start, clone = time.monotonic(), clone.resolve()
    clone.parent.mkdir(parents=True, exist_ok=True)
    with _lease(order, clone):
        return _made(order, clone, start)


@contextmanager
def _lease(order: Order, clone: Path) -> Generator[None]:
    """The clone for this process alone; the system takes the lock back when the process ends, however that is."""
    place = clone.with_name(f"{clone.name}.lock")
    if clone.exists() and not place.exists():  # what lies there is someone's, and would be removed
        raise CellError(f"{order.stage}: {clone} is no clone that a sweep made; give this one another --clones")
    with place.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CellError(f"{order.stage}: another sweep works in {clone}; give this one another --clones") from None
        yield


def _made(order: Order, clone: Path, start: float) -> Outcome:
    check_out(order, clone)
    # A cell that was killed here leaves locks, which DVC takes for held as long as its process is not reaped.
    (clone / ".dvc" / "tmp" / "rwlock").unlink(missing_ok=True)
    environment = {**git_environment(), "SHELL": str(write_shell(clone / ".git" / "sweep-shell"))}
    # What lies in the clone comes before an installed copy of the package.
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(clone), os.environ.get("PYTHONPATH")]))

    def run(*commands: Sequence[str]) -> list[str]:
        done = guarded_dvc(commands, clone, environment)
        if done.returncode:
            raise _error(order, done, log=clone / ".git" / f"sweep-{order.stage.replace('/', '-')}.log")
        return RAN.findall(done.stdout)

    ran = run(["repro", "--pull", order.stage], ["push", "--run-cache", order.stage])
    others = tuple(stage for stage in ran if stage != order.stage)
    if others:
        run(["push", *others])  # else the next clone makes them again, and differently if they are not deterministic
    return Outcome(order.stage, order.stage in ran, others, time.monotonic() - start)


def overridden(params: Path, overrides: Sequence[str]) -> str:
    """A YAML file with `key=value` pairs set; a value is YAML, as that of `dvc exp run -S`.

    Raises:
        ConfigError: a key is not there, a pair has no `=`, a value is no YAML, or the file is none to read.
    """
    safe: Any = YAML(typ="safe")
    content = read_yaml(params)
    for override in overrides:
        key, is_pair, value = override.partition("=")
        *parents, last = key.split(".")
        section = reduce(item_of, parents, cast(object, content))
        if not is_pair or not isinstance(section, dict) or last not in section:
            raise ConfigError(f"-S {override}: expected a key of {params.name}, `=`, and its value")
        try:
            section[last] = safe.load(value)
        except UNREADABLE as error:
            raise ConfigError(f"-S {override}: not valid YAML: {' '.join(str(error).split())}") from None
    stream = StringIO()
    yaml: Any = YAML()  # the safe one would sort the keys
    yaml.dump(content, stream)
    return stream.getvalue()


def check_out(order: Order, clone: Path) -> None:
    """A clean tree of the revision with the overrides; as it is if the last cell had the same.

    Raises:
        CellError: git failed, in a new clone too.
        ConfigError: as `overridden`.
    """
    state = clone / ".git" / "sweep-state"
    wanted = "\n".join((order.revision, *order.overrides))
    if state.exists() and state.read_text() == wanted:
        return
    state.unlink(missing_ok=True)
    (clone / ".git" / "index.lock").unlink(missing_ok=True)  # of a git that was killed: no other works here
    try:
        _bring_to_revision(order, clone)
    except CellError:  # it may be one that was broken off; it stays until there is another
        new = clone.with_name(f"{clone.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        _bring_to_revision(order, new)
        shutil.rmtree(clone, ignore_errors=True)
        new.rename(clone)
    if order.overrides:
        params = clone / "params.yaml"
        params.write_text(overridden(params, order.overrides))
    state.write_text(wanted)


def _bring_to_revision(order: Order, clone: Path) -> None:
    if not clone.exists():
        _git(order, Path(), "clone", "--quiet", "--no-checkout", order.repository, str(clone))
    _git(order, clone, "fetch", "--quiet", "origin")
    _git(order, clone, "checkout", "--quiet", "--force", "--detach", order.revision)
    # Ignored files too: outputs of a former grid would count where a stage reads the whole folder. What stays is what
    # DVC restores outputs from, and the checkpoints that a stage goes on from.
    _git(order, clone, "clean", "--quiet", "-fdx", "--exclude=/.dvc", "--exclude=/scratch")


def _git(order: Order, folder: Path, *arguments: str) -> None:
    # In a folder that is no whole repository git would take the one around it, which is the user's.
    ceiling = {"GIT_CEILING_DIRECTORIES": str(folder.absolute().parent)}
    done = guarded(["git", *arguments], folder, {**git_environment(), **ceiling})
    if done.returncode:
        raise _error(order, done, name=f"git {arguments[0]}")


def _error(order: Order, done: subprocess.CompletedProcess[str], name: str = "", log: Path | None = None) -> CellError:
    """What failed and why, in one line; all that was said goes to `log`."""
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    ended = [line.removeprefix(ENDED) for line in said if line.startswith(ENDED)]
    said = [line for line in said if not line.startswith(ENDED)]
    name = name or f"dvc {ended[0] if ended else ''}".strip()
    kept = ""
    if log:
        log.write_text("\n".join(said) + "\n")
        kept = f"; all of it in {log}"
    crash = next((line for line in reversed(said) if CRASH.match(line)), "")
    cause = next((line for line in said if line.startswith("error:")), "") or crash
    cause = cause or next((line for line in said if line.startswith("ERROR:")), said[-1] if said else "")
    return CellError(f"{order.stage}: {name} ended with {done.returncode}: {cause}{kept}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one cell; exit code 0, or 2 with what failed on stderr."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("repository", "revision", "stage"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--clone", type=Path, required=True)
    parser.add_argument("-S", "--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    given = parser.parse_args(argv)

    def work() -> None:
        found = run_cell(Order(given.repository, given.revision, given.stage, tuple(given.overrides)), given.clone)
        how = "ran" if found.was_run else "restored"
        print(f"{found.stage}: {how} in {found.seconds:.0f} s", file=sys.stderr)

    return exit_code_of(work)


if __name__ == "__main__":
    sys.exit(main())
