"""The client on its own: what it asks again and what it does not, how fast, how often, and what it never tells."""

import email.utils
import json
import logging
import os
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from benchmark.errors import ConfigError, ServerError
from tallrec.api.bodies import Reply
from tallrec.api.cache import key_of, opened
from tallrec.api.client import Traffic, ask
from tallrec.api.model import ApiModel

KEY = "sk-planted-7f3a9c"
PROMPTS = [f"prompt {n}" for n in range(12)]
ANSWER = {
    "choices": [{"text": "Yes", "logprobs": {"top_logprobs": [{"Yes": -0.1, "No": -2.5}]}}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 1},
}


@pytest.fixture
def model() -> ApiModel:
    return ApiModel(
        address="",
        model="m",
        key_variable=None,
        endpoint="completions",
        n_top_logprobs=2,
        parameters={},
        max_concurrency=4,
        timeout_seconds=10.0,
        n_retries=2,
    )


def asked(
    model: ApiModel, cache_file: Path, prompts: list[Any] = PROMPTS, tell: Any = None
) -> tuple[list[Reply], Traffic]:
    with opened(cache_file) as cache:
        return ask(model, prompts, cache, *([tell] if tell else []))


Serving = Callable[[Any], AbstractContextManager[Any]]


def test_every_question_goes_out_as_the_protocol_has_it(serving: Serving, reply: Any, model: ApiModel, tmp_path: Path):
    seen: list[tuple[str, str]] = []

    def answering(path: str, body: dict[str, Any], headers: Mapping[str, str]) -> Any:
        seen.append((path, headers["authorization"]))
        content = {"message": {"content": "Yes"}, "logprobs": {"content": [{"top_logprobs": [_entry("Yes", -0.1)]}]}}
        return reply.of(ANSWER if "prompt" in body else {"choices": [content]})

    messages = [{"role": role, "content": f"{role}?"} for role in ("user", "assistant", "user")]
    with serving(answering) as server:
        model = replace(model, address=server.address, parameters={"temperature": 0, "seed": 3})
        (text,), counted = asked(model, tmp_path / "a", ["Well?"])
        (chat,), uncounted = asked(replace(model, endpoint="chat"), tmp_path / "a", [messages])
        (bare,), _ = asked(replace(model, n_top_logprobs=None), tmp_path / "a", ["Well?"])
    extra = {"temperature": 0, "seed": 3}
    assert server.asked == [
        {"model": "m", "prompt": "Well?", "logprobs": 2, **extra},
        {"model": "m", "messages": messages, "logprobs": True, "top_logprobs": 2, **extra},
        {"model": "m", "prompt": "Well?", **extra},
    ]
    assert [path for path, _ in seen] == ["/v1/completions", "/v1/chat/completions", "/v1/completions"]
    assert {authorization for _, authorization in seen} == {"Bearer none"}
    assert text == bare == Reply("Yes", (("Yes", -0.1), ("No", -2.5)), False, 5, 1)
    assert chat == Reply("Yes", (("Yes", -0.1),), False, None, None)
    assert (counted.n_input_tokens, counted.n_output_tokens) == (5, 1)
    assert uncounted.n_input_tokens is None


