"""Whether what DVC keeps is what it was: each cached file against the hash that it is named by.

DVC reads a cached file again only if the file is writable, and an output only if its size or its time has changed. A
bit that a disk has lost would pass unnoticed into every later result.
"""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

from benchmark.artifacts.paths import PIPELINES
from benchmark.errors import DataError, last_words

OUTPUTS = ("data", "models", "predictions", "results", "runs")
"""Folders that the outputs of all stages lie in."""


def cache_folder(root: Path) -> Path:
    """Where DVC keeps files by their hashes, for the repository at `root`.

    Raises:
        DataError: there is no repository of DVC, or DVC cannot say it.
    """
    if not (root / ".dvc").is_dir():
        raise DataError(".dvc/: not here; run in the repository root")
    command = [sys.executable, "-m", "dvc", "cache", "dir"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DataError(f"dvc cache dir: {last_words(done.stderr)}")
    return root / done.stdout.strip() / "files" / "md5"


def damaged_files(root: Path) -> tuple[int, list[Path]]:
    """How many files DVC keeps for the repository at `root`, and those of them that are damaged.

    Raises:
        DataError: there is no repository of DVC, or DVC cannot say where its cache is.
    """
    cached = cached_files(cache_folder(root))
    return len(cached), [path for path in cached if is_damaged(path)]


def cached_files(folder: Path) -> list[Path]:
    """Every file below `folder` that has a hash for its name; copies that were broken off have none."""
    return sorted(path for path in folder.glob("??/*") if _hash_in(path).isalnum())


def is_damaged(path: Path) -> bool:
    """Whether a cached file is another one than its name says."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest() != _hash_in(path)


def _hash_in(path: Path) -> str:
    """The MD5 in the name of a cached file; that of a list of files ends in `.dir`."""
    return path.parent.name + path.name.removesuffix(".dir")


def cut_files(root: Path) -> list[Path]:
    """Files that DVC writes in place, which a kill can leave cut so that it cannot read them any more.

    These are the locks of the pipeline and a list of locks. A `dvc.lock` cut between two entries is one that DVC goes
    on from.
    """
    locks = root / ".dvc" / "tmp" / "rwlock"
    of_pipeline = [(root / path).with_suffix(".lock") for path in PIPELINES]
    cut = [lock for lock in of_pipeline if lock.exists() and not _is_readable(lock)]
    try:
        if locks.exists():
            json.loads(locks.read_bytes())
    except ValueError:
        cut.append(locks)
    return cut


def _is_readable(lock: Path) -> bool:
    """Whether DVC can read this `dvc.lock`, which ends in a line feed when it is whole."""
    from dvc.exceptions import DvcException  # pyright: ignore[reportMissingTypeStubs]
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA  # pyright: ignore[reportMissingTypeStubs]
    from dvc.utils import strictyaml  # pyright: ignore[reportMissingTypeStubs]

    try:
        strictyaml.load(str(lock), COMPILED_LOCKFILE_SCHEMA)  # pyright: ignore[reportUnknownMemberType]
    except DvcException:
        return False
    return lock.read_bytes().endswith(b"\n")


def renew_times(root: Path) -> None:
    """Give every output a new time, so that DVC reads it again instead of trusting what it knows of it."""
    for name in OUTPUTS:
        for path in (root / name).rglob("*"):
            if path.is_file():
                os.utime(path)
