"""Servers on loopback that speak OpenAI's protocol: one with the tiny model, and a proxy that breaks things.

The tiny model's log-probabilities are computed with transformers alone, so that what comes over the wire is a second
opinion on `tallrec.scoring.samples`.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tallrec.api.model import ApiModel

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

CUT = -1
"""As the status of a reply: the connection is closed before or within it."""


@dataclass
class Reply:
    """What a server sends back."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, content: Any, status: int = 200, **headers: str) -> "Reply":
        return cls(status, json.dumps(content).encode(), headers)


Answering = Callable[[str, dict[str, Any], Mapping[str, str]], Reply]


@dataclass
class Server:
    """A server that is running."""

    address: str
    asked: list[dict[str, Any]]
    """The bodies of all requests, in the order of their coming."""
    listed: Any = None
    """What it says of its models, or the `Reply` to whoever asks; None: it has no such list."""

    def counts(self) -> Counter[str]:
        """How often each question was asked."""
        return Counter(json.dumps(body, sort_keys=True) for body in list(self.asked))


@contextmanager
def serving_with(answering: Answering) -> Iterator[Server]:
    """A server on loopback that answers with `answering`, from the path, the body and the headers of a request."""
    asked: list[dict[str, Any]] = []
    running = Server("", asked)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            asked.append(body)
            reply = answering(self.path, body, self.headers)
            if reply.status == CUT:
                if reply.body:  # a response that ends within its body
                    self.send_response(200)
                    self.send_header("content-length", str(2 * len(reply.body)))
                    self.end_headers()
                    self.wfile.write(reply.body)
                    self.wfile.flush()
                self.close_connection = True
                return
            self.send_response(reply.status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(reply.body)))
            for name, value in reply.headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(reply.body)

        def do_GET(self) -> None:
            told = running.listed
            reply = told if isinstance(told, Reply) else Reply.of(told, 200 if told else 404)
            self.send_response(reply.status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        def handle(self) -> None:
            with suppress(BrokenPipeError, ConnectionResetError):  # a client that gave up, or was killed
                super().handle()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        running.address = f"http://127.0.0.1:{server.server_port}/v1"
        yield running
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def answers_with(
    model: "LlamaForCausalLM", tokenizer: "PreTrainedTokenizerFast", delay_seconds: float = 0.0
) -> Answering:
    """Answers of `model`: greedy text, and the log-probabilities of its first token where they are asked for."""
    import torch

    lock = threading.Lock()

    def decoded(token: int) -> str:
        return tokenizer.decode([token])

    def answering(path: str, body: dict[str, Any], headers: Mapping[str, str]) -> Reply:
        is_chat = path.endswith("/chat/completions")
        text = "\n".join(message["content"] for message in body["messages"]) if is_chat else body["prompt"]
        ids = tokenizer(text)["input_ids"]
        n_prompt = len(ids)
        time.sleep(delay_seconds)
        with lock, torch.inference_mode():
            first = model(torch.tensor([ids])).logits[0, -1].double().log_softmax(-1)
            ids.append(int(first.argmax()))
            for _ in range(body.get("max_tokens", 16) - 1):
                ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
        content = "".join(map(decoded, ids[n_prompt:]))
        usage = {"prompt_tokens": n_prompt, "completion_tokens": len(ids) - n_prompt}
        n_top = body.get("top_logprobs") if is_chat else body.get("logprobs")
        top: Sequence[tuple[str, float]] = ()
        if n_top:
            values, tokens = first.topk(min(n_top, len(first)))
            top = [(decoded(token), value) for token, value in zip(tokens.tolist(), values.tolist(), strict=True)]
        if is_chat:
            entry = {"top_logprobs": [{"token": token, "logprob": value} for token, value in top]}
            choice = {
                "message": {"role": "assistant", "content": content},
                "logprobs": {"content": [entry]} if top else None,
            }
        else:
            choice = {"text": content, "logprobs": {"top_logprobs": [dict(top)]} if top else None}
        return Reply.of({"choices": [choice | {"finish_reason": "length"}], "usage": usage})

    return answering


SLOW_SECONDS = 3.5
UNASKED = {
    "429": Reply.of({"error": {"message": "slow down"}}, status=429, retry_after="0.01"),
    "500": Reply.of({"error": {"message": "oops"}}, status=500),
    "cut before": Reply(CUT, b""),
    "error as success": Reply.of({"error": {"message": "overloaded"}}),
}
"""What comes without the server being asked."""
FAULTS = (*UNASKED, "cut within", "truncated JSON", "slow")


@dataclass
class Faults:
    """A proxy in front of a server; each attempt at a question meets the next fault, then the server itself."""

    to: str
    kinds: Sequence[str] = FAULTS
    met: Counter[str] = field(default_factory=Counter)
    attempts: Counter[str] = field(default_factory=Counter)
    order: dict[str, int] = field(default_factory=dict)
    client: httpx.Client = field(default_factory=lambda: httpx.Client(trust_env=False, verify=False))
    """One for all, since each reads the certificates of the machine."""

    def __call__(self, path: str, body: dict[str, Any], headers: Mapping[str, str]) -> Reply:
        question = json.dumps(body, sort_keys=True)
        place = self.order.setdefault(question, len(self.order))
        attempt = self.attempts[question]
        self.attempts[question] += 1
        # Each question starts at another fault and meets as many as the place has it.
        if attempt < place % (len(self.kinds) + 1):
            kind = self.kinds[(place + attempt) % len(self.kinds)]
            self.met[kind] += 1
            return self.broken(kind, path, body)
        return self.passed_on(path, body)

    def passed_on(self, path: str, body: dict[str, Any]) -> Reply:
        response = self.client.post(f"{self.to}{path.removeprefix('/v1')}", json=body)
        return Reply(response.status_code, response.content)

    def broken(self, kind: str, path: str, body: dict[str, Any]) -> Reply:
        if kind in UNASKED:
            return UNASKED[kind]
        whole = self.passed_on(path, body)
        if kind == "slow":
            time.sleep(SLOW_SECONDS)
            return whole
        return Reply(CUT if kind == "cut within" else 200, whole.body[:50])


@pytest.fixture
def serving() -> Callable[[Answering], AbstractContextManager[Server]]:
    return serving_with


@pytest.fixture
def reply() -> type[Reply]:
    return Reply


@pytest.fixture
def answers_of() -> Callable[..., Answering]:
    return answers_with


@pytest.fixture
def faults() -> type[Faults]:
    return Faults


@pytest.fixture
def tiny_server(tiny_model: "LlamaForCausalLM", tokenizer: "PreTrainedTokenizerFast") -> Iterator[Server]:
    with serving_with(answers_with(tiny_model, tokenizer)) as server:
        yield server


@pytest.fixture
def api_model(tiny_server: Server) -> ApiModel:
    """The tiny model behind its address, asked for enough log-probabilities that no answer is missing."""
    return ApiModel(
        address=tiny_server.address,
        model="tiny",
        key_variable=None,
        endpoint="completions",
        n_top_logprobs=500,
        parameters={"max_tokens": 1, "temperature": 0},
        max_concurrency=4,
        timeout_seconds=20.0,
        n_retries=0,
    )


@pytest.fixture
def cache_file(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "answers.sqlite3"


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first wait is a hundredth of what it is, so that a test of many retries takes a second."""
    monkeypatch.setattr("tallrec.api.client.FIRST_DELAY_SECONDS", 0.005)