def _entry(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": None}


@pytest.mark.parametrize("endpoint", ["completions", "chat"])
def test_every_row_is_answered_once_behind_a_broken_proxy(
    endpoint: str, api_model: ApiModel, serving: Serving, faults: Any, cache_file: Path
):
    model = replace(api_model, endpoint=endpoint, n_top_logprobs=5)
    prompts: list[Any] = [f"prompt {n} of many" for n in range(3 * 8)]
    if endpoint == "chat":
        prompts = [[{"role": "user", "content": prompt}] for prompt in prompts]
    expected, _ = asked(model, cache_file.with_name("direct"), prompts)
    proxy = faults(to=model.address)
    with serving(proxy) as broken:
        behind = replace(model, address=broken.address, timeout_seconds=2.5, n_retries=7, max_concurrency=8)
        told: list[tuple[int, int]] = []
        found, traffic = asked(behind, cache_file, prompts, lambda *numbers: told.append(numbers))
        n_sent = len(broken.asked)
        again, nothing = asked(behind, cache_file, prompts)
        assert len(broken.asked) == n_sent
    assert set(proxy.met) == set(proxy.kinds)
    assert min(proxy.met.values()) >= 5
    assert found == again == expected
    assert traffic.n_requests == len(prompts)
    assert traffic.n_retries == proxy.met.total() == n_sent - len(prompts)
    assert told == [(n, len(prompts)) for n in range(1, len(prompts) + 1)]
    assert (nothing.n_requests, nothing.n_retries, nothing.n_from_cache) == (0, 0, len(prompts))
    assert nothing.n_input_tokens == traffic.n_input_tokens
    assert nothing.n_input_tokens_of_this_run == 0
    with sqlite3.connect(cache_file) as rows:
        assert rows.execute("SELECT count(*) FROM answers").fetchone() == (len(prompts),)


def test_equal_questions_are_asked_once(serving: Serving, reply: Any, model: ApiModel, tmp_path: Path):
    with serving(lambda *_: reply.of(ANSWER)) as server:
        answers, traffic = asked(replace(model, address=server.address), tmp_path / "a", ["x", "y", "x", "x"])
    assert len(answers) == 4
    assert traffic.n_requests == len(server.asked) == 2
    assert traffic.n_input_tokens == 10


@pytest.mark.parametrize(
    "change",
    [
        {"model": "other"},
        {"parameters": {"temperature": 1}},
        {"n_top_logprobs": 3},
        {"n_top_logprobs": None},
    ],
)
def test_another_question_is_not_taken_from_the_cache(
    change: dict[str, Any], serving: Serving, reply: Any, model: ApiModel, tmp_path: Path
):
    with serving(lambda *_: reply.of(ANSWER)) as server:
        model = replace(model, address=server.address)
        asked(model, tmp_path / "a", ["x"])
        asked(replace(model, max_concurrency=1, timeout_seconds=3.0, n_retries=0), tmp_path / "a", ["x"])
        assert len(server.asked) == 1
        asked(replace(model, **change), tmp_path / "a", ["x"])
        assert len(server.asked) == 2


def test_the_limit_of_concurrency_is_reached_and_kept(serving: Serving, reply: Any, model: ApiModel, tmp_path: Path):
    lock, under_way, most = threading.Lock(), 0, 0

    def answering(*_: Any) -> Any:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.1)
        with lock:
            under_way -= 1
        return reply.of(ANSWER)

    with serving(answering) as server:
        asked(replace(model, address=server.address, max_concurrency=3), tmp_path / "a")
    assert most == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_a_refusal_ends_at_once_with_one_line(
    status: int, serving: Serving, reply: Any, model: ApiModel, tmp_path: Path
):
    body = {"error": {"message": "no\nsuch thing"}}
    with serving(lambda *_: reply.of(body, status=status)) as server, pytest.raises(ServerError) as caught:
        asked(replace(model, address=server.address), tmp_path / "a")
    assert len(server.asked) == 1
    assert str(caught.value).startswith(f"{server.address}: refused a request: status {status}: ")
    assert "no such thing" in str(caught.value).replace("\\n", " ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cause", ["no money", "a day to wait"])
def test_what_waiting_does_not_mend_is_not_asked_again(
    cause: str, serving: Serving, reply: Any, model: ApiModel, tmp_path: Path
):
    body = {
        "error": {"message": "you exceeded your quota", "code": "insufficient_quota" if cause == "no money" else ""}
    }
    headers = {"retry_after": "86400"} if cause == "a day to wait" else {}
    with (
        serving(lambda *_: reply.of(body, status=429, **headers)) as server,
        pytest.raises(ServerError, match="refused a request: status 429"),
    ):
        asked(replace(model, address=server.address), tmp_path / "a")
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("429", "status 429: "),
        ("500", "status 500: "),
        ("cut before", "connection: "),
        ("cut within", "connection: "),
        ("truncated JSON", "unreadable: "),
        ("error as success", "unreadable: no answer in it"),
        ("slow", "nothing within 0.3 s"),
    ],
)
def test_a_fault_that_stays_is_named(
    kind: str, problem: str, serving: Serving, reply: Any, faults: Any, model: ApiModel, tmp_path: Path
):
    with serving(lambda *_: reply.of(ANSWER)) as behind:
        proxy = faults(to=behind.address)
        with (
            serving(lambda path, body, _: proxy.broken(kind, path, body)) as server,
            pytest.raises(ServerError) as caught,
        ):
            asked(replace(model, address=server.address, timeout_seconds=0.3), tmp_path / "a")
    assert len(server.asked) == 3
    assert str(caught.value).startswith(f"{server.address}: no answer after 3 attempts: {problem}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_nothing_is_asked_of_a_server_that_another_one_points_to(
    status: int, serving: Serving, reply: Any, model: ApiModel, tmp_path: Path
):
    with serving(lambda *_: reply.of(ANSWER)) as elsewhere:
        place = f"{elsewhere.address}/completions"
        with (
            serving(lambda *_: reply.of({}, status=status, location=place)) as server,
            pytest.raises(ServerError) as caught,
        ):
            asked(replace(model, address=server.address), tmp_path / "a")
    assert (len(server.asked), elsewhere.asked) == (1, [])
    assert str(caught.value) == (
        f"{server.address}: refused a request: status {status}: it points to {place!r}; "
        "if the server has moved, give its new address"
    )


