"""Exact scoring over the wire: bodies as vLLM and SGLang document them, answers of the tiny model, scores as here.

The answering side is transformers alone. A real vLLM is asked in `test_real_servers.py`.
"""

import json
import math
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmark.artifacts import files
from benchmark.artifacts.provenance import run_file
from benchmark.config.overlays import merged
from benchmark.errors import ServerError
from benchmark.schema import Cell, FewShotTask, Prediction
from benchmark.stages import others
from tallrec.api.exact import score_samples_exactly
from tallrec.api.model import ApiModel
from tallrec.api.samples import ApiScoring
from tallrec.scoring.samples import Scoring, score_samples

ROOT = Path(__file__).parents[2]
TOLERANCE = 1e-6
"""Between logits in single precision of two shapes of a batch."""
SCORING_KEYS = {"model", "query", "items", "label_token_ids", "apply_softmax", "item_first"}
ENDPOINTS = {"generative_scoring": "/generative_scoring", "score": "/v1/score"}
TOKENIZE = {"generative_scoring": "/tokenize", "score": "/v1/tokenize"}
ROOM = 2048


def answers_of_scoring(model: Any, tokenizer: Any, reply: Any, endpoint: str) -> Callable[..., Any]:
    """What a server of `endpoint` says: tokens of a text, and the probabilities of labels after query and item."""
    import torch

    lock = threading.Lock()

    def answering(path: str, body: dict[str, Any], headers: Mapping[str, str]) -> Any:
        del headers
        if path == TOKENIZE[endpoint]:
            assert body.keys() == {"model", "prompt", "add_special_tokens"}
            ids = tokenizer(body["prompt"], add_special_tokens=body["add_special_tokens"])["input_ids"]
            return reply.of({"tokens": ids, "count": len(ids), "max_model_len": ROOM})
        assert path == ENDPOINTS[endpoint]
        assert body.keys() == SCORING_KEYS
        assert body["query"]
        (item,) = body["items"]
        with lock, torch.inference_mode():
            logits = model(torch.tensor([body["query"] + item])).logits[0, -1].double()
        labels = logits[body["label_token_ids"]] - (0.0 if body["apply_softmax"] else logits.logsumexp(-1))
        found = (labels.softmax(-1) if body["apply_softmax"] else labels.exp()).tolist()
        n = len(body["query"] + item)
        if endpoint == "score":  # it counts no tokens
            return reply.of({"scores": [found], "model": body["model"], "usage": None, "object": "scoring"})
        usage = {"prompt_tokens": n, "total_tokens": n + 1, "completion_tokens": 1}
        data = [{"index": 0, "object": "score", "score": found[0]}]
        return reply.of({"id": "s", "object": "list", "created": 1, "model": "tiny", "data": data, "usage": usage})

    return answering


