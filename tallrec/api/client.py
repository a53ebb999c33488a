"""Ask a server that speaks OpenAI's protocol: every question once, and again only where that may help.

The key comes from the environment and goes into the client alone. Whatever a server says is printed without it.
"""

import asyncio
import email.utils
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from openai import APIConnectionError, APIStatusError, AsyncOpenAI, OpenAIError

from benchmark.errors import DataError, ServerError, reason_of
from benchmark.seeding import derive_seed
from tallrec.api.bodies import OUT_OF_MONEY, Reply, ServedError, beginning, body_of, is_filtered, passes, reply_of
from tallrec.api.cache import ReplyCache, key_of
from tallrec.api.connection import connected
from tallrec.api.keys import body_without, secret_of, without
from tallrec.api.model import ApiModel, served_by
from tallrec.api.number_bodies import generative_scoring_reply, score_reply, tokens_reply
from tallrec.api.served import identity, of_another
from tallrec.telling import Tell, silent

_LOG = logging.getLogger(__name__)

FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS = 0.5, 60.0
"""Of the exponential backoff. A server that names a longer wait gets it, up to `PATIENCE_SECONDS`."""
PATIENCE_SECONDS = 600.0
"""A server that wants more time than this, such as the rest of a day, is not waited for."""
READERS: Mapping[str, Callable[[object], Reply]] = {
    **{"completions": reply_of, "chat": reply_of},
    **{"tokenize": tokens_reply, "generative_scoring": generative_scoring_reply, "score": score_reply},
}
"""Endpoint -> what reads the body of its reply."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What was asked of a server, and what of it this run asked."""

    n_requests: int
    """Questions answered by the server in this run."""
    n_retries: int
    n_from_cache: int
    n_input_tokens: int | None
    """Of all replies, as the server counts tokens; None where it does not."""
    n_output_tokens: int | None
    n_input_tokens_of_this_run: int | None
    """Of the replies that this run asked for."""
    n_output_tokens_of_this_run: int | None
    served_models: tuple[str, ...] = ()
    """The models that the replies name, which may say more than the name that was asked for."""


def ask(
    model: ApiModel,
    prompts: Sequence[str | Sequence[Mapping[str, str]]],
    cache: ReplyCache,
    tell: Tell = silent,
) -> tuple[list[Reply], Traffic]:
    """The reply to every prompt, as `ask_questions`: texts for the completions endpoint, messages for chat."""
    return ask_questions(model, [model.question(prompt) for prompt in prompts], cache, tell)


def ask_questions(
    model: ApiModel,
    asked_for: Sequence[Mapping[str, Any]],
    cache: ReplyCache,
    tell: Tell = silent,
) -> tuple[list[Reply], Traffic]:
    """The reply to every question, in their order; what the cache knows is not asked, equal ones are asked once.

    A reply is in the cache as soon as it has come. After an error no new question is sent, and those under way are
    waited for, since they are paid for.

    Args:
        model: whom to ask.
        asked_for: what `ApiModel.question` or `ApiModel.asked` makes.
        cache: what is known already.
        tell: for progress.

    Raises:
        ConfigError: a question must be sent and the key is not in the environment.
        ServerError: the server refuses a question, or gives no reply after every retry.
    """
    served = identity(model, cache)
    keys = [key_of({**question, **served}) for question in asked_for]
    questions = dict(zip(keys, asked_for, strict=True))
    bodies = {key: body for key in questions if (body := cache.get(key)) is not None}
    kept = {key: _kept(key, questions[key]["endpoint"], body) for key, body in bodies.items()}
    replies = {key: reply for key, reply in kept.items() if reply is not None}
    n_known, n_retries = len(replies), 0
    wanted = {key: question for key, question in questions.items() if key not in replies}
    asked: set[str] = set()

    def keep(key: str, body: dict[str, Any], reply: Reply) -> None:
        cache.put(key, questions[key], body)
        bodies[key], replies[key] = body, reply
        asked.add(key)
        tell(len(replies), len(questions))

    while wanted:
        secret = secret_of(model.key_variable)
        n_retries += asyncio.run(_ask_server(connected(model, secret), model, secret, wanted, keep))
        # A reply of another model than the one that answers now is none of this cell.
        wanted = {key: questions[key] for key in of_another(model, bodies, asked)}
    if not asked and n_known and model.is_local:
        _LOG.warning(
            "%s: all %d answers come from the cache; if another model is served there as %r now, remove them: %s",
            model.address,
            n_known,
            model.model,
            cache.place,
        )
    traffic = Traffic(
        len(asked),
        n_retries,
        len(questions) - len(asked),
        *_n_tokens(list(replies.values())),
        *_n_tokens([replies[key] for key in asked]),
        tuple(sorted({name for body in bodies.values() if (name := served_by(body)[0])})),
    )
    if len(traffic.served_models) > 1:
        told = ", ".join(traffic.served_models)
        _LOG.warning("%s: not one model gives the answers, but %s; name one that stays", model.address, told)
    return [replies[key] for key in keys], traffic


def _kept(key: str, endpoint: str, body: Mapping[str, Any]) -> Reply | None:
    """The reply in a body of the cache; None if it is an error, which was kept until version 0.2.

    Raises:
        DataError: it is none, so that somebody else wrote it.
    """
    try:
        return READERS[endpoint](body)
    except ServedError:
        return None
    except ValueError as error:
        raise DataError(f"the cache of answers: entry {key}: {error}; remove the entry or the file") from None