def test_no_server_at_all_is_named(model: ApiModel, tmp_path: Path):
    with pytest.raises(ServerError, match=r"^http://127\.0\.0\.1:9/v1: no answer after 3 attempts: connection: "):
        asked(replace(model, address="http://127.0.0.1:9/v1"), tmp_path / "a")


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_the_server_says_how_long_to_wait(form: str, serving: Serving, reply: Any, model: ApiModel, tmp_path: Path):
    came: list[float] = []

    def answering(*_: Any) -> Any:
        came.append(time.monotonic())
        if len(came) > 1:
            return reply.of(ANSWER)
        date = email.utils.format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
        return reply.of({}, status=429, retry_after="0.7" if form == "seconds" else date)

    with serving(answering) as server:
        asked(replace(model, address=server.address), tmp_path / "a", ["x"])
    assert 0.6 < came[1] - came[0] < 4


def test_waits_grow_and_differ_between_questions(serving: Serving, reply: Any, model: ApiModel, tmp_path: Path):
    came: dict[str, list[float]] = {}

    def answering(_: str, body: dict[str, Any], headers: Any) -> Any:
        came.setdefault(body["prompt"], []).append(time.monotonic())
        return reply.of({}, status=500) if len(came[body["prompt"]]) < 7 else reply.of(ANSWER)

    with serving(answering) as server:
        asked(replace(model, address=server.address, n_retries=6), tmp_path / "a")
    waits = [[later - earlier for earlier, later in pairwise(times)] for times in came.values()]
    # From 5 ms on, doubled each time; the jitter takes less than half.
    assert all(wait > 0.0025 * 2**attempt for row in waits for attempt, wait in enumerate(row))
    assert all(sum(row) < 2 for row in waits)
    # The last wait is 80 to 160 ms by its jitter alone: twelve of them lie apart, whatever their exact values.
    last = [row[-1] for row in waits]
    assert max(last) - min(last) > 0.02


def test_what_was_answered_before_an_error_is_not_asked_again(
    serving: Serving, reply: Any, model: ApiModel, tmp_path: Path
):
    is_broken = True

    def answering(_: str, body: dict[str, Any], headers: Any) -> Any:
        time.sleep(0.05)
        return reply.of({}, status=400) if is_broken and body["prompt"] == PROMPTS[5] else reply.of(ANSWER)

    with serving(answering) as server:
        model = replace(model, address=server.address)
        with pytest.raises(ServerError):
            asked(model, tmp_path / "a")
        before = len(server.asked)
        # No new question after the error, and those under way with it are kept.
        assert 6 <= before <= 6 + model.max_concurrency
        is_broken = False
        _, traffic = asked(model, tmp_path / "a")
    assert traffic.n_from_cache == before - 1
    assert max(server.counts().values()) == 2
    assert [json.loads(body)["prompt"] for body, n in server.counts().items() if n == 2] == [PROMPTS[5]]


def test_a_server_without_log_probabilities_is_said_to_be_one(
    serving: Serving, reply: Any, model: ApiModel, tmp_path: Path
):
    body = {"choices": [{"text": "Yes", "logprobs": None}]}
    with serving(lambda *_: reply.of(body)) as server, pytest.raises(ServerError, match="`read: text` does without"):
        asked(replace(model, address=server.address), tmp_path / "a")
    assert len(server.asked) == 1


