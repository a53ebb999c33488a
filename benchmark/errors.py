"""Errors with one clear line each, and the one place that turns them into exit codes."""

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""The disk, or the user's share of it, is full, or holds no file of this size."""
REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR, errno.ENOTDIR}
"""The place is none to write to or to read from."""


class BenchmarkError(Exception):
    """Base of every error that is the user's to mend; ends a command with exit code 2 and one line."""

    def __str__(self) -> str:
        """One line, whatever a file or a server put into it; what a terminal would act on is escaped."""
        return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in super().__str__())


class ConfigError(BenchmarkError):
    """`params.yaml` is wrong; the message names the dotted key."""


class DataError(BenchmarkError):
    """A data file is missing, altered or malformed; the message names the file and the row."""


class SchemaError(BenchmarkError):
    """Predictions or artifacts break the contract."""


class MetricError(BenchmarkError):
    """A metric is not defined for what it was given."""


class ServerError(BenchmarkError):
    """A server refuses a request or gives no usable answer; the message names its address."""


class MissingArtifactError(BenchmarkError):
    """A file that an earlier stage writes is not there."""


def exit_code_of(main: Callable[[], None]) -> int:
    """Run `main`; 0 if it returns.

    2 with one line on stderr if it raises a `BenchmarkError`, the disk is full, or a path is none to read or write.
    """
    try:
        main()
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno not in NO_ROOM | REFUSED:
            raise
        place = Path(os.fsdecode(error.filename or ".")).absolute()
        advice = "; the next run goes on once there is room" if error.errno in NO_ROOM else ""
        print(f"error: {place}: {error.strerror}{advice}", file=sys.stderr)
        return 2
    return 0
