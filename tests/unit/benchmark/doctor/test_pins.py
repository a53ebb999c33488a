"""`tallrec-bench pin` asks a server on loopback that answers as the Hub does; huggingface_hub's own client asks."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
from typer.testing import CliRunner

from benchmark.cli import app
from benchmark.config.overlays import merged, preset_text, with_texts
from benchmark.errors import ConfigError

ROOT = Path(__file__).parents[4]
TEXT = (ROOT / "params.yaml").read_text()
SMALL = "Qwen/Qwen3-0.6B-Base"
OLD, NEW, DIGITS = "a1" * 20, "b2" * 20, "12" * 20
FILES = ["config.json", "model.safetensors", "tokenizer.json"]


class Hub:
    """Answers `GET /api/models/NAME`, `/api/datasets/NAME` and `.../revision/REVISION` from a dictionary of paths."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[str] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.split("?")[0]
                if path.startswith(("/api/models/", "/api/datasets/")):  # the client asks for lists of its own too
                    hub.asked.append(path)
                known = path in hub.answers
                body = json.dumps(hub.answers.get(path, {"error": "Repository not found"})).encode()
                self.send_response(200 if known else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                if not known:
                    is_branch = path.partition("/revision/")[0] in hub.answers
                    self.send_header("X-Error-Code", "RevisionNotFound" if is_branch else "RepoNotFound")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}"

    def has(self, name: str, commit: str, files: list[str], kind: str = "models", branch: str = "") -> None:
        where = f"/api/{kind}/{name}" + (f"/revision/{branch}" if branch else "")
        self.answers[where] = {"id": name, "sha": commit, "siblings": [{"rfilename": file} for file in files]}


