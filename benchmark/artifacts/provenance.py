"""How a cell came about: code, settings, versions, device, time and memory, in `runs/<cell>.json`.

Apart from the predictions, because it is never the same twice; nothing in the pipeline depends on it.
"""

import functools
import hashlib
import importlib.metadata
import json
import logging
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmark.artifacts import files, paths
from benchmark.schema import Cell

_LOG = logging.getLogger(__name__)

SCHEMA_VERSION = 1

SOURCES = ("benchmark", "baselines", "tallrec", "dvc.yaml", "pyproject.toml", ":!tallrec/dvc.lock")
"""The code behind a result. `params.yaml` is not code: the values that decide are in `settings`, and most runs change
it. `dvc.lock` and the outputs change while the pipeline runs."""

OF_ANOTHER = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE")
"""With these, which git sets for hooks and users for other work, it looks at another repository than the folder's."""

PACKAGES = ("numpy", "pyarrow", "scikit-learn", "torch", "transformers", "peft", "bitsandbytes")


def run_file(cell: Cell, root: str = "runs") -> Path:
    """Where the record of a cell lies."""
    folder = paths.cell_folder(root, cell)
    return folder.with_name(f"{folder.name}.json")


@contextmanager
def recorded(
    cell: Cell, settings: Mapping[str, Any], root: str = "runs", seconds_before: float = 0.0
) -> Generator[dict[str, Any], None, None]:
    """Measure the block and write its record when it ends well; a block that raises leaves no record.

    Args:
        cell: what is run.
        settings: the values that decide the result, as JSON can hold them; their digest tells runs apart.
        root: folder of the records; a cell that two stages work on has one record in each.
        seconds_before: the cell's share of what was done before the block, for many cells together.

    Yields:
        A dict for what only the block knows (n_train, n_updates, model revision, ...). What is measured here
        wins over an entry of the same name.
    """
    started_at, start = datetime.now(UTC), time.perf_counter()
    _reset_device_peak()
    notes: dict[str, Any] = {}
    yield notes
    measured: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "cell": asdict(cell),
        "settings": dict(settings),
        "settings_sha256": digest(settings),
        **_commit(),
        "versions": _versions(),
        "device": _device(),
        "started_at": started_at.isoformat(timespec="seconds"),
        "wall_seconds": seconds_before + time.perf_counter() - start,
        "peak_memory_bytes": _peak_memory_bytes(),
        "peak_device_memory_bytes": _peak_device_memory_bytes(),
    }
    files.write_json(run_file(cell, root), measured | {key: notes[key] for key in notes if key not in measured})


def digest(settings: Mapping[str, Any]) -> str:
    """SHA-256 of `settings` in hexadecimal, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def head_commit(folder: Path) -> tuple[str | None, str]:
    """The checked-out commit, in full; None where git knows none of this folder, and then why, in one line.

    A copy without `.git` may lie inside of another repository, whose commits say nothing of it.
    """
    commit, said = _asked(folder, "log", "-1", "--format=%H", "--no-show-signature")
    is_inside = commit and _asked(folder, "rev-parse", "--show-prefix")[0]
    pipeline = paths.PIPELINES[0]
    if is_inside and (folder / pipeline).exists() and not _asked(folder, "ls-files", str(pipeline))[0]:
        return None, "git knows that of a repository around this folder, which is not in it"
    return commit, said


def git_environment() -> dict[str, str]:
    """The environment without what points git to another repository than that of the folder it is asked in."""
    return {name: value for name, value in os.environ.items() if name not in OF_ANOTHER}


def _asked(folder: Path, *question: str) -> tuple[str | None, str]:
    """What git answers in `folder`; None where it fails or says nothing, and then its own words, in one line."""
    try:
        done = subprocess.run(
            ["git", *question], cwd=folder, env=git_environment(), capture_output=True, text=True, check=False
        )
    except OSError as error:
        return None, "git is not installed" if isinstance(error, FileNotFoundError) else f"git: {error.strerror}"
    said = " ".join(done.stderr.split())
    return (done.stdout.strip() or None, "") if done.returncode == 0 else (None, f"{said:.300}")


@functools.cache
def _commit() -> Mapping[str, str | bool | None]:
    """The checked-out commit, and whether the code differs from it; None where git knows none, which is told once."""
    folder = paths.PIPELINES[0].resolve().parent  # also of a stage that runs ahead, in a folder of links
    commit, problem = head_commit(folder)
    if commit is None:
        _LOG.warning("the records of this run name no commit: %s", problem)
        return {"commit": None, "is_dirty": None}
    changes, problem = _asked(folder, "status", "--porcelain", "--untracked-files=normal", "--", *SOURCES)
    if problem:
        _LOG.warning("the records of this run do not say whether the code is that of %s: %s", commit[:12], problem)
    return {"commit": commit, "is_dirty": None if problem else bool(changes)}


@functools.cache
def _versions() -> Mapping[str, str]:
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _cuda() -> Any | None:
    """`torch.cuda` if the block has used it. Never imports torch."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_initialized() else None


def _device() -> str:
    cuda = _cuda()
    return str(cuda.get_device_name()) if cuda else f"{platform.machine()} CPU, {os.cpu_count()} cores"


def _reset_device_peak() -> None:
    if cuda := _cuda():
        cuda.reset_peak_memory_stats()


def _peak_device_memory_bytes() -> int | None:
    cuda = _cuda()
    return int(cuda.max_memory_allocated()) if cuda else None


def _peak_memory_bytes() -> int:
    """Highest resident memory of the process so far; where it runs many cells, of all up to this one."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, Linux KiB
