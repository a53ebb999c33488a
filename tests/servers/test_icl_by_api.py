"""Stage `icl` with a model behind an address: scores, records, and what a second or a killed run asks."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmark.artifacts import files, paths
from benchmark.artifacts.provenance import run_file
from benchmark.config.overlays import merged
from benchmark.config.params import Params
from benchmark.methods.configuration import load_config
from benchmark.methods.language_model_cells import icl_cells, unavailable
from benchmark.schema import FewShotTask, Sample
from benchmark.stages import others
from tallrec.scoring.samples import Scoring, score_samples

REPOSITORY = Path(__file__).parents[2]
ARGUMENTS = ["--model", "tiny-server", "--prompt", "released"]
OVERLAY = """
grid:
  domains: [movie, book]
  seeds: [0, 1]
  icl_models: []
  other_models: [tiny-server]
icl:
  n_demonstrations: [0, 4]
  models:
    tiny-server:
      kind: api
      address: {address}
      model: tiny
      key_variable: {key_variable}
      endpoint: completions
      read: {read}
      n_top_logprobs: 500
      missing_answer: smallest_of_top
      parameters: {{max_tokens: 1, temperature: 0}}
      max_concurrency: {max_concurrency}
      timeout_seconds: 20.0
      extended_test_set: {extended_test_set}
      n_retries: 2
      dollars_per_million_input_tokens: 2.0
      dollars_per_million_output_tokens: 8.0
