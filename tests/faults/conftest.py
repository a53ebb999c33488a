"""The toy repository with every stage, after a run that nothing disturbed; and the counts at the end."""

import hashlib
import json
import math
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import toy
from ruamel.yaml import YAML
from trials import TRIED, Repository, Stage

from benchmark.warm.starting import WarmStages

SERVER = {
    **{"kind": "api", "model": "loopback", "key_variable": None, "endpoint": "completions", "read": "logprobs"},
    **{"n_top_logprobs": 5, "missing_answer": "smallest_of_top", "parameters": {"max_tokens": 1, "temperature": 0}},
    **{"max_concurrency": 2, "timeout_seconds": 20.0, "extended_test_set": False, "n_retries": 2},
    **{"dollars_per_million_input_tokens": None, "dollars_per_million_output_tokens": None},
}
CONFIGURATION = {
    **{"name": "plain", "quantization": "none", "micro_batch_size": 4, "gradient_checkpointing": False},
    **{"n_tokens": None, "attention": "sdpa"},
}
CHANGES = toy.CHANGES | {
    "grid.icl_models": ["base"],
    "grid.other_models": ["loopback"],
    "icl.n_demonstrations": [0, 2],
    "efficiency.configurations": [CONFIGURATION],
    "efficiency.n_updates": 1,
    "base.n_threads": 1,
    "baselines.training.n_threads": 1,
}


class _Answers(BaseHTTPRequestHandler):
    """Of a model behind an address: log-probabilities that follow from the prompt alone."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        prompt = json.loads(self.rfile.read(int(self.headers["content-length"])))["prompt"]
        liked = int(hashlib.sha256(prompt.encode()).hexdigest(), 16) % 97 / 100 + 0.01
        yes, no = math.log(liked / 2), math.log((1 - liked) / 2)
        top = {" Yes": yes, "Yes": yes, " No": no, "No": no}
        choice = {"text": " Yes", "logprobs": {"top_logprobs": [top]}, "finish_reason": "length"}
        usage = {"prompt_tokens": len(prompt), "completion_tokens": 1}
        body = json.dumps({"choices": [choice], "usage": usage}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="session")
def loopback() -> Iterator[str]:
    """Address of a server of this machine that speaks OpenAI's protocol."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, loopback: str) -> Iterator[Repository]:
    """The repository after a `dvc repro` that nothing disturbed. Tests change copies of it only."""
    top = tmp_path_factory.mktemp("undisturbed")
    changes = CHANGES | {"icl.models": {"loopback": {**SERVER, "address": loopback}}}
    folder = toy.new_repository(top / "repository", changes)
    repository = Repository(folder, Path("/bin/sh"), top / "site", top)
    with WarmStages(folder, repository.environment) as warm:
        warm.start()
        assert warm.wait()
        repository.shell = warm.shell
        _run_once(repository)
        yield repository


def _run_once(repository: Repository) -> None:
    """Run everything, and note what each stage takes, writes and leaves."""
    process, began = repository.start("repro"), dict[str, float]()
    while process.poll() is None:
        for line in repository.log.read_text().splitlines():
            if line.startswith("Running stage"):
                began.setdefault(line.split("'")[1], time.monotonic())
        time.sleep(0.01)
    assert process.returncode == 0, repository.log.read_text()[-3000:]
    ended = [*began.values(), time.monotonic()][1:]
    locked = {
        prefix + name: stage
        for prefix, lock in (("", "dvc.lock"), ("tallrec/dvc.yaml:", "tallrec/dvc.lock"))
        for name, stage in YAML(typ="safe").load(repository.folder / lock)["stages"].items()
    }
    for (name, start), end in zip(began.items(), ended, strict=True):
        outputs = [Path(out["path"]) for out in locked[name]["outs"]]
        repository.stages[name] = Stage(name, locked[name]["cmd"], outputs, end - start)
    repository.outputs.update(repository.outcome())


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The counts of faults, for docs/reliability.md."""
    if not TRIED:
        return
    terminalreporter.write_sep("-", "faults")
    for (fault, stage), outcomes in sorted(TRIED.items()):
        told = ", ".join(f"{number} {outcome}" for outcome, number in sorted(outcomes.items()))
        terminalreporter.write_line(f"| {fault} | {stage} | {outcomes.total()} | {told} |")
    totals: Counter[str] = Counter()
    for (fault, _), outcomes in TRIED.items():
        totals[fault] += outcomes.total()
    terminalreporter.write_line(", ".join(f"{fault}: {number}" for fault, number in totals.items()))
