"""The exact probabilities of both answers, from servers that score tokens which a client names.

Where the answers stand is read off as of a local model (`tallrec.prompts.answer_tokens`): each prompt is encoded with
either answer, here by the tokenizer of the server, and the first token in which the two differ is the answer token.
The server is sent tokens, so that it scores what was compared. No answer can be missing, and none is text.

Source:
    vLLM 0.32: `/tokenize` and `/generative_scoring`, whose score is the probability of the first label, so that both
    answers take a request each. SGLang: `/v1/tokenize` and `/v1/score`, which gives one of each label.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmark.errors import ServerError
from benchmark.schema import Item, Labelled, Prediction, Sample
from tallrec.api.bodies import MOST_PROBABILITY, Reply
from tallrec.api.cache import opened
from tallrec.api.client import Traffic, ask_questions
from tallrec.api.model import ApiModel
from tallrec.api.rules import score_of_probabilities
from tallrec.api.samples import ApiScoring
from tallrec.prompts.rendering import answer_texts, render
from tallrec.telling import Tell, silent
from tallrec.token_sequences import n_shared

LEAST = sys.float_info.min
"""In the place of a probability that single precision rounds to zero; its logarithm must be finite."""


def score_samples_exactly(
    model: ApiModel,
    samples: Sequence[Sample],
    items: Mapping[str, Item],
    scoring: ApiScoring,
    cache_file: Path,
    demonstrations: Sequence[Labelled] = (),
    tell: Tell = silent,
) -> tuple[list[Prediction], Traffic]:
    """One prediction a sample, in the order given, and what was asked of the server for them.

    Details: `answer_mass`, the probability of both answers together; `n_prompt_tokens`.

    Args:
        model: whose endpoint is `generative_scoring` or `score`.
        samples: what is asked; as text, without a chat template.
        items: every item of `samples` and `demonstrations`.
        scoring: style of the prompts, and the rule of the score.
        cache_file: of the replies.
        demonstrations: shown before each question, the earliest first.
        tell: for progress.

    Raises:
        ConfigError: the key is not in the environment.
        ServerError: the server refuses, a filter takes a question away, it has no room for a prompt, its tokenizer
            cannot tell the answers apart, or what it says of the answers is impossible for probabilities.
        DataError: the cache cannot be used.
    """
    answers = answer_texts(scoring.style)
    texts = [
        render(scoring.style, sample, items, stray_comment=scoring.stray_comment, demonstrations=demonstrations)
        for sample in samples
    ]
    with opened(cache_file) as cache:
        written = [text + answers[liked] for text in texts for liked in (True, False)]
        encoded, of_tokens = ask_questions(
            model, [model.asked("tokenize", prompt=text, add_special_tokens=True) for text in written], cache
        )
        _refuse_withheld(model.address, encoded)
        prompts, labels = _prompts(model.address, encoded)
        questions = [question for prompt in prompts for question in _questions(model, prompt, labels)]
        replies, traffic = ask_questions(model, questions, cache, tell)
    _refuse_withheld(model.address, replies)
    n_each = len(questions) // len(samples) if samples else 1
    numbers = [number for reply in replies for number in reply.numbers[: 2 // n_each]]
    predictions = [
        _prediction(sample.sample_id, yes, no, len(prompt), scoring.rule)
        for sample, prompt, yes, no in zip(samples, prompts, numbers[::2], numbers[1::2], strict=True)
    ]
    _refuse_impossible(model.address, predictions)
    return predictions, replace(
        traffic,
        n_requests=traffic.n_requests + of_tokens.n_requests,
        n_retries=traffic.n_retries + of_tokens.n_retries,
        n_from_cache=traffic.n_from_cache + of_tokens.n_from_cache,
    )


def _refuse_withheld(address: str, replies: Sequence[Reply]) -> None:
    """An exact score has no value for what a filter took away, as top log-probabilities have."""
    if n_withheld := sum(reply.is_withheld for reply in replies):
        raise ServerError(f"{address}: a filter took {n_withheld} of {len(replies)} questions away, expected none")


def _refuse_impossible(address: str, predictions: Sequence[Prediction]) -> None:
    masses = {one.sample_id: one.details["answer_mass"] for one in predictions}
    likeliest = max(masses, key=masses.__getitem__, default=None)
    if likeliest is None:
        return
    if masses[likeliest] > MOST_PROBABILITY:
        raise ServerError(
            f"{address}: sample {likeliest!r}: the probabilities of both answers add up to {masses[likeliest]:.3f}, "
            "expected 1 at most"
        )
    if masses[likeliest] == 0:
        raise ServerError(f"{address}: the probabilities of both answers are 0 for all {len(masses)} samples")


def _prompts(address: str, encoded: Sequence[Reply]) -> tuple[list[list[int]], tuple[int, int]]:
    """The tokens of each prompt up to where the answers differ, and the tokens of yes and no, the same for all."""
    prompts: list[list[int]] = []
    found: set[tuple[int, int]] = set()
    for yes, no in zip(encoded[::2], encoded[1::2], strict=True):
        of_yes, of_no = ([int(token) for token in one.numbers] for one in (yes, no))
        n = n_shared(of_yes, of_no)
        if not 0 < n < min(len(of_yes), len(of_no)):
            raise ServerError(f"{address}: its tokenizer gives both answers the same tokens, or the prompt none")
        if yes.most_tokens and n >= yes.most_tokens:
            raise ServerError(f"{address}: a prompt has {n} tokens, and the server takes {yes.most_tokens - 1}")
        prompts.append(of_yes[:n])
        found.add((of_yes[n], of_no[n]))
    if len(found) > 1:
        raise ServerError(f"{address}: an answer begins with other tokens after other prompts: {sorted(found)[:2]}")
    return prompts, found.pop() if found else (0, 0)


def _questions(model: ApiModel, prompt: Sequence[int], labels: tuple[int, int]) -> Iterator[dict[str, Any]]:
    """What gives the probabilities of yes and of no after a prompt."""
    both = [labels] if model.endpoint == "score" else [labels, labels[::-1]]
    for asked in both:
        yield model.asked(
            model.endpoint,
            query=list(prompt[:-1]),  # a query and an item, of which neither may be empty
            items=[list(prompt[-1:])],
            label_token_ids=list(asked),
            apply_softmax=False,
            item_first=False,
        )


def _prediction(sample_id: str, yes: float, no: float, n_tokens: int, rule: str) -> Prediction:
    score = score_of_probabilities(max(yes, LEAST), max(no, LEAST), rule)
    return Prediction(sample_id, score, {"answer_mass": yes + no, "n_prompt_tokens": float(n_tokens)})
