"""Processes of one stage, without starting any: what is refused, and which failure counts as the cause."""

import signal

import pytest
import torch

from benchmark.errors import ConfigError
from benchmark.methods import launching
from benchmark.methods.launching import refuse_more_than_gpus, run_on


def test_one_process_runs_here() -> None:
    ran: list[bool] = []
    run_on(1, "no.module", [], lambda: ran.append(True), key="tune.n_processes")
    assert ran == [True]


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    refuse_more_than_gpus(2, "tune.n_processes")
    with pytest.raises(ConfigError, match=r"^tune\.n_processes: 4 processes, and this machine has 2 GPUs$"):
        run_on(4, "no.module", [], lambda: None, key="tune.n_processes")


def test_without_a_gpu_processes_share_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    refuse_more_than_gpus(4, "tune.n_processes")


def test_the_cause_is_the_process_that_was_killed_then_the_one_with_an_error() -> None:
    codes = [1, -signal.SIGTERM, launching.USAGE, -signal.SIGKILL]
    assert sorted(codes, key=launching._rank_of) == [-signal.SIGKILL, launching.USAGE, 1, -signal.SIGTERM]
