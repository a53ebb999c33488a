"""Whose fault it is that a file was not downloaded."""

import errno
from pathlib import Path

import pytest

from benchmark.data import download


@pytest.mark.parametrize(
    ("number", "expected"),
    [(errno.ENOSPC, OSError), (errno.ECONNRESET, download.DownloadError)],
    ids=["disk", "network"],
)
def test_a_full_disk_is_not_told_as_the_networks_fault(
    number: int, expected: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> bool:
        raise OSError(number, "told by the system")

    monkeypatch.setattr(download, "_read_into", failing)
    with pytest.raises(expected, match="told by the system") as caught:
        download.download("http://localhost/u.data", tmp_path / "u.data")
    assert isinstance(caught.value, download.DownloadError) == (expected is download.DownloadError)