@pytest.fixture(params=list(ENDPOINTS))
def endpoint(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def exact_server(serving: Any, reply: Any, tiny_model: Any, tokenizer: Any, endpoint: str) -> Iterator[Any]:
    with serving(answers_of_scoring(tiny_model, tokenizer, reply, endpoint)) as server:
        yield server


def model_at(address: str, endpoint: str) -> ApiModel:
    return ApiModel(
        address=address,
        model="tiny",
        key_variable=None,
        endpoint=endpoint,
        n_top_logprobs=None,
        parameters={},
        max_concurrency=4,
        timeout_seconds=20.0,
        n_retries=0,
    )


def scores(predictions: list[Prediction]) -> dict[str, float]:
    return {prediction.sample_id: prediction.score for prediction in predictions}


@pytest.mark.parametrize(
    ("style", "rule", "n_demonstrations"),
    [("released", "double_softmax", 0), ("paper", "logit_difference", 2), ("gpt", "double_softmax", 0)],
)
def test_scores_are_those_of_local_scoring(
    style: str,
    rule: str,
    n_demonstrations: int,
    endpoint: str,
    exact_server: Any,
    toy_task: FewShotTask,
    scoring: Scoring,
    tiny_model: Any,
    tokenizer: Any,
    cache_file: Path,
) -> None:
    shown = toy_task.train[:n_demonstrations]
    here = replace(scoring, style=style, rule=rule)
    local = score_samples(tiny_model, tokenizer, toy_task.test, toy_task.items, here, demonstrations=shown)
    asked = ApiScoring(style, stray_comment=True, rule=rule)
    model = model_at(exact_server.address, endpoint)
    found, traffic = score_samples_exactly(
        model, toy_task.test, toy_task.items, asked, cache_file, demonstrations=shown
    )
    assert scores(found) == pytest.approx(scores(local), abs=TOLERANCE)
    assert len(set(scores(local).values())) == len(toy_task.test)
    for name in ("answer_mass", "n_prompt_tokens"):
        assert [p.details[name] for p in found] == pytest.approx([p.details[name] for p in local], abs=TOLERANCE)
    n = len(toy_task.test)
    assert traffic.n_requests == n * (3 if endpoint == "score" else 4)
    assert traffic.n_input_tokens == (
        None if endpoint == "score" else 2 * sum(p.details["n_prompt_tokens"] for p in local)
    )
    again, second = score_samples_exactly(model, toy_task.test, toy_task.items, asked, cache_file, demonstrations=shown)
    assert (again, second.n_requests) == (found, 0)  # all is kept


def test_another_rule_asks_nothing_anew(
    endpoint: str, exact_server: Any, toy_task: FewShotTask, cache_file: Path
) -> None:
    model = model_at(exact_server.address, endpoint)

    def by(rule: str) -> Any:
        asked = ApiScoring("released", stray_comment=True, rule=rule)
        return score_samples_exactly(model, toy_task.test, toy_task.items, asked, cache_file)

    released, _ = by("double_softmax")
    odds, traffic = by("logit_difference")
    assert traffic.n_requests == 0
    for one, other in zip(released, odds, strict=True):
        yes, no = (mass := one.details["answer_mass"]) / (1 + math.exp(-other.score)), 0.0
        no = mass - yes
        assert one.score == pytest.approx(1 / (1 + math.exp(no - yes)))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"tokens": []}, "no tokens in it"),
        ({"tokens": [[1, 2]]}, "no tokens in it"),
        ({"tokens": [1, 5, 7]}, "gives both answers the same tokens"),
        ({"error": {"message": "no such model", "code": 404}}, "an error: no such model"),
    ],
)
def test_tokens_that_tell_no_answer_are_refused(
    change: dict[str, Any],
    problem: str,
    endpoint: str,
    serving: Any,
    reply: Any,
    toy_task: FewShotTask,
    cache_file: Path,
) -> None:
    refused(lambda *_: reply.of(change), problem, endpoint, serving, toy_task, cache_file)


@pytest.mark.parametrize(
    "value", [-0.5, 1.5, None, "0.5", True, float("nan")], ids=["negative", "above 1", "null", "text", "bool", "NaN"]
)
def test_what_is_no_probability_is_refused(
    value: Any,
    endpoint: str,
    serving: Any,
    reply: Any,
    tiny_model: Any,
    tokenizer: Any,
    toy_task: FewShotTask,
    cache_file: Path,
) -> None:
    honest = answers_of_scoring(tiny_model, tokenizer, reply, endpoint)

    def answering(path: str, body: dict[str, Any], headers: Mapping[str, str]) -> Any:
        if path == TOKENIZE[endpoint]:
            return honest(path, body, headers)
        return reply.of({"scores": [[value, 0.1]], "data": [{"index": 0, "score": value}], "model": "tiny"})

    refused(answering, "no probability in it", endpoint, serving, toy_task, cache_file)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ((0.9, 0.9), r"sample '[\w-]+': the probabilities of both answers add up to 1\.800, expected 1 at most"),
        ((0.0, 0.0), "the probabilities of both answers are 0 for all 8 samples"),
    ],
    ids=["above 1", "none"],
)
def test_probabilities_that_both_answers_cannot_have_are_refused(
    values: tuple[float, float],
    problem: str,
    endpoint: str,
    serving: Any,
    reply: Any,
    tiny_model: Any,
    tokenizer: Any,
    toy_task: FewShotTask,
    cache_file: Path,
) -> None:
    honest = answers_of_scoring(tiny_model, tokenizer, reply, endpoint)

    def answering(path: str, body: dict[str, Any], headers: Mapping[str, str]) -> Any:
        if path == TOKENIZE[endpoint]:
            return honest(path, body, headers)
        return reply.of({"scores": [list(values)], "data": [{"index": 0, "score": values[0]}], "model": "tiny"})

    refused(answering, problem, endpoint, serving, toy_task, cache_file)