def _n_tokens(replies: Sequence[Reply]) -> tuple[int | None, int | None]:
    """Tokens of the questions and of the replies; None where one is not counted."""
    counts = ([reply.n_input_tokens for reply in replies], [reply.n_output_tokens for reply in replies])
    n_input, n_output = (None if None in column else sum(filter(None, column)) for column in counts)
    return n_input, n_output


async def _ask_server(
    client: AsyncOpenAI,
    model: ApiModel,
    secret: str,
    questions: Mapping[str, Mapping[str, Any]],
    keep: Callable[[str, dict[str, Any], Reply], None],
) -> int:
    """Send all questions, the first one alone: what is wrong with every one is learnt from it. Returns the retries."""
    failures: list[ServerError] = []
    n_retries = 0
    async with client:

        async def work(keys: Iterator[str]) -> None:
            nonlocal n_retries
            for key in keys:
                if failures:
                    return
                try:
                    body, reply, n_more = await _replied(client, model, questions[key], secret)
                except ServerError as error:
                    failures.append(ServerError(f"{model.address}: {without(error, secret)}"))
                    return
                n_retries += n_more
                keep(key, body, reply)

        waiting = iter(questions)
        await work(iter([next(waiting)]))
        await asyncio.gather(*(work(waiting) for _ in range(model.max_concurrency)))
    if failures:
        raise failures[0]
    return n_retries


async def _replied(
    client: AsyncOpenAI, model: ApiModel, question: Mapping[str, Any], secret: str
) -> tuple[dict[str, Any], Reply, int]:
    """The body of the reply, the reply in it, and the number of retries that it took.

    Raises:
        ServerError: no attempt gave one.
    """
    for attempt in range(model.n_retries + 1):
        try:
            async with asyncio.timeout(model.timeout_seconds):
                content = await _sent(client, question)
            body = body_of(body_without(content, secret))
            reply = READERS[question["endpoint"]](body)
        except (OpenAIError, TimeoutError, ValueError) as error:
            if isinstance(error, APIStatusError) and (refusal := _filtered(error)):
                return refusal, reply_of(refusal), attempt
            problem = _problem(error, model)
            if not _may_pass(error):
                raise ServerError(f"refused a request: {problem}") from None
            if attempt == model.n_retries:
                raise ServerError(f"no answer after {attempt + 1} attempts: {problem}") from None
            delay = _delay_seconds(error, attempt, key_of(question))
        else:
            if model.n_top_logprobs is not None and reply.top is None and reply.text:
                raise ServerError("the answer has no log-probabilities; `read: text` does without")
            return body, reply, attempt
        await asyncio.sleep(delay)
    raise AssertionError("the last attempt returns or raises")


def _filtered(error: APIStatusError) -> dict[str, Any] | None:
    """The body of an error by which the server says that a filter took the question away; None if it is another."""
    body = error.body if isinstance(error.body, dict) else {}
    whole = {"error": body}  # the client has unpacked it
    return whole if is_filtered(whole) else None


async def _sent(client: AsyncOpenAI, question: Mapping[str, Any]) -> bytes:
    """The body of the response, unread: the client's own reading takes one that is no JSON for a reply."""
    body = dict(question["body"])
    if "url" in question:
        return (await client.post(question["url"], cast_to=str, body=body)).encode()
    name = body.pop("model")
    if question["endpoint"] == "chat":
        messages = body.pop("messages")
        raw = await client.chat.completions.with_raw_response.create(model=name, messages=messages, extra_body=body)
    else:
        prompt = body.pop("prompt")
        raw = await client.completions.with_raw_response.create(model=name, prompt=prompt, extra_body=body)
    return raw.content


def _may_pass(error: Exception) -> bool:
    """Whether the same question may be answered later."""
    if isinstance(error, APIStatusError):
        is_answered_later = (
            OUT_OF_MONEY not in (error.code, error.type) and _retry_after_seconds(error) <= PATIENCE_SECONDS
        )
        return passes(error.status_code) and is_answered_later
    if isinstance(error, ServedError):
        return error.may_pass
    return isinstance(error, APIConnectionError | TimeoutError | ValueError)


def _delay_seconds(error: Exception, attempt: int, key: str) -> float:
    """How long to wait: as the server says, or twice as long each time; half of it differs between questions."""
    jitter = 0.5 + 0.5 * derive_seed("backoff", key, attempt) / 2**32
    delay = min(FIRST_DELAY_SECONDS * 2.0**attempt, LONGEST_DELAY_SECONDS) * jitter
    return max(delay, _retry_after_seconds(error))


def _retry_after_seconds(error: Exception) -> float:
    """What the header Retry-After says, a number of seconds or a date; 0 without one."""
    value = error.response.headers.get("retry-after", "") if isinstance(error, APIStatusError) else ""
    try:
        seconds = float(value)
        return seconds if math.isfinite(seconds) else 0.0
    except ValueError:
        pass
    try:
        return (email.utils.parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
    except (TypeError, ValueError, OverflowError):
        return 0.0


def _problem(error: Exception, model: ApiModel) -> str:
    """What went wrong."""
    if isinstance(error, APIStatusError):
        if place := error.response.headers.get("location"):
            return f"status {error.status_code}: it points to {place!r}; if the server has moved, give its new address"
        said = error.message.removeprefix(f"Error code: {error.status_code}").lstrip(" -")
        return f"status {error.status_code}: {said or beginning(error.response.text) or 'without a word'}"
    if isinstance(error, TimeoutError):
        return f"nothing within {model.timeout_seconds:g} s"
    if isinstance(error, APIConnectionError):
        return f"connection: {reason_of(error.__cause__ or error)}"
    return f"unreadable: {error}"
