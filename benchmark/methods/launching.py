"""A stage in several processes, one a GPU: it starts itself again, as `torchrun` would start it.

`torchrun` and `accelerate launch` start it as well, on several machines too. Each process then finds itself in the
environment variables WORLD_SIZE, LOCAL_WORLD_SIZE and LOCAL_RANK. A module of torch's own, torchelastic, watches the
processes: where one fails it ends the others.
"""

import ctypes
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, cast

from benchmark.errors import BenchmarkError, ConfigError

ERROR_FILE = "TORCHELASTIC_ERROR_FILE"
"""Environment variable: where a process leaves its error for its launcher."""
USAGE = 2
PARENT_DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG of Linux."""


class LaunchError(BenchmarkError):
    """One of the processes failed with this error."""


def run_on(n_processes: int, module: str, arguments: Sequence[str], run: Callable[[], None], *, key: str) -> None:
    """Call `run` in `n_processes` processes that know each other (`tallrec.processes`); in this one if it is one.

    Args:
        n_processes: how many, on all machines together.
        module: what to start again, e.g. `benchmark.stages.tune`.
        arguments: of its command line.
        run: what each of them does.
        key: of `params.yaml` that says how many, for errors.

    Raises:
        ConfigError: there are more processes than GPUs, or another number of them was launched.
        LaunchError: a process ended with an error of the user's to mend.
        SystemExit: a process failed otherwise, or a signal ended the launch.
    """
    n_launched = int(os.environ.get("WORLD_SIZE", "1"))
    if n_launched > 1:
        _take_part(n_launched, n_processes, run, key)
    elif n_processes > 1:
        refuse_more_than_gpus(n_processes, key)
        _launch(n_processes, module, arguments)
    else:
        run()


def refuse_more_than_gpus(n_processes: int, key: str) -> None:
    """Refuse more processes on this machine than it has GPUs; without any, they share the CPU.

    Raises:
        ConfigError: there are more.
    """
    import torch

    n_gpus = torch.cuda.device_count()
    if 0 < n_gpus < n_processes:
        raise ConfigError(f"{key}: {n_processes} processes, and this machine has {n_gpus} GPU{'s'[: n_gpus > 1]}")


def _take_part(n_launched: int, n_processes: int, run: Callable[[], None], key: str) -> None:
    from tallrec.processes import joined

    die_with_parent()  # else it may go on writing when the stage runs again
    try:
        _refuse_another_number(n_launched, n_processes, key)
        refuse_more_than_gpus(int(os.environ.get("LOCAL_WORLD_SIZE", "1")), key)
        with joined():
            run()
    except Exception as error:  # noqa: BLE001  # the launcher shows the first error of all processes, once
        _leave(error)


def _refuse_another_number(n_launched: int, n_processes: int, key: str) -> None:
    if n_launched != n_processes:
        raise ConfigError(f"{key}: {n_processes}, and {n_launched} processes were launched")


def die_with_parent(by: signal.Signals = signal.SIGKILL, parent: int | None = None) -> None:
    """Have the kernel send this process `by` when its parent dies (Linux), so that nothing outlives what started it.

    Args:
        by: the signal.
        parent: who it is, where that is known; else who it is now.
    """
    parent = parent or os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, by)
        if os.getppid() != parent:  # it died before it was asked for
            os.kill(os.getpid(), by)


def _leave(error: Exception) -> None:
    """End this process at once: a slow one would let the others fail at its silence, and be taken for the first."""
    from torch.distributed.elastic.multiprocessing.errors import get_error_handler

    if ERROR_FILE in os.environ:
        get_error_handler().record_exception(error)
    else:
        print(f"error: {error}", file=sys.stderr)
    sys.stderr.flush()
    os._exit(USAGE if isinstance(error, BenchmarkError) else 1)


def _rank_of(exit_code: int) -> int:
    """Which of several failures is the cause: those that fail because another process did end in another way."""
    was_killed = exit_code < 0 and exit_code != -signal.SIGTERM  # which the launcher sends itself
    return 0 if was_killed else 1 if exit_code == USAGE else 2


def _launch(n_processes: int, module: str, arguments: Sequence[str]) -> None:
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    launch = elastic_launch(
        LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=n_processes,
            run_id=f"{module}-{os.getpid()}",
            rdzv_backend="c10d",
            rdzv_endpoint="127.0.0.1:0",
            local_addr="127.0.0.1",
            max_restarts=0,  # a stage that runs again goes on from its checkpoint
        ),
        sys.executable,
    )
    try:
        launch("-m", module, *arguments)
    except SignalException as error:
        raise SystemExit(128 + error.sigval) from None
    except ChildFailedError as error:
        failures = sorted(error.failures.values(), key=lambda failure: (_rank_of(failure.exitcode), failure.timestamp))
        content: Any = failures[0].error_file_data["message"]
        if not isinstance(content, dict):  # it left no error, e.g. for want of memory
            ended = f"process {failures[0].local_rank} of {n_processes}: ended by {failures[0].signal_name()}"
            raise LaunchError(ended) from None
        left = cast("dict[str, Any]", content)
        if failures[0].exitcode == USAGE:
            raise LaunchError(left["message"].partition(": ")[2]) from None
        print(left["extraInfo"]["py_callstack"], file=sys.stderr)
        raise SystemExit(1) from None
