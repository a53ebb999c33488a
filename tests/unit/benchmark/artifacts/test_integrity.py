"""What DVC keeps is read and compared with the hashes in its names; DVC itself does not notice."""

import os
import stat
from pathlib import Path

import pytest
from dvc.repo import Repo
from typer.testing import CliRunner

from benchmark.artifacts.integrity import cached_files
from benchmark.cli import app

PIPELINE = """stages:
  made:
    cmd: mkdir -p data/made && cp source data/made/one && echo 2 > data/made/two
    deps: [source]
    outs: [data/made]
"""


def reproduced() -> list[str]:
    """Names of the stages that DVC runs or restores."""
    with Repo() as repo:
        return [stage.addressing for stage in repo.reproduce()]


@pytest.fixture
def made(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository in which DVC has run one stage."""
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(repository / "site"))
    Repo.init(no_scm=True).close()
    Path("source").write_text("1\n")
    Path("dvc.yaml").write_text(PIPELINE)
    assert reproduced() == ["made"]
    return repository


def flip(path: Path) -> None:
    """Change one bit and neither size nor time nor mode, as a disk does."""
    status = path.stat()
    path.chmod(0o644)
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
    path.chmod(stat.S_IMODE(status.st_mode))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def verify(*options: str) -> tuple[int, list[str]]:
    result = CliRunner().invoke(app, ["verify", *options])
    return result.exit_code, result.stdout.splitlines()


@pytest.mark.parametrize("options", [[], ["--mend"]])
def test_a_changed_file_outside_is_named_with_what_reads_it_again(
    made: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    monkeypatch.setattr("benchmark.doctor.outside.changed_files", lambda _: [(Path("mirror/ratings.csv"), "raw@movie")])
    code, lines = verify(*options)
    assert code == 1
    assert lines[-1] == "mirror/ratings.csv: changed since it was read; `dvc repro -f -s raw@movie` reads it again"


@pytest.mark.slow
def test_what_a_disk_lost_is_found_and_made_again(made: Path) -> None:
    folder = Path(".dvc/cache/files/md5")
    (cached,) = (path for path in cached_files(folder) if path.read_bytes() == b"1\n")
    flip(cached)
    (folder / cached.parent.name / "x_0-broken-off").touch()
    one, two = Path("data/made/one"), Path("data/made/two")
    # What `verify` is for: DVC takes both for what it has made.
    one.unlink()
    assert reproduced() == ["made"]
    assert one.read_bytes() == b"0\n"
    flip(two)
    assert reproduced() == []

    code, lines = verify()
    assert code == 1
    assert lines[0].endswith(f"{cached}: damaged")
    assert lines[1] == "cache: 3 files, 1 damaged"
    assert cached.exists()
    assert verify("--mend")[0] == 0
    assert not cached.exists()
    assert reproduced() == ["made"]
    assert (one.read_bytes(), two.read_bytes()) == (b"1\n", b"2\n")

    # A kill while DVC writes its lock file leaves a part of it.
    lock = Path("dvc.lock")
    whole = lock.read_bytes()
    lock.write_bytes(whole[:50])
    assert verify() == (1, ["dvc.lock: damaged", "cache: 3 files, 0 damaged"])
    assert verify("--mend") == (0, ["dvc.lock: damaged, removed", "cache: 3 files, 0 damaged"])
    assert reproduced() == ["made"]
    assert lock.read_bytes() == whole
    locks = Path(".dvc/tmp/rwlock")
    locks.write_text("{")
    assert verify("--mend") == (0, [".dvc/tmp/rwlock: damaged, removed", "cache: 3 files, 0 damaged"])
    assert reproduced() == []
    assert verify() == (0, ["cache: 3 files, 0 damaged"])


@pytest.mark.slow
def test_a_lock_file_that_is_cut_at_the_end_of_a_line_is_mended_or_read(made: Path) -> None:
    lock = Path("dvc.lock")
    whole = lock.read_bytes()
    mended = 0
    for end in (n + 1 for n, byte in enumerate(whole) if byte == ord("\n")):
        lock.write_bytes(whole[:end])
        code, lines = verify("--mend")
        assert code == 0
        mended += lines[0] == "dvc.lock: damaged, removed"
        reproduced()
        assert reproduced() == []
        assert Path("data/made/one").read_bytes() == b"1\n"
    assert 0 < mended < whole.count(b"\n")


def test_outside_of_a_repository_it_says_so(repository: Path) -> None:
    result = CliRunner().invoke(app, ["verify"])
    assert (result.exit_code, result.stderr) == (2, "error: .dvc/: not here; run in the repository root\n")
