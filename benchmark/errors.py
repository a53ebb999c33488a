"""Errors with one clear line each, and the one place that turns them into exit codes."""

import errno
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""The disk, or the user's share of it, is full, or holds no file of this size."""

POINTER = b"version https://git-lfs"
"""What git LFS leaves in the place of a file that it has not fetched begins with this."""

UTF_16 = (b"\xff\xfe", b"\xfe\xff")
"""What a text begins with that a spreadsheet calls Unicode."""


PACKED = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip, as workbooks are too", b"BZh": "bzip2", b"\xfd7zXZ": "xz"}
"""What a packed file begins with, which may have the name of a text."""


class BenchmarkError(Exception):
    """Base of every error that is the user's to mend; ends a command with exit code 2 and one line."""

    def __str__(self) -> str:
        """One line, whatever a file or a server put into it; what a terminal would act on is escaped."""
        return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in super().__str__())


class ConfigError(BenchmarkError):
    """`params.yaml` is wrong; the message names the dotted key."""


class DataError(BenchmarkError):
    """A data file is missing, altered or malformed; the message names the file and the row."""


class TrainingError(BenchmarkError):
    """A training went wrong, e.g. by too high a learning rate; the message names the update."""


class SchemaError(BenchmarkError):
    """Predictions or artifacts break the contract."""


class MetricError(BenchmarkError):
    """A metric is not defined for what it was given."""


class ServerError(BenchmarkError):
    """A server refuses a request or gives no usable answer; the message names its address."""


class MissingArtifactError(BenchmarkError):
    """A file that an earlier stage writes is not there."""


def refuse_pointer(path: Path) -> None:
    """Refuse a file of 130 bytes that only says which file belongs there.

    Raises:
        DataError: `path` is a pointer of git LFS.
    """
    if path.is_file():
        with path.open("rb") as stream:
            if stream.read(len(POINTER)) == POINTER:
                raise DataError(f"{path}: a pointer of git LFS, not the file: run `git lfs pull` there")


def refuse_other_folder(folder: Path, *names: str) -> None:
    """Refuse to replace a folder that holds something, and not what an earlier call of the command wrote.

    Args:
        folder: that is to be replaced.
        names: of files that the command always writes.

    Raises:
        ConfigError: there is something else in it, or it is a file.
    """
    if folder.is_dir() and any(folder.iterdir()) and not all((folder / name).is_file() for name in names):
        raise ConfigError(f"{folder}: holds other files, which would be lost; expected a new or an empty folder")
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder}: a file, expected a folder")


def refuse_other_text(path: Path) -> None:
    """Refuse a file of text that is a pointer of git LFS, packed, or in another encoding than those that are read.

    Raises:
        DataError: it is.
    """
    refuse_pointer(path)
    if path.is_file():
        with path.open("rb") as stream:
            start = stream.read(max(map(len, PACKED)))
        if start.startswith(UTF_16):
            raise DataError(f"{path}: in UTF-16, expected UTF-8; save it as that")
        if packed := next((PACKED[begin] for begin in PACKED if start.startswith(begin)), None):
            raise DataError(f"{path}: packed ({packed}): unpack or export it first")


def reason_of(error: BaseException) -> str:
    """What an error of a library says, in one line of 400 letters: any line of it may be the one with the reason."""
    said = " ".join(str(error).split())
    is_bare = not said or isinstance(error, LookupError)  # a KeyError says its key alone
    return f"{type(error).__name__}{': ' * bool(said)}{said:.400}" if is_bare else f"{said:.400}"


CRASH = re.compile(r"Fatal Python error: |[\w.]+(Error|Exception)\b")
"""How the line begins by which Python says why a process crashed."""


def last_words(output: str) -> str:
    """Of what a process that failed has printed, the line that says why: its last error, else its last; 400 letters."""
    lines = output.strip().splitlines() or ["no message"]
    errors = [line for line in lines if line.startswith(("error: ", "ERROR: ")) or CRASH.match(line)]
    return f"{[*lines[-1:], *errors][-1].strip().removeprefix('error: '):.400}"


INTERRUPTED = 128 + signal.SIGINT
"""Exit code."""


def exit_code_of(main: Callable[[], None]) -> int:
    """Run `main`; 0 if it returns.

    2 with one line on stderr if it raises a `BenchmarkError`, the disk is full, or the system refuses a path; 130, as
    shells have it, with one word if Ctrl-C ends it.
    """
    try:
        main()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        # Of a file that was to take the place of another, that place is what the user knows.
        place = error.filename2 or error.filename or (Path.cwd() if error.errno in NO_ROOM else None)
        if place is None:
            raise
        advice = "; the next run goes on once there is room" if error.errno in NO_ROOM else ""
        print(f"error: {BenchmarkError(f'{place}: {error.strerror}{advice}')}", file=sys.stderr)
        return 2
    return 0
