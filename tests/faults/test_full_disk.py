"""Stages and `dvc repro` on a disk of their own that fills up: one clear line, and nothing half is taken for whole."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from trials import STAGES, Repository, count

pytestmark = pytest.mark.harden
PAGE = 4096
MIB = 1 << 20
ROOM = 256 * MIB


class Disk:
    """A file system in memory, and a file in it that takes all the room but some."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.ballast = folder, folder / "ballast"
        mounting = ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tallrec-bench", str(folder)]
        done = subprocess.run(mounting, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.fail(f"a full disk was NOT tried: it needs the right to mount one ({done.stderr.strip()})")

    def leave(self, n_bytes: int) -> None:
        """Fill it but for `n_bytes`, rounded down to whole pages."""
        self.clear()
        status = os.statvfs(self.folder)
        with self.ballast.open("wb") as stream:
            os.posix_fallocate(stream.fileno(), 0, (status.f_bavail - n_bytes // PAGE) * status.f_frsize)

    def clear(self) -> None:
        """Give the room back."""
        self.ballast.unlink(missing_ok=True)

    def unmount(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disk]:
    small = Disk(tmp_path_factory.mktemp("disk"))
    yield small
    small.unmount()


@pytest.fixture(scope="module")
def on_disk(undisturbed: Repository, disk: Disk) -> Repository:
    (disk.folder / "tmp").mkdir()
    return undisturbed.copy(disk.folder)


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_says_that_the_disk_is_full_and_ends_the_same_once_it_is_not(
    on_disk: Repository, disk: Disk, name: str
) -> None:
    stage = on_disk.stages[name]
    places = {"TMPDIR": str(disk.folder / "tmp"), "XDG_CACHE_HOME": str(disk.folder / "cache")}
    n_bytes, code = 0, 2
    while code:
        on_disk.remove_outputs(stage)
        disk.leave(n_bytes)
        code, said = on_disk.run(stage, environment=places)
        disk.clear()
        if code:
            *_, last = said.splitlines()
            assert code == 2, said
            assert last.startswith("error: "), said
            assert "Traceback" not in said
            assert "space" in last or " MB free" in last or "full" in last, said
            on_disk.check_nothing_half()
            again, said = on_disk.run(stage, environment=places)
            assert again == 0, said
            count("disk full", name, "identical")
        on_disk.check_identical()
        n_bytes = max(4 * n_bytes, PAGE)
    assert n_bytes > PAGE, "it was never full"


# How the stages, DVC and the database of its hashes say that there is no room.
NO_ROOM = ("No space left on device", "cannot be written", "disk I/O error", "database or disk is full")


SILENT_SECONDS = 90.0
"""Longer than any stage of the toy grid takes without a word."""


def is_silent(process: "subprocess.Popen[bytes]", log: Path) -> bool:
    """Whether a process neither ends nor prints anything for `SILENT_SECONDS`; told as soon as it does."""
    n_bytes, end = log.stat().st_size, time.monotonic() + SILENT_SECONDS
    while process.poll() is None and log.stat().st_size == n_bytes:
        if time.monotonic() > end:
            return True
        time.sleep(0.1)
    return False


def test_dvc_repro_goes_on_where_the_disk_was_full(undisturbed: Repository, disk: Disk) -> None:
    """DVC's database of hashes may also wait for room, as long as it takes, and then DVC goes on by itself."""
    repository = undisturbed.clone(disk.folder / "fresh")
    n_bytes, code = 16 * PAGE, 1
    while code:
        disk.leave(n_bytes)
        process, waits = repository.start("repro"), False
        while process.poll() is None and not waits:
            waits = is_silent(process, repository.log)
        disk.clear()
        if waits:
            assert not is_silent(process, repository.log), "there is room, and it does not go on"
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)
        code, said = process.wait(), repository.log.read_text()
        if code:
            assert waits or any(words in said for words in NO_ROOM), said
            repository.check_nothing_half()
            began = [line.split("'")[1] for line in said.splitlines() if line.startswith("Running stage")]
            count("dvc repro, disk full", "dvc waits" if waits else began[-1] if began else "dvc")
        n_bytes += n_bytes // 2
    repository.check_finished()
