import errno
import hashlib
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from benchmark.data.sources import SourceFile, chosen_mirror, describe_embedded, fetch, read_manifest
from benchmark.errors import DataError

CONTENT = bytes(range(256)) * 500
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server:
    """Serves files from a dictionary, records the ranges asked for, and can break off."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.ranges: list[str | None] = []
        self.knows_ranges = True
        self.stops_after: int | None = None
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked = self.headers.get("Range")
                server.ranges.append(asked)
                content = server.files.get(self.path)
                if content is None:
                    self.send_error(404)
                    return
                start = 0
                if asked and server.knows_ranges:
                    start = int(asked.removeprefix("bytes=").removesuffix("-"))
                    if start >= len(content):
                        self.send_error(416)
                        return
                    self.send_response(206)
                    self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
                else:
                    self.send_response(200)
                self.send_header("Content-Length", str(len(content) - start))
                self.end_headers()
                self.wfile.write(content[start : server.stops_after])

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    running = Server()
    thread = threading.Thread(target=running.http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield running
    running.http.shutdown()
    running.http.server_close()


def source(server: Server, name: str = "ratings.csv", sha256: str | None = SHA256, **keys: str) -> SourceFile:
    server.files.setdefault(f"/{name}", CONTENT)
    return SourceFile(f"set/{name}", f"{server.address}/{name}", sha256, **keys)


def test_a_file_comes_from_its_address_with_a_manifest_without_machine_paths(server: Server, tmp_path: Path):
    folder = tmp_path / "raw/movie"
    fetch([source(server)], folder, mirror=None)
    assert (folder / "ratings.csv").read_bytes() == CONTENT
    assert read_manifest(folder) == {"ratings.csv": {"sha256": SHA256, "origin": "official", "stand_in": None}}
    assert str(tmp_path) not in (folder / "manifest.json").read_text()
    assert [path.name for path in (tmp_path / "raw").iterdir()] == ["movie"]


def test_a_broken_download_is_taken_up_where_it_stopped(server: Server, tmp_path: Path):
    file, folder = source(server), tmp_path / "raw/movie"
    server.stops_after = 1000
    with pytest.raises(DataError, match=r"set/ratings\.csv: could not download"):
        fetch([file], folder, mirror=None)
    assert not folder.exists()
    server.stops_after = None
    fetch([file], folder, mirror=None)
    assert server.ranges == [None, "bytes=1000-"]
    assert (folder / "ratings.csv").read_bytes() == CONTENT


@pytest.mark.parametrize("obstacle", ["no ranges", "changed file"])
def test_a_download_starts_again_where_it_cannot_go_on(server: Server, tmp_path: Path, obstacle: str):
    file, folder = source(server, sha256=None), tmp_path / "raw/movie"
    server.stops_after = 1000
    with pytest.raises(DataError):
        fetch([file], folder, mirror=None)
    server.stops_after = None
    if obstacle == "no ranges":
        server.knows_ranges = False
    else:
        server.files["/ratings.csv"] = CONTENT[:700]
    fetch([file], folder, mirror=None)
    assert (folder / "ratings.csv").read_bytes() == server.files["/ratings.csv"]


@pytest.mark.parametrize("path", ["/nothing-here.csv", None])
def test_without_the_file_the_message_says_the_address_and_the_way_by_hand(
    server: Server, tmp_path: Path, path: str | None
):
    if path is None:
        server.http.server_close()
    url = f"{server.address}{path or '/ratings.csv'}"
    with pytest.raises(DataError) as caught:
        fetch([SourceFile("set/ratings.csv", url, SHA256)], tmp_path / "raw/movie", mirror=None)
    message = str(caught.value)
    assert url in message
    assert "mirror folder as set/ratings.csv" in message
    assert "TALLREC_BENCH_MIRROR" in message
    assert "\n" not in message


def test_an_archive_gives_its_named_members_once_downloaded_and_nothing_else(server: Server, tmp_path: Path):
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr("inner/u.data", CONTENT)
        members.writestr("inner/u.item", b"titles")
        members.writestr("../outside.txt", b"never written")
    server.files["/set.zip"] = archive.read_bytes()
    archive.unlink()
    url = f"{server.address}/set.zip"
    folder = tmp_path / "raw/movie"
    wanted = [
        SourceFile("set/u.data", url, SHA256, archive_member="inner/u.data"),
        SourceFile("set/u.item", url, None, archive_member="inner/u.item"),
    ]
    fetch(wanted, folder, mirror=None)
    assert {path.name for path in folder.iterdir()} == {"u.data", "u.item", "manifest.json"}
    assert (folder / "u.data").read_bytes() == CONTENT
    assert len(server.ranges) == 1
    assert not list(tmp_path.rglob("outside.txt"))
    with pytest.raises(DataError, match=r"has no inner/u\.user"):
        fetch([SourceFile("set/u.user", url, None, archive_member="inner/u.user")], folder, mirror=None)
    server.files["/set.zip"] = b"no archive"
    with pytest.raises(DataError, match="not a readable zip"):
        fetch(wanted, folder, mirror=None)


@pytest.mark.parametrize("reason", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO])
def test_a_disk_that_fails_while_unpacking_keeps_the_download(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: int
):
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr("u.data", CONTENT)
    server.files["/set.zip"] = archive.read_bytes()
    file = SourceFile("set/u.data", f"{server.address}/set.zip", SHA256, archive_member="u.data")

    def fail(*_: object) -> None:
        raise OSError(reason, "the disk")

    with monkeypatch.context() as patch:
        patch.setattr("shutil.copyfileobj", fail)
        with pytest.raises(OSError, match="the disk"):
            fetch([file], tmp_path / "raw/movie", mirror=None)
    fetch([file], tmp_path / "raw/movie", mirror=None)
    assert len(server.ranges) == 1, "not downloaded again"


def test_an_altered_file_is_refused_and_the_former_folder_stays(server: Server, tmp_path: Path):
    folder = tmp_path / "raw/movie"
    file = source(server, "u.data")
    fetch([file], folder, mirror=None)
    server.files["/u.data"] = b"x" + CONTENT[1:]
    with pytest.raises(DataError) as caught:
        fetch([file], folder, mirror=None)
    message = str(caught.value)
    assert "set/u.data" in message
    assert SHA256 in message
    assert hashlib.sha256(server.files["/u.data"]).hexdigest() in message
    assert "altered rating" in message
    assert (folder / "u.data").read_bytes() == CONTENT
    server.files["/u.data"] = CONTENT
    fetch([file], folder, mirror=None)


def test_a_mirror_is_verified_too_and_needs_no_address(tmp_path: Path):
    file = SourceFile("set/u.data", "http://127.0.0.1:1/u.data", SHA256)
    mirror, folder = tmp_path / "mirror", tmp_path / "raw/movie"
    with pytest.raises(DataError, match=r"set/u\.data: not in the mirror"):
        fetch([file], folder, mirror)
    (mirror / "set").mkdir(parents=True)
    (mirror / "set/u.data").write_bytes(CONTENT)
    fetch([file], folder, mirror)
    assert read_manifest(folder)["u.data"]["origin"] == "mirror"
    (mirror / "set/u.data").write_bytes(CONTENT[1:])
    with pytest.raises(DataError, match=f"expected {SHA256}"):
        fetch([file], folder, mirror)
    assert (folder / "u.data").read_bytes() == CONTENT


@pytest.mark.parametrize("name", ["u.data", "u.sample"])
def test_a_pointer_in_a_mirror_is_told(name: str, tmp_path: Path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / name).write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    file = SourceFile("set/u.data", "http://127.0.0.1:1/u.data", SHA256, stand_in="set/u.sample")
    with pytest.raises(DataError, match="a pointer of git LFS, not the file"):
        fetch([file], tmp_path / "raw", tmp_path)
    assert not (tmp_path / "raw").exists()


def test_a_stand_in_takes_the_place_of_a_missing_file_alone_and_is_recorded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    file = SourceFile("set/train.json", "http://127.0.0.1:1/train.json", None, stand_in="set/train.sample.json")
    mirror, folder = tmp_path / "mirror", tmp_path / "raw/book"
    (mirror / "set").mkdir(parents=True)
    (mirror / "set/train.sample.json").write_bytes(b"[1]")
    fetch([file], folder, mirror)
    assert (folder / "train.json").read_bytes() == b"[1]"
    assert read_manifest(folder)["train.json"]["stand_in"] == "train.sample.json"
    assert "stands in" in caplog.text
    (mirror / "set/train.json").write_bytes(b"[1, 2]")
    fetch([file], folder, mirror)
    assert (folder / "train.json").read_bytes() == b"[1, 2]"
    assert read_manifest(folder)["train.json"]["stand_in"] is None


def test_the_environment_wins_over_the_configured_mirror(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("TALLREC_BENCH_MIRROR", raising=False)
    assert chosen_mirror(None) is None
    assert chosen_mirror("here") == Path("here")
    monkeypatch.setenv("TALLREC_BENCH_MIRROR", "there")
    assert chosen_mirror("here") == Path("there")


def test_embedded_files_are_described(tmp_path: Path):
    (tmp_path / "u.data").write_bytes(CONTENT)
    describe_embedded(tmp_path)
    assert read_manifest(tmp_path) == {"u.data": {"sha256": SHA256, "origin": "embedded", "stand_in": None}}
