"""Files of the cache, outputs and DVC's own files are damaged: it is noticed, and everything is made again."""

import os
import random
import stat
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import toy
from trials import Repository, count

pytestmark = pytest.mark.harden
N_FILES = 5
"""Damaged at once, in each way."""


def flip(path: Path, rng: random.Random) -> None:
    """Change one bit and neither size nor time nor mode, as a disk does."""
    status, content = path.stat(), bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(stat.S_IMODE(status.st_mode))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def cut(path: Path, rng: random.Random) -> None:
    """Lose the end, and be read-only as before."""
    mode = stat.S_IMODE(path.stat().st_mode)
    path.chmod(0o644)
    os.truncate(path, rng.randrange(path.stat().st_size))
    path.chmod(mode)


def remove(path: Path, _: random.Random) -> None:
    """Be gone."""
    path.unlink()


WAYS = (flip, cut, remove)


@pytest.fixture
def repository(undisturbed: Repository, tmp_path: Path) -> Repository:
    """A finished run in which DVC knows every file."""
    copied = undisturbed.copy(tmp_path)
    copied.check_finished()
    return copied


def verify(repository: Repository) -> str:
    return toy.run(repository.folder, sys.executable, "-m", "benchmark.cli", "verify", "--mend")


def repeat(repository: Repository) -> None:
    code, said = repository.dvc("repro")
    assert code == 0, said
    repository.check_finished()


def chosen(paths: Sequence[Path], rng: random.Random) -> list[Path]:
    """Some of the files that are not empty."""
    return rng.sample([path for path in paths if path.stat().st_size], N_FILES)


def owner(repository: Repository, path: Path) -> str:
    """The stage that writes an output."""
    inner = path.relative_to(repository.folder)
    (found,) = (stage.name for stage in repository.stages.values() if any(map(inner.is_relative_to, stage.outputs)))
    return found


@pytest.mark.parametrize("damage", WAYS, ids=lambda way: way.__name__)
def test_what_is_made_from_a_damaged_cache_is_the_same(
    repository: Repository, damage: Callable[[Path, random.Random], None]
) -> None:
    rng = random.Random(f"cache {damage.__name__}")
    for path in chosen(list(repository.folder.glob(".dvc/cache/files/md5/??/*")), rng):
        damage(path, rng)
        count(f"cache: {damage.__name__}", "any")
    for name in ("data", "models", "predictions", "runs"):  # all of it has to come from the cache
        toy.run(repository.folder, "rm", "-r", name)
    said = verify(repository)
    assert said.count("damaged, removed") == (0 if damage is remove else N_FILES)
    repeat(repository)


@pytest.mark.parametrize("damage", WAYS, ids=lambda way: way.__name__)
def test_a_damaged_output_is_made_again(repository: Repository, damage: Callable[[Path, random.Random], None]) -> None:
    rng = random.Random(f"output {damage.__name__}")
    for path in chosen(repository.files(), rng):
        damage(path, rng)
        count(f"output: {damage.__name__}", owner(repository, path))
    if damage is flip:
        verify(repository)
    repeat(repository)


def test_dvc_lock_that_ends_anywhere_loses_no_result(repository: Repository) -> None:
    lock, rng = repository.folder / "dvc.lock", random.Random("dvc.lock")
    whole = lock.read_bytes()
    for n_bytes in (0, *(rng.randrange(len(whole)) for _ in range(4))):
        lock.write_bytes(whole[:n_bytes])
        code, said = repository.dvc("repro")
        if code:
            assert "dvc.lock" in said, said
            lock.unlink()  # as docs/reliability.md says
        repeat(repository)
        assert lock.read_bytes() == whole
        count("dvc.lock cut", "dvc", "refused" if code else "made again")


def test_locks_that_a_kill_left_do_not_hinder(repository: Repository) -> None:
    lock = repository.folder / ".dvc/tmp/rwlock"
    for content in ('{"write": {"data": {"pid": 4194304, "cmd": "dvc repro"}}}', '{"wri', ""):
        lock.write_text(content)
        (repository.folder / "results/metrics.csv").unlink()
        code, said = repository.dvc("repro")
        if code:
            assert "rwlock" in said, said
            lock.unlink()  # as docs/reliability.md says
        repeat(repository)
        count("rwlock left", "dvc", "refused" if code else "made again")
