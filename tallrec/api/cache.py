"""Replies of servers, kept on disk by what was asked, so that an interrupted run never pays twice.

One SQLite file for all checkouts of a user, since a reply costs money and not time alone. Each reply is a
transaction of its own: when `put` has returned, it outlives a kill.
"""

import hashlib
import json
import os
import shutil
import sqlite3
import zlib
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmark.errors import DataError

WAIT_SECONDS = 60.0
"""For another process that is writing."""


def default_cache_file() -> Path:
    """In the user's cache folder, as XDG_CACHE_HOME names it."""
    folder = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(folder) / "tallrec-bench" / "answers.sqlite3"


def key_of(question: Mapping[str, Any]) -> str:
    """SHA-256 in hexadecimal of all that decides a reply, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(question, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class ReplyCache:
    """Question -> body of the reply. One process may hold several, and several processes one file."""

    def __init__(self, connection: sqlite3.Connection, place: Path) -> None:
        self._connection = connection
        self.place = place

    def get(self, key: str) -> dict[str, Any] | None:
        """The body kept under `key`, or None.

        Raises:
            DataError: what is kept cannot be read.
        """
        row = self._connection.execute("SELECT body FROM answers WHERE key = ?", (key,)).fetchone()
        try:
            return json.loads(zlib.decompress(row[0])) if row else None
        except (ValueError, TypeError, RecursionError, zlib.error) as error:
            raise DataError(f"the cache of answers: entry {key}: {error}; remove the entry or the file") from None

    def put(self, key: str, question: Mapping[str, Any], body: Mapping[str, Any]) -> None:
        """Keep `body` in the place of an earlier one; on disk when this returns."""
        packed = (zlib.compress(json.dumps(part).encode()) for part in (question, body))
        with self._connection:
            self._connection.execute(
                "INSERT OR REPLACE INTO answers (key, question, body, asked_at) VALUES (?, ?, ?, datetime('now'))",
                (key, *packed),
            )


@contextmanager
def opened(path: Path) -> Generator[ReplyCache]:
    """The cache in `path`, made if it is not there.

    Raises:
        DataError: the file is no such cache, or cannot be written.
    """
    connection: sqlite3.Connection | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=WAIT_SECONDS)
        # A write-ahead log lets several processes read and one write; FULL waits for the disk at each reply.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        with connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS answers "
                "(key TEXT PRIMARY KEY, question BLOB NOT NULL, body BLOB NOT NULL, asked_at TEXT NOT NULL)"
            )
        yield ReplyCache(connection, path)
    except (sqlite3.Error, OSError, UnicodeError) as error:
        raise DataError(f"{path}: the cache of answers cannot be used{_room(path)}: {error}") from error
    finally:
        if connection is not None:
            connection.close()


def _room(path: Path) -> str:
    """How full the disk is: of a full one, SQLite says "disk I/O error"."""
    return f", {shutil.disk_usage(path.parent).free / 1e6:.1f} MB free" if path.parent.is_dir() else ""
