"""Starts the process that stages are forked from, and the shell that DVC runs their commands by."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmark.warm.shell import write_shell

JOBS = Path("scratch/ahead")
"""Of each run a folder, by the number of its process."""
COLD_VARIABLE = "TALLREC_BENCH_COLD"
"""Environment: with anything in it, every stage is a process of its own that imports all by itself."""


class WarmStages:
    """A context in which DVC's commands are forks of one process, where that is possible (Linux, no GPU).

    Args:
        folder: root of the repository.
        environment: of DVC, without what is changed here.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder, self._plain = folder, dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self.is_wanted = sys.platform == "linux" and not environment.get(COLD_VARIABLE)
        """Whether forks are to be used, where that is possible."""

    def __enter__(self) -> Self:
        self._place = tempfile.TemporaryDirectory(prefix="tallrec-bench-")
        if self.is_wanted:
            write_shell(self.shell, self.address, self.jobs.absolute(), self._plain.get("SHELL"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process:
            self._process.kill()
            self._process.communicate()
        self._place.cleanup()

    @property
    def shell(self) -> Path:
        """The executable that stands for the fork of a stage."""
        return Path(self._place.name) / "shell"

    @property
    def address(self) -> Path:
        """The socket of the process; there once it can be asked."""
        return Path(self._place.name) / "socket"

    @property
    def jobs(self) -> Path:
        """Folder of what runs ahead (`benchmark/warm/ahead.py`), in the repository."""
        return self.folder / JOBS / str(os.getpid())

    @property
    def is_ready(self) -> bool:
        """Whether the process can be asked."""
        return self._process is not None and self._process.poll() is None and self.address.exists()

    @property
    def environment(self) -> dict[str, str]:
        """Environment for DVC."""
        return self._plain | ({"SHELL": str(self.shell)} if self.is_wanted else {})

    def start(self) -> None:
        """Start the process, once. Until its imports are done, or where no fork would do, stages run by themselves."""
        if self.is_wanted and not self._process:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmark.warm.process", str(self.address)],
                cwd=self.folder,
                env=self._plain,
                stdin=subprocess.PIPE,  # its end says that this process has died
                stdout=subprocess.DEVNULL,
                process_group=0,  # Ctrl-C is for the stage
            )

    def wait(self) -> bool:
        """Wait until the process can be asked; False if it ended, since no fork would do."""
        assert self._process
        while self._process.poll() is None:
            if self.address.exists():
                return True
            time.sleep(0.01)
        return False
