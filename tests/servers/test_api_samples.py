"""Scores over the wire are those of the same weights scored here."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmark.errors import ServerError
from benchmark.schema import FewShotTask, Prediction
from tallrec.api.model import ApiModel
from tallrec.api.samples import ApiScoring, score_samples_by_api
from tallrec.scoring.samples import Scoring, score_samples

TOLERANCE = 1e-6
"""Between log-probabilities in double precision and logits in single precision."""


def scores(predictions: list[Prediction]) -> dict[str, float]:
    return {prediction.sample_id: prediction.score for prediction in predictions}


@pytest.mark.parametrize(
    ("endpoint", "style", "rule", "n_demonstrations"),
    [
        ("completions", "released", "double_softmax", 0),
        ("completions", "paper", "logit_difference", 2),
        ("completions", "alpaca", "double_softmax", 2),
        ("chat", "released", "logit_difference", 2),
        ("chat", "alpaca", "double_softmax", 0),
    ],
)
def test_scores_are_those_of_local_scoring(
    endpoint: str,
    style: str,
    rule: str,
    n_demonstrations: int,
    api_model: ApiModel,
    toy_task: FewShotTask,
    scoring: Scoring,
    tiny_model: Any,
    tokenizer: Any,
    cache_file: Path,
) -> None:
    shown = toy_task.train[:n_demonstrations]
    local = score_samples(
        tiny_model,
        tokenizer,
        toy_task.test,
        toy_task.items,
        replace(scoring, style=style, rule=rule, max_length=2000),
        demonstrations=shown,
    )
    asked = ApiScoring(style, stray_comment=True, rule=rule, missing_answer="smallest_of_top")
    found, traffic = score_samples_by_api(
        replace(api_model, endpoint=endpoint), toy_task.test, toy_task.items, asked, cache_file, demonstrations=shown
    )
    assert scores(found) == pytest.approx(scores(local), abs=TOLERANCE)
    assert len(set(scores(local).values())) == len(toy_task.test)
    assert [p.details["n_missing"] for p in found] == [0.0] * len(found)
    masses = [p.details["answer_mass"] for p in local]
    assert [p.details["answer_mass"] for p in found] == pytest.approx(masses, abs=TOLERANCE)
    assert traffic.n_requests == len(toy_task.test)
    assert traffic.n_input_tokens == sum(p.details["n_prompt_tokens"] for p in local)


@pytest.mark.parametrize("missing", ["smallest_of_top", "remainder"])
def test_one_token_tells_an_answer_by_what_it_leaves_alone(
    missing: str, serving: Any, reply: Any, api_model: ApiModel, toy_task: FewShotTask, cache_file: Path
) -> None:
    """Some servers give the token that was sampled and no other: its own probability stood for the other answer too."""
    said = iter(["Yes", "No"] * len(toy_task.test))

    def answering(*_: Any) -> Any:
        token = next(said)
        return reply.of({"choices": [{"text": token, "logprobs": {"top_logprobs": [{token: -0.2}]}}]})

    asked = ApiScoring("released", stray_comment=True, rule="double_softmax", missing_answer=missing)
    with serving(answering) as server:
        model = replace(api_model, address=server.address, endpoint="completions")
        if missing == "remainder":
            found, _ = score_samples_by_api(model, toy_task.test, toy_task.items, asked, cache_file)
            assert len({round(prediction.score, 6) for prediction in found}) == 2
            return
        with pytest.raises(ServerError, match=r"it gives one first token where \d+ were asked for"):
            score_samples_by_api(model, toy_task.test, toy_task.items, asked, cache_file)
