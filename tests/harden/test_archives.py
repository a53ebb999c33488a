"""Hostile archives: nothing is written outside the folder, and what cannot be read is refused in one line."""

import io
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

from mutation import mutated

from benchmark.data.sources import SourceFile, _extract


def archive() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as members:
        members.writestr("set/ratings.csv", b"userId,movieId\n" * 50)
        members.writestr("../outside.txt", b"never written")
        members.writestr("/outside.txt", b"never written")
    return stream.getvalue()


def test_a_hostile_archive_gives_its_member_or_is_refused(repository: Path, survive: Callable[..., None]):
    folder, path, valid = repository / "raw", repository / "set.zip", archive()
    folder.mkdir()
    file = SourceFile("set/ratings.csv", "http://127.0.0.1/set.zip", None, archive_member="set/ratings.csv")

    def read(hostile: bytes) -> None:
        path.write_bytes(hostile)
        _extract(path, file, folder / file.name)
        assert (folder / file.name).stat().st_size <= 50 * len(b"userId,movieId\n")

    read(valid)

    def make(rng: random.Random) -> bytes:
        return mutated(rng, valid)

    survive("zip archive", 5_000, make, read)
    assert {item.name for item in repository.iterdir()} == {"raw", "set.zip"}
    assert {item.name for item in folder.iterdir()} == {"ratings.csv"}
