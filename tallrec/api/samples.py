"""In-context learning with a model behind an address: prompts, replies, one score a sample."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import ServerError
from benchmark.schema import Item, Labelled, Prediction, Sample
from tallrec.api.bodies import Reply
from tallrec.api.cache import opened
from tallrec.api.client import Traffic, ask
from tallrec.api.model import ApiModel
from tallrec.api.rules import score_of_text, score_of_top
from tallrec.prompts.rendering import answer_texts, conversation, render
from tallrec.telling import Tell, silent


@dataclass(frozen=True, slots=True)
class ApiScoring:
    """How a sample becomes a question and the reply to it a score."""

    style: str
    """Prompt style, a name of `tallrec/prompts/styles/`."""
    stray_comment: bool
    """Whether the template holds the released stray comment."""
    rule: str
    """`double_softmax` or `logit_difference`, for log-probabilities."""
    missing_answer: str = ""
    """`smallest_of_top` or `remainder`, for the log-probabilities of the likeliest tokens."""


def score_samples_by_api(
    model: ApiModel,
    samples: Sequence[Sample],
    items: Mapping[str, Item],
    scoring: ApiScoring,
    cache_file: Path,
    demonstrations: Sequence[Labelled] = (),
    tell: Tell = silent,
) -> tuple[list[Prediction], Traffic]:
    """One prediction a sample, in the order given, and what was asked of the server for them.

    Raises:
        ConfigError: the key is not in the environment.
        ServerError: the server refuses, or its replies cannot be scored.
        DataError: the cache cannot be used.
    """
    write = conversation if model.endpoint == "chat" else render
    prompts = [
        write(scoring.style, sample, items, stray_comment=scoring.stray_comment, demonstrations=demonstrations)
        for sample in samples
    ]
    with opened(cache_file) as cache:
        found, traffic = ask(model, prompts, cache, tell)
    rows = list(zip(samples, found, strict=True))
    if model.n_top_logprobs is None:
        predictions = [score_of_text(sample.sample_id, reply) for sample, reply in rows]
        if predictions and all(p.details["is_refused"] or p.details["is_unparsable"] for p in predictions):
            raise ServerError(f"{model.address}: {_what_was_said(found)}")
        return predictions, traffic
    predictions = [
        score_of_top(
            sample.sample_id,
            reply,
            answer_texts(scoring.style),
            missing_answer=scoring.missing_answer,
            rule=scoring.rule,
        )
        for sample, reply in rows
    ]
    if predictions and all(prediction.details["n_missing"] == 2 for prediction in predictions):
        raise ServerError(f"{model.address}: {_what_came_instead(found)}")
    given = {len(reply.top) for reply in found if reply.top}
    if given == {1} and scoring.missing_answer == "smallest_of_top":
        raise ServerError(
            f"{model.address}: it gives one first token where {model.n_top_logprobs} were asked for, so the other "
            "answer would get the same probability; expected 2 or more, `missing_answer: remainder`, or `read: text`"
        )
    return predictions, traffic


def _what_came_instead(found: Sequence[Reply]) -> str:
    """Why there is nothing to score: no answer is among the first tokens of any sample."""
    likeliest = Counter(reply.top[0][0] for reply in found if reply.top)
    seen = ", ".join(f"{token!r}" for token, _ in likeliest.most_common(3)) or "none"
    n_withheld = sum(reply.is_withheld for reply in found)
    withheld = f"; {n_withheld} withheld" * bool(n_withheld)
    return (
        f"no answer of {len(found)} has Yes or No among its likeliest first tokens (most often {seen}{withheld}), so "
        "all scores would be the same; try another prompt, more n_top_logprobs, or `read: text`"
    )


def _what_was_said(found: Sequence[Reply]) -> str:
    """Why there is nothing to score: no text says Yes or No."""
    n_withheld = sum(reply.is_withheld for reply in found)
    said = Counter(_beginning(reply) for reply in found if not reply.is_withheld)
    seen = ", ".join(text for text, _ in said.most_common(3))
    advice = "try another prompt"
    if any(reply.thoughts for reply in found) or any("think" in text for text in said):
        advice = "the model thinks first: allow it more tokens in `parameters`, or switch its thoughts off"
    came = "; ".join(filter(None, [f"most often {seen}" * bool(seen), f"{n_withheld} withheld" * bool(n_withheld)]))
    return f"no answer of {len(found)} begins with Yes or No ({came}), so all scores would be the same; {advice}"


def _beginning(reply: Reply) -> str:
    """What came, for an error."""
    text = reply.text.strip()[:60]
    return repr(text) if text else "no text but a thought" if reply.thoughts else "no text"
