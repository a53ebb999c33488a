"""One file from an address: resumable, and whole or not there."""

from http import HTTPStatus
from pathlib import Path

import httpx
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from benchmark.errors import NO_ROOM

_TIMEOUT = httpx.Timeout(30.0)


class DownloadError(Exception):
    """The address could not be read to its end; what was read is kept for the next try."""


def download(url: str, destination: Path) -> None:
    """Write what is at `url` to `destination`, taking up a broken download where it stopped.

    The part read so far lies in `<destination>.part`. A server that doesn't know ranges starts it again.

    Raises:
        DownloadError: no connection, an HTTP error, or the connection broke.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    part = destination.with_name(f"{destination.name}.part")
    try:
        with httpx.Client(follow_redirects=True, timeout=_TIMEOUT) as client:
            if not _read_into(client, url, part):
                # The part is no beginning of what the server has now.
                part.unlink()
                _read_into(client, url, part)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise  # no mirror mends that
        raise DownloadError(" ".join(str(error).split()) or type(error).__name__) from error
    part.replace(destination)


def _read_into(client: httpx.Client, url: str, part: Path) -> bool:
    """Read the rest of `url` into `part`; False if the server refuses the range."""
    start = part.stat().st_size if part.exists() else 0
    # Compressed answers count other bytes than the file has, which ranges can't be matched with.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    with client.stream("GET", url, headers=headers) as response:
        if start and response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return False
        response.raise_for_status()
        resumed = response.status_code == HTTPStatus.PARTIAL_CONTENT
        if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            return False
        length = response.headers.get("Content-Length")
        with _progress() as progress, part.open("ab" if resumed else "wb") as sink:
            total = int(length) + (start if resumed else 0) if length else None
            task = progress.add_task(url.rsplit("/", 1)[-1], total=total, completed=start if resumed else 0)
            for chunk in response.iter_bytes():
                sink.write(chunk)
                progress.update(task, advance=len(chunk))
    return True


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True))
