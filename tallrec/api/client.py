"""Ask a server that speaks OpenAI's protocol: every question once, and again only where that may help.

The key comes from the environment and goes into the client alone. Whatever a server says is printed without it.
"""

import asyncio
import email.utils
import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from openai import APIConnectionError, APIStatusError, AsyncOpenAI, OpenAIError

from benchmark.errors import ConfigError, DataError, ServerError
from benchmark.seeding import derive_seed
from tallrec.api.bodies import Reply, body_of, reply_of
from tallrec.api.cache import ReplyCache, key_of
from tallrec.telling import Tell, silent

CHATTY = ("httpx", "httpx2", "openai")
"""Loggers that write a line a request, and at their lowest level the request itself."""
FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS = 0.5, 60.0
"""Of the exponential backoff. A server that names a longer wait gets it, up to `PATIENCE_SECONDS`."""
PATIENCE_SECONDS = 600.0
"""A server that wants more time than this, such as the rest of a day, is not waited for."""
NO_KEY = "none"
"""Sent to a server that needs no key: the client insists on one."""
OUT_OF_MONEY = "insufficient_quota"
"""The code of a 429 that no waiting mends."""


@dataclass(frozen=True, slots=True)
class ApiModel:
    """A model behind an address, and how it is asked."""

    address: str
    model: str
    key_variable: str | None
    """The environment variable with the key; None: the server needs none."""
    endpoint: str
    """`completions` or `chat`."""
    n_top_logprobs: int | None
    """How many of the first token's log-probabilities are asked for; None: none."""
    parameters: Mapping[str, Any]
    """Sent as they are: temperature, number of tokens, ..."""
    max_concurrency: int
    """Questions under way at any moment."""
    timeout_seconds: float
    """Of one attempt, from its start to the last byte."""
    n_retries: int
    """Attempts after the first."""

    def question(self, prompt: str | Sequence[Mapping[str, str]]) -> dict[str, Any]:
        """All that decides a reply: the key of the cache, and without the address the body of the request."""
        is_chat = self.endpoint == "chat"
        logprobs = {} if self.n_top_logprobs is None else {"logprobs": self.n_top_logprobs}
        if is_chat and logprobs:
            logprobs = {"logprobs": True, "top_logprobs": self.n_top_logprobs}
        asked = {"messages": list(prompt)} if is_chat else {"prompt": prompt}
        body = {"model": self.model, **asked, **logprobs, **self.parameters}
        return {"address": self.address.rstrip("/"), "endpoint": self.endpoint, "body": body}


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


def ask(
    model: ApiModel,
    prompts: Sequence[str | Sequence[Mapping[str, str]]],
    cache: ReplyCache,
    tell: Tell = silent,
) -> tuple[list[Reply], Traffic]:
    """The reply to every prompt, in their order; what the cache knows is not asked, equal prompts are asked once.

    A reply is in the cache as soon as it has come. After an error no new question is sent, and those under way are
    waited for, since they are paid for.

    Args:
        model: whom to ask.
        prompts: texts for the completions endpoint, chat messages for the other.
        cache: what is known already.
        tell: for progress.

    Raises:
        ConfigError: a question must be sent and the key is not in the environment.
        ServerError: the server refuses a question, or gives no reply after every retry.
    """
    questions = {key_of(question): question for question in map(model.question, prompts)}
    known = {key: body for key in questions if (body := cache.get(key)) is not None}
    replies = {key: _kept(key, body) for key, body in known.items()}
    asked = {key: question for key, question in questions.items() if key not in known}

    def keep(key: str, body: dict[str, Any], reply: Reply) -> None:
        cache.put(key, questions[key], body)
        replies[key] = reply
        tell(len(replies), len(questions))

    n_retries = asyncio.run(_ask_server(model, _secret(model.key_variable), asked, keep)) if asked else 0
    traffic = Traffic(
        len(asked),
        n_retries,
        len(known),
        *_n_tokens(list(replies.values())),
        *_n_tokens([replies[key] for key in asked]),
    )
    return [replies[key_of(model.question(prompt))] for prompt in prompts], traffic


def _kept(key: str, body: Mapping[str, Any]) -> Reply:
    """The reply in a body of the cache.

    Raises:
        DataError: it is none, so that somebody else wrote it.
    """
    try:
        return reply_of(body)
    except ValueError as error:
        raise DataError(f"the cache of answers: entry {key}: {error}; remove the entry or the file") from None


def _n_tokens(replies: Sequence[Reply]) -> tuple[int | None, int | None]:
    """Tokens of the questions and of the replies; None where one is not counted."""
    counts = ([reply.n_input_tokens for reply in replies], [reply.n_output_tokens for reply in replies])
    n_input, n_output = (None if None in column else sum(filter(None, column)) for column in counts)
    return n_input, n_output


def _secret(variable: str | None) -> str:
    """The key.

    Raises:
        ConfigError: it is not in the environment.
    """
    if variable is None:
        return NO_KEY
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ConfigError(f"environment variable {variable}: not set, expected the key of the server")
    return key


async def _ask_server(
    model: ApiModel,
    secret: str,
    questions: Mapping[str, Mapping[str, Any]],
    keep: Callable[[str, dict[str, Any], Reply], None],
) -> int:
    """Send all questions, the first one alone: what is wrong with every one is learnt from it. Returns the retries."""
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    failures: list[ServerError] = []
    n_retries = 0
    async with AsyncOpenAI(base_url=model.address, api_key=secret, max_retries=0) as client:

        async def work(keys: Iterator[str]) -> None:
            nonlocal n_retries
            for key in keys:
                if failures:
                    return
                try:
                    body, reply, n_more = await _replied(client, model, questions[key], secret)
                except ServerError as error:
                    failures.append(ServerError(f"{model.address}: {_one_line(error, secret)}"))
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
            if secret != NO_KEY:  # a server may repeat what it was sent
                content = content.replace(secret.encode(), b"***")
            body = body_of(content)
            reply = reply_of(body)
        except (OpenAIError, TimeoutError, ValueError) as error:
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


async def _sent(client: AsyncOpenAI, question: Mapping[str, Any]) -> bytes:
    """The body of the response, unread: the client's own reading takes one that is no JSON for a reply."""
    body = dict(question["body"])
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
        is_passing = error.status_code in (408, 409, 429) or error.status_code >= 500
        return is_passing and error.code != OUT_OF_MONEY and _retry_after_seconds(error) <= PATIENCE_SECONDS
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
        return f"status {error.status_code}: {error.message}"
    if isinstance(error, TimeoutError):
        return f"nothing within {model.timeout_seconds:g} s"
    if isinstance(error, APIConnectionError):
        return f"connection: {error.__cause__ or error}"
    return f"unreadable: {error}"


def _one_line(text: object, secret: str) -> str:
    """One line of at most 300 characters, without the key, which some servers repeat when they refuse it."""
    line = " ".join(str(text).split())
    return (line if secret == NO_KEY else line.replace(secret, "***"))[:300]