def test_a_key_that_is_not_there_is_named_and_nothing_is_sent(
    serving: Serving, reply: Any, model: ApiModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SOME_KEY", KEY)
    with serving(lambda *_: reply.of(ANSWER)) as server:
        model = replace(model, address=server.address, key_variable="SOME_KEY")
        asked(model, tmp_path / "a", ["x"])
        monkeypatch.delenv("SOME_KEY")
        asked(model, tmp_path / "a", ["x"])  # the cache needs none
        with pytest.raises(ConfigError, match=r"^environment variable SOME_KEY: not set"):
            asked(model, tmp_path / "a", ["x", "y"])
    assert len(server.asked) == 1


# Of what comes before the key in a refusal: with 200 to 220 characters the line is cut within the key.
@pytest.mark.parametrize("n_before", [None, 0, 190, 200, 205, 210, 215, 220, 230])
def test_the_key_is_told_to_the_server_alone(
    n_before: int | None,
    serving: Serving,
    reply: Any,
    model: ApiModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
):
    monkeypatch.setenv("SOME_KEY", f"{KEY}\n")
    caplog.set_level(logging.DEBUG)

    def answering(_: str, body: Any, headers: Mapping[str, str]) -> Any:
        assert headers["authorization"] == f"Bearer {KEY}"
        refusal = {"error": {"message": f"{'x' * (n_before or 0)} incorrect key: {KEY}, {KEY}"}}
        return reply.of(ANSWER) if is_accepted else reply.of(refusal, status=401)

    is_accepted = n_before is None
    told = ""
    with serving(answering) as server:
        model = replace(model, address=server.address, key_variable="SOME_KEY")
        try:
            asked(model, tmp_path / "a")
        except ServerError as error:
            told = f"{error!r} {error.__cause__!r}"
    assert bool(told) is not is_accepted
    kept = ""
    with sqlite3.connect(tmp_path / "a") as rows:
        for question, body in rows.execute("SELECT question, body FROM answers"):
            kept += zlib.decompress(question).decode() + zlib.decompress(body).decode()
    assert ("prompt 1" in kept) is is_accepted
    printed = capfd.readouterr()
    for text in (told, kept, caplog.text, printed.out, printed.err, repr(model)):
        assert KEY not in text
        assert KEY[:8] not in text


@pytest.mark.parametrize(
    "key",
    [
        "sk-planted\nsk-more",
        "sk-planted\r\nx",
        "sk-planted\tx",
        "sk-planted x",
        "sk-planted\x1b[0m",
        "“sk-planted”",
        "sk-planted\u200b",
        "sk-planted\xa0x",
    ],
)
def test_a_key_that_no_header_takes_is_refused_by_the_name_of_its_variable(
    key: str, serving: Serving, reply: Any, model: ApiModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SOME_KEY", key)
    with serving(lambda *_: reply.of(ANSWER)) as server, pytest.raises(ConfigError) as caught:
        asked(replace(model, address=server.address, key_variable="SOME_KEY"), tmp_path / "a", ["x"])
    assert not server.asked
    assert str(caught.value).startswith("environment variable SOME_KEY: holds white space, a line end")
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize("form", [lambda key: key, json.dumps, repr, quote])
def test_a_key_is_found_in_every_form_in_which_a_server_may_repeat_it(
    form: Callable[[str], str], serving: Serving, reply: Any, model: ApiModel, tmp_path: Path, monkeypatch: Any
):
    monkeypatch.setenv("SOME_KEY", 'sk-"pl/anted\\+')
    body = {"error": {"message": f"wrong: {form(os.environ['SOME_KEY'])}"}}
    with serving(lambda *_: reply.of(body, status=401)) as server, pytest.raises(ServerError) as caught:
        asked(replace(model, address=server.address, key_variable="SOME_KEY"), tmp_path / "a", ["x"])
    assert "anted" not in str(caught.value)
    assert "***" in str(caught.value)


def test_an_error_inside_an_answer_is_asked_again_and_never_kept(
    serving: Serving, reply: Any, model: ApiModel, tmp_path: Path
):
    broken = {"choices": [{"finish_reason": "error", "error": {"code": 502, "message": "Provider broke"}, "text": ""}]}
    came: list[Any] = []

    def answering(*_: Any) -> Any:
        came.append(0)
        return reply.of(broken if is_broken or len(came) % 2 else ANSWER)

    is_broken = False
    with serving(answering) as server:
        model = replace(model, address=server.address, n_retries=1, max_concurrency=1)
        answers, traffic = asked(model, tmp_path / "a", ["x", "y"])
        assert {answer.text for answer in answers} == {"Yes"}
        assert traffic.n_retries == 2
        is_broken = True
        with pytest.raises(ServerError, match=r"no answer after 2 attempts: .*Provider broke"):
            asked(model, tmp_path / "a", ["z"])
        with opened(tmp_path / "a") as cache:  # as it was kept before
            cache.put(key_of(model.question("z")), {}, broken)
        is_broken = False
        assert asked(model, tmp_path / "a", ["z"])[0][0].text == "Yes"
        assert asked(model, tmp_path / "a", ["z"])[1].n_requests == 0


def test_an_error_inside_an_answer_that_no_waiting_mends_ends_at_once(
    serving: Serving, reply: Any, model: ApiModel, tmp_path: Path
):
    body = {"error": {"message": "no such model", "code": 404}}
    with serving(lambda *_: reply.of(body)) as server, pytest.raises(ServerError, match=r"refused .*no such model"):
        asked(replace(model, address=server.address), tmp_path / "a", ["x"])
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [200, 429])
@pytest.mark.parametrize("place", ["code", "type"])
def test_a_server_without_credit_is_asked_once(
    place: str, status: int, serving: Serving, reply: Any, model: ApiModel, tmp_path: Path
):
    body = {"error": {"message": "no credit", "code": None, place: "insufficient_quota"}}
    with serving(lambda *_: reply.of(body, status)) as server, pytest.raises(ServerError, match="no credit"):
        asked(replace(model, address=server.address, n_retries=2), tmp_path / "a", ["x"])
    assert len(server.asked) == 1


def test_a_question_that_a_filter_refuses_is_withheld_and_the_others_go_on(
    serving: Serving, reply: Any, model: ApiModel, tmp_path: Path
):
    filtered = {"error": {"message": "The prompt was filtered.", "code": "content_filter", "status": 400}}

    def answering(_: str, body: Any, headers: Any) -> Any:
        return reply.of(filtered, status=400) if body["prompt"] == PROMPTS[3] else reply.of(ANSWER)

    with serving(answering) as server:
        model = replace(model, address=server.address)
        answers, _ = asked(model, tmp_path / "a")
        again, traffic = asked(model, tmp_path / "a")
    assert [answer.is_withheld for answer in answers] == [prompt == PROMPTS[3] for prompt in PROMPTS]
    assert again == answers
    assert traffic.n_requests == 0


def served(**says: Any) -> dict[str, Any]:
    return {**ANSWER, **says}


@pytest.mark.parametrize("differs", ["root", "id", "created"])
def test_what_the_server_lists_of_its_model_belongs_to_the_question(
    differs: str, serving: Serving, reply: Any, model: ApiModel, tmp_path: Path
):
    entry = {"id": "m", "object": "model", "owned_by": "me", "created": time.time(), "permission": [{"id": "1"}]}
    lists = [{**entry, differs: value} for value in ((1_700_000_000, 1_700_000_001) if differs == "created" else "ab")]
    with serving(lambda *_: reply.of(ANSWER)) as server:
        model = replace(model, address=server.address)
        n_asked = []
        for listed in (*lists, lists[1] | {"permission": [{"id": "2"}]}, lists[0]):
            server.listed = {"object": "list", "data": [listed]}
            n_asked.append(asked(model, tmp_path / "a", ["x"])[1].n_requests)
    assert n_asked == [1, 1, 0, 0]
    answers, traffic = asked(replace(model, n_retries=0), tmp_path / "a", ["x"])  # nobody is there: as it said last
    assert (answers[0].text, traffic.n_requests) == ("Yes", 0)


def test_a_list_that_fails_for_a_while_takes_no_kept_answer_away(
    serving: Serving, reply: Any, model: ApiModel, tmp_path: Path
):
    with serving(lambda *_: reply.of(ANSWER)) as server:
        model = replace(model, address=server.address)
        listed = {"object": "list", "data": [{"id": "m", "object": "model", "root": "a"}]}
        n_asked = []
        for server.listed in (listed, reply.of({"error": {"message": "busy"}}, 503), listed):
            n_asked.append(asked(model, tmp_path / "a", ["x"])[1].n_requests)
    assert n_asked == [1, 0, 0]


@pytest.mark.parametrize("says", [{"model": "one"}, {"system_fingerprint": "one"}])
def test_kept_answers_of_another_model_are_asked_again(
    says: dict[str, str], serving: Serving, reply: Any, model: ApiModel, tmp_path: Path
):
    now = says
    with serving(lambda *_: reply.of(served(**now))) as server:
        model = replace(model, address=server.address)
        asked(model, tmp_path / "a", PROMPTS[:4])
        now = dict.fromkeys(says, "two")
        _, traffic = asked(model, tmp_path / "a", PROMPTS[:5])
        assert (traffic.n_requests, traffic.n_from_cache) == (5, 0)
        assert traffic.served_models == (("two",) if "model" in says else ())
        assert asked(model, tmp_path / "a", PROMPTS[:5])[1].n_requests == 0


def test_answers_of_two_models_are_told(
    serving: Serving, reply: Any, model: ApiModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    turns = iter(range(100))
    with serving(lambda *_: reply.of(served(model=f"m-{next(turns) % 2}"))) as server:
        model = replace(model, address=server.address)
        asked(model, tmp_path / "a", ["x"])
        assert "not one model" not in caplog.text
        _, traffic = asked(model, tmp_path / "b")
    assert traffic.served_models == ("m-0", "m-1")
    assert f"{server.address}: not one model gives the answers, but m-0, m-1; name one that stays" in caplog.text


def test_a_local_cell_that_comes_from_the_cache_alone_is_told(
    serving: Serving, reply: Any, model: ApiModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    with serving(lambda *_: reply.of(ANSWER)) as server:
        model = replace(model, address=server.address)
        asked(model, tmp_path / "a", ["x"])
        assert "from the cache" not in caplog.text
        asked(model, tmp_path / "a", ["x"])
    assert f"{server.address}: all 1 answers come from the cache; if another model" in caplog.text


@pytest.mark.parametrize(
    ("address", "is_local"),
    [
        ("http://127.0.0.1:1/v1", True),
        ("http://[::1]:1/v1", True),
        ("http://10.1.2.3/v1", True),
        ("http://gpu-box/v1", True),
        ("http://localhost:8000/v1", True),
        ("https://api.openai.com/v1", False),
        ("http://8.8.8.8/v1", False),
    ],
)
def test_a_server_of_ones_own_is_known_by_its_address(address: str, is_local: bool, model: ApiModel):
    assert replace(model, address=address).is_local is is_local


@pytest.mark.parametrize(
    "body", [b'{"detail": [{"msg": "extra fields"}]}', b"<html>extra fields</html>", b"extra fields"]
)
def test_the_words_of_a_refusal_are_told_whatever_their_form(
    body: bytes, serving: Serving, reply: Any, model: ApiModel, tmp_path: Path
) -> None:
    with (
        serving(lambda *_: reply(422, body)) as server,
        pytest.raises(ServerError, match=r"status 422: .*extra fields"),
    ):
        asked(replace(model, address=server.address), tmp_path / "answers")


@pytest.mark.parametrize(
    ("address", "environment", "problem"),
    [
        ("http://127.0.0.1:abc/v1", {}, "Invalid port"),
        ("http://127.0.0.1:1/v1\n", {}, "non-printable"),
        ("http://127.0.0.1:1/v1", {"HTTP_PROXY": "ftp://user:sk-planted@127.0.0.1:9"}, "Unknown scheme for proxy"),
        ("http://127.0.0.1:1/v1", {"HTTPS_PROXY": "http://user:sk-planted/x@h:9"}, None),
        ("http://127.0.0.1:1/v1", {"all_proxy": "user:sk-planted#x@h:9"}, None),
        ("http://127.0.0.1:1/v1", {"SSL_CERT_FILE": "nowhere.pem"}, "No such file"),
    ],
)
def test_an_address_or_environment_that_no_client_takes_is_one_line(
    address: str,
    environment: dict[str, str],
    problem: str | None,
    model: ApiModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    told = f"no client with this address .*{problem}" if problem else f"variable {next(iter(environment))}: the user or"
    with pytest.raises(ServerError, match=told) as caught:
        asked(replace(model, address=address), tmp_path / "answers")
    assert "sk-planted" not in str(caught.value)
