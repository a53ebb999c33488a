"""The network goes away in the middle of a download: it goes on, or starts again, and no half file is a raw file."""

import contextlib
import json
import random
import socket
import struct
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import toy
from trials import Repository, count, digest

pytestmark = pytest.mark.harden
ARCHIVE = "/ml-100k.zip"
FILES = ("u.data", "u.item")
# Stage `raw` with other addresses and checksums, and less patience than half a minute.
STAGE = """
import json, sys
from dataclasses import replace
import httpx
from benchmark.data import download
from benchmark.data.domains import movielens
from benchmark.stages import raw

url, checksums = json.loads(sys.argv[1])
download._TIMEOUT = httpx.Timeout(0.5)
movielens.FILES = tuple(replace(file, url=url, sha256=checksums[file.name]) for file in movielens.FILES)
sys.exit(raw.main(["--domain", "movie"]))
"""


class Server:
    """Serves one archive, up to a byte where the next fault happens."""

    def __init__(self, content: bytes) -> None:
        self.content, self.fault, self.at, self.n_asked = content, "", 0, 0
        self.knows_ranges, self.release = True, threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()
        self.address = f"http://127.0.0.1:{self.http.server_port}{ARCHIVE}"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        asked = handler.headers.get("Range") if self.knows_ranges else None
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        handler.send_response(206 if asked else 200)
        if asked:
            handler.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        handler.send_header("Content-Length", str(len(self.content) - start))
        handler.end_headers()
        stop = max(start, self.at) if self.fault else len(self.content)
        self.n_asked += 1
        part = self.content[start:stop]
        with contextlib.suppress(ConnectionError):  # of a client that was killed
            handler.wfile.write(bytes(255 - byte for byte in part) if self.fault == "other bytes" else part)
        if self.fault == "reset":
            # Lingering for no time: the connection ends with RST instead of FIN.
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif self.fault in ("stalls", "killed"):
            self.release.wait(20)


@pytest.fixture
def server(undisturbed: Repository, tmp_path: Path) -> Iterator[Server]:
    path, raw = tmp_path / "archive.zip", undisturbed.folder / "data/raw/movie"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ml-100k/README", random.Random(0).randbytes(1 << 20))  # so that there is a middle
        for name in FILES:
            archive.write(raw / name, f"ml-100k/{name}")
    running = Server(path.read_bytes())
    yield running
    running.release.set()
    running.http.shutdown()
    running.http.server_close()


def start(repository: Repository, server: Server, checksums: dict[str, str]) -> "subprocess.Popen[str]":
    environment = repository.environment | {"TALLREC_BENCH_MIRROR": "", "NO_PROXY": "127.0.0.1"}
    command = [sys.executable, "-c", STAGE, json.dumps([server.address, checksums])]
    return subprocess.Popen(
        command, cwd=repository.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_a_download_that_breaks_off_ends_with_the_same_files(
    undisturbed: Repository, server: Server, tmp_path: Path, knows_ranges: bool
) -> None:
    repository = undisturbed.clone(tmp_path)
    toy.set_params(repository.folder / "params.yaml", {"domains.movie.source": "official"})
    expected = {name: undisturbed.outputs[f"data/raw/movie/{name}"] for name in FILES}
    server.knows_ranges = knows_ranges
    rng, folder = random.Random(f"network {knows_ranges}"), repository.folder / "data/raw/movie"
    for fault in ("closed", "stalls", "reset", "killed", "closed", "stalls", "reset", "killed", "other bytes"):
        server.fault, server.at, n_asked = fault, rng.randrange(1, len(server.content)), server.n_asked
        server.release.clear()
        process = start(repository, server, expected)
        if fault == "killed":
            while server.n_asked == n_asked:
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 0.2))
            process.kill()
        said, _ = process.communicate()
        server.release.set()
        assert not folder.exists(), said
        if fault != "killed":
            assert process.returncode == 2, said
            assert said.splitlines()[-1].startswith("error: ml-100k/u.data: "), said
            assert "Traceback" not in said
        count(f"network: {fault}", "raw")
    server.fault = ""
    process = start(repository, server, expected)
    said, _ = process.communicate()
    if process.returncode:  # it went on after other bytes, noticed it, and has forgotten them
        assert process.returncode == 2, said
        assert "not a readable zip archive" in said or "not the released file" in said
        assert not folder.exists()
        process = start(repository, server, expected)
        said, _ = process.communicate()
    assert process.returncode == 0, said
    assert {name: digest(folder / name) for name in FILES} == expected
    assert sorted(path.name for path in folder.parent.iterdir()) == ["movie"]