@pytest.fixture
def hub() -> Iterator[Hub]:
    running = Hub()
    thread = threading.Thread(target=running.http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield running
    running.http.shutdown()
    running.http.server_close()


@pytest.fixture
def params_yaml(tmp_path: Path) -> Path:
    """The committed `params.yaml` with a model of the Hub whose commit is not known."""
    path = tmp_path / "params.yaml"
    path.write_text(merged(TEXT, preset_text("llm/qwen3-0.6b-base")))
    return path


def run(params_yaml: Path, *arguments: str, endpoint: str = "", offline: str = "0") -> tuple[int, str, str]:
    """A command in this process, with what huggingface_hub would read from the environment when it is imported."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(params_yaml.parent)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", offline == "1")
        if endpoint:
            monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", endpoint)
        done = CliRunner().invoke(app, arguments)
    return done.exit_code, done.stdout, done.stderr


def run_alone(params_yaml: Path, *arguments: str, endpoint: str = "", offline: str = "0") -> tuple[int, str, str]:
    """A command in a process of its own, which reads its environment."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": offline, "NO_PROXY": "127.0.0.1"}
    environment |= {"HF_ENDPOINT": endpoint} if endpoint else {}
    command = [sys.executable, "-m", "benchmark.cli", *arguments]
    done = subprocess.run(command, cwd=params_yaml.parent, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_a_commit_is_written_and_everything_else_stays(hub: Hub, params_yaml: Path):
    hub.has(SMALL, NEW, FILES)
    before = params_yaml.read_text()
    code, _, err = run(params_yaml, "validate")
    assert (code, err.count("\n")) == (2, 1)
    assert "run `tallrec-bench pin`" in err
    assert run_alone(params_yaml, "pin", endpoint=hub.address) == (0, f"llm.revision: {SMALL} at {NEW}, written\n", "")
    reason = "                # ours: as `tallrec-bench pin` finds it"
    assert params_yaml.read_text() == before.replace(f"revision: null{reason}", f"revision: {NEW}{reason}", 1)
    assert params_yaml.read_text() != before
    assert hub.asked == [f"/api/models/{SMALL}"]
    assert run(params_yaml, "validate")[0] == 0
    assert [path.name for path in params_yaml.parent.iterdir()] == ["params.yaml"]


def test_what_is_pinned_is_asked_for_again_only_with_update(hub: Hub, params_yaml: Path):
    params_yaml.write_text(with_texts(params_yaml.read_text(), {("llm", "revision"): OLD}))
    hub.has(SMALL, DIGITS, FILES)
    code, out, _ = run(params_yaml, "pin", endpoint=hub.address)
    assert (code, out) == (0, f"llm.revision: {SMALL} at {OLD} already; --update asks the Hub again\n")
    assert not hub.asked
    assert run(params_yaml, "pin", "--update", endpoint=hub.address)[0] == 0
    assert f'revision: "{DIGITS}"' in params_yaml.read_text(), "forty digits are a number to YAML"
    assert "as before" in run(params_yaml, "pin", "--update", endpoint=hub.address)[1]


def test_every_key_that_names_the_hub_is_pinned_or_those_that_are_named(hub: Hub, params_yaml: Path):
    chat = "icl:\n  models:\n    my-chat:  # ours: mine\n      {kind: local, model: owner/chat, revision: v1}\n"
    encoder = "baselines:\n  text_encoder:\n    model: owner/bert  # ours: mine\n"
    data = "instruct:\n  data: hub:owner/rows  # ours: mine\n"
    for overlay in (chat, encoder, data):
        params_yaml.write_text(merged(params_yaml.read_text(), overlay))
    hub.has(SMALL, NEW, FILES)
    hub.has("owner/bert", NEW, ["model.safetensors.index.json"])
    hub.has("owner/chat", OLD, FILES)
    hub.has("owner/chat", NEW, FILES, branch="v1")
    hub.has("owner/rows", DIGITS, ["rows.json"], kind="datasets")
    named = run(params_yaml, "pin", "instruct.data", "icl.models.my-chat.model", endpoint=hub.address)[1]
    assert [line.split(" at ")[0] for line in named.splitlines()] == [
        "icl.models.my-chat.revision: owner/chat",
        "instruct.data: owner/rows",
    ]
    written = params_yaml.read_text()
    assert f"model: owner/chat, revision: {NEW}}}\n" in written, "the commit of the branch that was named"
    assert f"data: hub:owner/rows@{DIGITS}  # ours: mine\n" in written
    assert run(params_yaml, "validate")[0] == 2
    assert run(params_yaml, "pin", endpoint=hub.address)[0] == 0
    assert run(params_yaml, "validate")[0] == 0
    code, _, err = run(params_yaml, "pin", "llm.modl", endpoint=hub.address)
    assert (code, "did you mean 'llm.model'?" in err) == (2, True)


def refused(params_yaml: Path, *arguments: str, **options: str) -> str:
    before = params_yaml.read_bytes()
    code, out, err = run(params_yaml, "pin", *arguments, **options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert params_yaml.read_bytes() == before
    assert [path.name for path in params_yaml.parent.iterdir()] == ["params.yaml"]
    return err


def test_one_that_fails_leaves_all_as_they_were(hub: Hub, params_yaml: Path):
    hub.has(SMALL, NEW, FILES)
    params_yaml.write_text(merged(params_yaml.read_text(), "instruct:\n  data: hub:owner/gone\n"))
    assert "instruct.data: owner/gone: " in refused(params_yaml, endpoint=hub.address)
    assert len(hub.asked) == 2


def test_pickled_weights_are_refused_with_the_files_that_are_there(hub: Hub, params_yaml: Path):
    hub.has(SMALL, NEW, ["config.json", "pytorch_model.bin", "adapter_model.safetensors"])
    assert "it has config.json, pytorch_model.bin, adapter_model.safetensors" in refused(
        params_yaml, endpoint=hub.address
    )
    params_yaml.write_text(merged(params_yaml.read_text(), "llm:\n  weights: random\n"))
    assert run(params_yaml, "pin", endpoint=hub.address)[0] == 0, "no weight of it is read"


def test_what_the_hub_does_not_have_is_named(hub: Hub, params_yaml: Path):
    assert "has no such model for you; where it is private" in refused(params_yaml, endpoint=hub.address)
    hub.has(SMALL, NEW, FILES)
    params_yaml.write_text(with_texts(params_yaml.read_text(), {("llm", "revision"): "v9"}))
    assert "has no revision 'v9' of it" in refused(params_yaml, endpoint=hub.address)


@pytest.mark.parametrize("answer", [[], "text", {"id": SMALL}, {"id": SMALL, "sha": "main"}, {"siblings": 3}])
def test_an_answer_that_is_none_is_refused(hub: Hub, params_yaml: Path, answer: Any):
    hub.answers[f"/api/models/{SMALL}"] = answer
    assert f"llm.model: {SMALL}: " in refused(params_yaml, endpoint=hub.address)


def test_no_network_is_one_line(params_yaml: Path):
    assert "HF_HUB_OFFLINE=0 tallrec-bench pin" in refused(params_yaml, offline="1")
    assert "HF_HUB_OFFLINE=0 tallrec-bench pin" in run_alone(params_yaml, "pin", offline="1")[2]
    nobody = "http://127.0.0.1:9"
    assert f"cannot ask {nobody} for its commit: " in refused(params_yaml, endpoint=nobody)


def test_where_nothing_is_of_the_hub_nothing_is_asked(params_yaml: Path):
    params_yaml.write_text(TEXT)
    assert run(params_yaml, "pin", offline="1") == (0, "params.yaml: names nothing of the Hub\n", "")
    assert "nothing of the Hub is named" in refused(params_yaml, "llm.model", offline="1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a:\n  b: null  # ours: why\nc: 1\n", "a:\n  b: new  # ours: why\nc: 1\n"),
        ("a:\n  b:       # ours: why\nc: 1\n", "a:\n  b: new       # ours: why\nc: 1\n"),
        ("a:\n  b:\nc: 1\n", "a:\n  b: new\nc: 1\n"),
        ("a: {b: 'old', c: 1}\n", "a: {b: new, c: 1}\n"),
        ("a: {b: , c: 1}\n", "a: {b: new , c: 1}\n"),
        ("a:\n  b: ''  # ours: why\n", "a:\n  b: new  # ours: why\n"),
        ('é: ü\na:\n  b: "old"\n', "é: ü\na:\n  b: new\n"),
    ],
)
def test_one_value_changes_and_no_other_letter(text: str, expected: str):
    assert with_texts(text, {("a", "b"): "new"}) == expected


def test_a_key_that_is_not_there_is_named():
    with pytest.raises(ConfigError, match=r"a\.x: no such key"):
        with_texts("a: {b: 1}\n", {("a", "x"): "new"})
    with pytest.raises(ConfigError, match=r"a\.b: expected one value on the line"):
        with_texts("a:\n  b: |\n    old\nc: 1\n", {("a", "b"): "new"})
