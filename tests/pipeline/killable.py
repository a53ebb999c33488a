"""Runs stages in processes that kill themselves at an exact moment; `test_kill_and_resume.py` starts it.

Reads one order a line: {"stage", "arguments", "kill"}. Each order is carried out by a fork, so that torch is imported
once. Answers {"status", "n_changes"}: the exit code, or the signal as a negative number; files changed by the run.

`kill` is null; {"change": path, "n": n}, before the n-th change of a file below that path; {"half": name, "n": n}, with
half of the n-th file of that name written; or {"seconds": s}, by the parent.
"""

import importlib
import io
import json
import mmap
import os
import signal
import struct
import sys
import time
from pathlib import Path

import torch
from transformers import TrainerState

from benchmark.warm.process import import_all

CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree", "open"}
n_changes = mmap.mmap(-1, 8)  # shared with the forks


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def count_changes(path, fatal):
    """Count the changes of the run's own files below `path`, and die before the one that is `fatal`."""

    def hook(event, arguments):
        if event not in CHANGES or not isinstance(arguments[0], str | os.PathLike):
            return
        if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return
        changed = Path(os.path.relpath(arguments[0]))
        if changed.parts[0] in {"scratch", "models", "runs"} and changed.is_relative_to(path):
            n = struct.unpack("q", n_changes[:])[0] + 1
            n_changes[:] = struct.pack("q", n)
            if n == fatal:
                die()

    sys.addaudithook(hook)


def write_half(name, count):
    """Die with half of the `count`-th file called `name` on the disk."""
    written = []
    save, save_state = torch.save, TrainerState.save_to_json

    def half(path, content):
        written.append(path)
        if len(written) == count:
            path.write_bytes(content[: len(content) // 2])
            die()

    def torch_save(value, path, *arguments, **keywords):
        if Path(path).name == name:
            whole = io.BytesIO()
            save(value, whole)
            half(Path(path), whole.getvalue())
        return save(value, path, *arguments, **keywords)

    def state_to_json(self, path):
        save_state(self, path)
        if Path(path).name == name:
            half(Path(path), Path(path).read_bytes())

    torch.save, TrainerState.save_to_json = torch_save, state_to_json


def carry_out(order):
    kill = order["kill"] or {}
    if "half" in kill:
        write_half(kill["half"], kill["n"])
    count_changes(kill.get("change", ""), kill["n"] if "change" in kill else None)
    return importlib.import_module(f"benchmark.stages.{order['stage']}").main(order["arguments"])


def main():
    for name in ("raw", "prepare", "draw", "base", "instruct", "tune"):
        importlib.import_module(f"benchmark.stages.{name}")
    import_all()  # starts no thread that a fork would lack
    for line in sys.stdin:
        order = json.loads(line)
        n_changes[:] = struct.pack("q", 0)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = carry_out(order)
            finally:
                sys.stderr.flush()
                os._exit(code)
        if "seconds" in (order["kill"] or {}):
            time.sleep(order["kill"]["seconds"])
            os.kill(child, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(json.dumps({"status": status, "n_changes": struct.unpack("q", n_changes[:])[0]}), flush=True)


if __name__ == "__main__":
    main()