@pytest.mark.parametrize("at", ["tokenize", "score"])
def test_a_question_that_a_filter_takes_away_is_refused(
    at: str,
    endpoint: str,
    serving: Any,
    reply: Any,
    tiny_model: Any,
    tokenizer: Any,
    toy_task: FewShotTask,
    cache_file: Path,
) -> None:
    honest = answers_of_scoring(tiny_model, tokenizer, reply, endpoint)

    def answering(path: str, body: dict[str, Any], headers: Mapping[str, str]) -> Any:
        if (path == TOKENIZE[endpoint]) == (at == "tokenize"):
            return reply.of({"error": {"message": "filtered", "code": "content_filter"}}, 400)
        return honest(path, body, headers)

    refused(
        answering, r"a filter took \d+ of \d+ questions away, expected none", endpoint, serving, toy_task, cache_file
    )


def test_a_prompt_that_the_server_would_cut_is_refused(
    endpoint: str,
    serving: Any,
    reply: Any,
    tiny_model: Any,
    tokenizer: Any,
    toy_task: FewShotTask,
    cache_file: Path,
) -> None:
    honest = answers_of_scoring(tiny_model, tokenizer, reply, endpoint)

    def answering(path: str, body: dict[str, Any], headers: Mapping[str, str]) -> Any:
        said = honest(path, body, headers)
        return reply.of({**json.loads(said.body), "max_model_len": 40}) if path == TOKENIZE[endpoint] else said

    refused(answering, "tokens, and the server takes 39", endpoint, serving, toy_task, cache_file)


def refused(
    answering: Callable[..., Any], problem: str, endpoint: str, serving: Any, toy_task: FewShotTask, cache_file: Path
) -> None:
    with serving(answering) as server:
        asked = ApiScoring("released", stray_comment=True, rule="double_softmax")
        with pytest.raises(ServerError, match=problem) as caught:
            score_samples_exactly(model_at(server.address, endpoint), toy_task.test, toy_task.items, asked, cache_file)
        assert server.address in str(caught.value)


def test_a_cell_of_stage_others_is_that_of_the_local_model(
    endpoint: str,
    exact_server: Any,
    repository: Path,
    write_domain: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    toy_task: FewShotTask,
    scoring: Scoring,
    tiny_model: Any,
    tokenizer: Any,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(repository / "cache"))
    write_domain("movie")
    preset = (ROOT / "benchmark/config/presets/api/exact-server.yaml").read_text()
    preset = preset.replace("http://127.0.0.1:8000/v1", exact_server.address)
    preset = preset.replace("endpoint: generative_scoring", f"endpoint: {endpoint}")
    changes = "grid:\n  domains: [movie]\n  train_domains: [movie]\nicl:\n  n_demonstrations: [0]\n"
    Path("params.yaml").write_text(merged(merged((ROOT / "params.yaml").read_text(), preset), changes))
    assert others.main(["--model", "exact-server", "--prompt", "released"]) == 0
    cell = Cell("icl", "icl-exact-server-released", "movie", "movie", 0, 0)
    local = score_samples(tiny_model, tokenizer, toy_task.test, toy_task.items, scoring)
    assert files.read_scores("predictions", cell) == pytest.approx(scores(local), abs=TOLERANCE)
    record = json.loads(run_file(cell).read_text())
    assert record["n_requests"] == len(local) * (3 if endpoint == "score" else 4)
    assert record["answer_mass"] == pytest.approx(sum(p.details["answer_mass"] for p in local) / len(local))
    assert record["n_tokens"] == sum(p.details["n_prompt_tokens"] for p in local)