"""
N_ROWS = 8
"""Test samples of the toy domain. Both domains are it, so that the one has only prompts of the other."""


def configured(
    address: str,
    *,
    read: str = "logprobs",
    key_variable: str = "null",
    max_concurrency: int = 4,
    extended_test_set: bool = False,
) -> Params:
    """Write `params.yaml` for a server; its content."""
    overlay = OVERLAY.format(
        address=address,
        read=read,
        key_variable=key_variable,
        max_concurrency=max_concurrency,
        extended_test_set=str(extended_test_set).lower(),
    )
    Path("params.yaml").write_text(merged((REPOSITORY / "params.yaml").read_text(), overlay))
    return load_config()


def cells_of(params: Params) -> list[Any]:
    return [cell for domain in ("movie", "book") for cell in icl_cells(params, "tiny-server", "released", domain)]


def record_of(cell: Any) -> dict[str, Any]:
    return json.loads(run_file(cell).read_text())


@pytest.fixture(autouse=True)
def domains(repository: Path, write_domain: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Both domains as stages `prepare` and `draw` leave them, in a folder with its own cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(repository / "cache"))
    for domain in ("movie", "book"):
        write_domain(domain)
    return repository


def test_the_stage_writes_the_scores_of_the_same_weights(
    tiny_server: Any, toy_task: FewShotTask, scoring: Scoring, tiny_model: Any, tokenizer: Any
) -> None:
    params = configured(tiny_server.address)
    assert others.main(ARGUMENTS) == 0
    cells = cells_of(params)
    assert [(cell.n_shots, cell.seed) for cell in cells] == [(0, 0), (4, 0), (4, 1)] * 2
    for cell in cells:
        shown = toy_task.train[cell.seed : cell.seed + cell.n_shots]
        local = score_samples(tiny_model, tokenizer, toy_task.test, toy_task.items, scoring, demonstrations=shown)
        expected = {prediction.sample_id: prediction.score for prediction in local}
        assert files.read_scores("predictions", cell) == pytest.approx(expected, abs=1e-6)


def test_the_record_of_a_cell_counts_requests_tokens_and_dollars(tiny_server: Any) -> None:
    params = configured(tiny_server.address)
    assert others.main(ARGUMENTS) == 0
    first, *_, again = (record_of(cell) for cell in cells_of(params) if cell.n_shots == 0)
    assert (first["n_requests"], first["n_from_cache"], first["n_retries"]) == (N_ROWS, 0, 0)
    assert first["n_output_tokens"] == N_ROWS
    assert first["n_input_tokens"] > 50 * N_ROWS
    assert first["dollars"] == pytest.approx((2 * first["n_input_tokens"] + 8 * N_ROWS) / 1e6)
    assert first["dollars_of_this_run"] == first["dollars"]
    # The other domain asks the same questions.
    assert (again["n_requests"], again["n_from_cache"]) == (0, N_ROWS)
    assert (again["dollars"], again["dollars_of_this_run"]) == (first["dollars"], 0.0)
    assert first["settings"]["model"]["address"] == tiny_server.address
    assert (first["share_refused"], first["share_unparsable"]) == (0.0, 0.0)


def test_a_second_run_asks_nothing_and_writes_the_same(tiny_server: Any) -> None:
    params = configured(tiny_server.address)
    assert others.main(ARGUMENTS) == 0
    assert sum(tiny_server.counts().values()) == len(tiny_server.counts()) == 3 * N_ROWS
    folders = [paths.cell_folder("predictions", cell) for cell in cells_of(params)]
    before = [path.read_bytes() for folder in folders for path in sorted(folder.iterdir())]
    assert others.main(ARGUMENTS) == 0
    assert sum(tiny_server.counts().values()) == 3 * N_ROWS
    assert [path.read_bytes() for folder in folders for path in sorted(folder.iterdir())] == before
    # Another reading of the same answers costs nothing either.
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("scoring: double_softmax", "scoring: logit_difference"))
    assert others.main(ARGUMENTS) == 0
    assert sum(tiny_server.counts().values()) == 3 * N_ROWS


def test_a_server_is_asked_about_the_further_test_set_where_that_is_set(
    tiny_server: Any, toy_further: tuple[Sample, ...], toy_task: FewShotTask
) -> None:
    params = configured(tiny_server.address, extended_test_set=True)
    assert others.main(ARGUMENTS) == 0
    assert tiny_server.counts().total() == 3 * (N_ROWS + len(toy_further))
    first = next(cell for cell in cells_of(params) if cell.test_domain == "movie-extended")
    assert (files.read_scores("predictions", first) or {}).keys() == {one.sample_id for one in toy_further}
    assert "extended_test_set" not in record_of(first)["settings"]["model"], "it decides no score"
    own = replace(first, test_domain="movie")
    assert (files.read_scores("predictions", own) or {}).keys() == {one.sample_id for one in toy_task.test}


@pytest.mark.slow
def test_a_killed_run_goes_on_without_paying_again(
    serving: Any, tiny_model: Any, tokenizer: Any, answers_of: Any, domains: Path
) -> None:
    n_questions, max_concurrency = 3 * N_ROWS, 2
    with serving(answers_of(tiny_model, tokenizer, delay_seconds=0.2)) as server:
        params = configured(server.address, max_concurrency=max_concurrency)
        for n_answered in (3, 11):
            killed = _started()
            while len(server.asked) < n_answered + 1:
                assert killed.poll() is None
                time.sleep(0.01)
            killed.send_signal(signal.SIGKILL)
            assert killed.wait() == -signal.SIGKILL
        assert len(server.counts()) < n_questions
        assert others.main(ARGUMENTS) == 0
        counts = server.counts()
        assert len(counts) == n_questions
        # What was under way at a kill is asked again, and nothing else.
        assert counts.total() <= n_questions + 2 * max_concurrency
        assert others.main(ARGUMENTS) == 0
        assert server.counts() == counts
    for cell in cells_of(params):
        assert len(files.read_scores("predictions", cell) or {}) == N_ROWS


def _started() -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "benchmark.stages.others", *ARGUMENTS]
    return subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(REPOSITORY)}, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("status", [200, 401])
def test_the_key_is_in_no_file_and_no_line(
    status: int,
    serving: Any,
    reply: Any,
    tiny_model: Any,
    tokenizer: Any,
    answers_of: Any,
    domains: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    key = "sk-planted-51d0e8"
    monkeypatch.setenv("PLANTED_KEY", key)
    tiny = answers_of(tiny_model, tokenizer)

    def answering(path: str, body: dict[str, Any], headers: Any) -> Any:
        assert headers["authorization"] == f"Bearer {key}"
        if status != 200:
            return reply.of({"error": f"unknown key {key}"}, status=status)
        answer = tiny(path, body, headers)
        return reply.of(json.loads(answer.body) | {"repeated": headers["authorization"]})

    with serving(answering) as server:
        configured(server.address, key_variable="PLANTED_KEY")
        assert others.main(ARGUMENTS) == (0 if status == 200 else 2)
    printed = capfd.readouterr()
    written = [path for path in domains.rglob("*") if path.is_file()]
    assert any(path.name == "answers.sqlite3" for path in written)
    content = b"".join(path.read_bytes() for path in written)
    with sqlite3.connect(domains / "cache" / "tallrec-bench" / "answers.sqlite3") as rows:
        for packed in rows.execute("SELECT question, body FROM answers"):
            content += b"".join(map(zlib.decompress, packed))
    assert (b"Whether the user will like" in content) is (status == 200)
    assert (b"PLANTED_KEY" in content) is True
    assert (b"Bearer ***" in content) is (status == 200)
    assert key.encode() not in content
    assert key not in printed.out + printed.err
    errors = [line for line in printed.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == (0 if status == 200 else 1)


def test_answers_as_text_are_scored_where_there_are_no_probabilities(serving: Any, reply: Any) -> None:
    texts = ["Yes.", "no", "As an AI, I cannot tell.", "Perhaps"]

    def answering(_: str, body: dict[str, Any], headers: Any) -> Any:
        # By the question, so that the order of arrival does not matter.
        text = texts[sum(body["prompt"].encode()) % len(texts)]
        return reply.of({"choices": [{"text": text}]})

    with serving(answering) as server:
        params = configured(server.address, read="text")
        assert others.main(ARGUMENTS) == 0
        prompts = {body["prompt"] for body in server.asked}
        assert {"logprobs"}.isdisjoint(server.asked[0])
    expected = [texts[sum(prompt.encode()) % len(texts)] for prompt in prompts]
    assert len(set(expected)) == len(texts)
    cells = [cell for cell in cells_of(params) if cell.test_domain == "movie"]
    found = [score for cell in cells for score in (files.read_scores("predictions", cell) or {}).values()]
    for score, n in {1.0: expected.count("Yes."), 0.0: expected.count("no")}.items():
        assert found.count(score) == n
    records = [record_of(cell) for cell in cells]
    refused, unparsable = (sum(r[f"share_{name}"] for r in records) * N_ROWS for name in ("refused", "unparsable"))
    assert refused == pytest.approx(expected.count(texts[2]))
    assert unparsable == pytest.approx(expected.count(texts[3]))
    assert records[0]["dollars"] is None  # this server counts no tokens


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--model", "tiny-serve", "--prompt", "released"], "'tiny-serve' is not one of tiny-server, did you mean"),
        (ARGUMENTS, "environment variable NO_SUCH_KEY: not set"),
    ],
)
def test_what_is_missing_is_one_line(arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    configured("http://127.0.0.1:9/v1", key_variable="NO_SUCH_KEY")
    assert others.main(arguments) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert problem in errors[0]


def test_scores_that_would_all_be_the_same_are_refused(
    serving: Any, reply: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    body = {"choices": [{"text": "The", "logprobs": {"top_logprobs": [{"The": -0.1, "A": -3.0}]}}]}
    with serving(lambda *_: reply.of(body)) as server:
        configured(server.address)
        assert others.main(ARGUMENTS) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert f"error: {server.address}: no answer of {N_ROWS} has Yes or No among its likeliest first tokens" in error
    assert "(most often 'The')" in error


@pytest.mark.parametrize("key_variable", ["null", "NO_SUCH_KEY"])
def test_a_server_that_is_not_there_stops_the_others_or_is_told_as_the_policy_says(
    key_variable: str, tiny_server: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    def policy(name: str) -> None:
        text = Path("params.yaml").read_text()
        Path("params.yaml").write_text(re.sub("unavailable: (stop|skip)", f"unavailable: {name}", text))

    configured("http://127.0.0.1:9/v1", key_variable=key_variable)
    assert others.main(ARGUMENTS) == 2
    assert not Path("predictions").exists()
    error = capsys.readouterr().err.splitlines()[-1].removeprefix("error: ")
    policy("skip")
    assert others.main(ARGUMENTS) == 0
    params = load_config()
    assert unavailable(params) == unavailable(params, "runs") == {"icl-tiny-server-released": error}
    configured(tiny_server.address)
    policy("skip")
    assert others.main(ARGUMENTS) == 0
    assert unavailable(load_config()) == {}
    assert all(files.read_scores("predictions", cell) for cell in cells_of(load_config()))


@pytest.mark.parametrize(
    ("message", "came"),
    [
        ({"text": "<think>\nNo idea"}, "most often '<think>.*allow it more tokens"),
        ({"message": {"content": "", "reasoning_content": "Let me think"}}, "allow it more tokens"),
        ({"text": "It depends."}, "most often 'It depends.'"),
        ({"text": "", "finish_reason": "content_filter"}, "8 withheld"),
    ],
)
def test_texts_of_which_none_is_an_answer_are_refused(
    message: dict[str, Any], came: str, serving: Any, reply: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(lambda *_: reply.of({"choices": [message]})) as server:
        configured(server.address, read="text")
        assert others.main(ARGUMENTS) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert f"error: {server.address}: no answer of {N_ROWS} begins with Yes or No (" in error
    assert re.search(came, error), error
    assert not Path("predictions").exists()
