"""The body of a server's reply -> what is read of it: text, log-probabilities of the first token, token counts."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ROUNDING = 1e-3
"""A log-probability is at most 0; servers round."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply."""

    text: str
    top: tuple[tuple[str, float], ...] | None
    """The likeliest first tokens and their log-probabilities, as many as the server gave; None: it gave none."""
    is_withheld: bool
    """Whether the server says itself that the model refused, or that a filter took the reply away."""
    n_input_tokens: int | None
    """As the server counts them, None where it does not."""
    n_output_tokens: int | None


def body_of(content: bytes) -> Any:
    """The JSON in the body of a response.

    Raises:
        ValueError: it is none.
    """
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("JSON that is nested too deeply") from None


def reply_of(body: object) -> Reply:
    """The reply in the body of either endpoint, completions or chat.

    Raises:
        ValueError: it is not the body of a reply, such as an error with the status of a success.
    """
    try:
        choice = _mapping(_mapping(body)["choices"][0])
        usage = _mapping(_mapping(body).get("usage") or {})
        message = _mapping(choice["message"]) if "message" in choice else {"content": choice["text"]}
        return Reply(
            text=str(message.get("content") or ""),
            top=_top(choice.get("logprobs")),
            is_withheld=bool(message.get("refusal")) or choice.get("finish_reason") == "content_filter",
            n_input_tokens=_count(usage.get("prompt_tokens")),
            n_output_tokens=_count(usage.get("completion_tokens")),
        )
    except (KeyError, IndexError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"no answer in it ({type(error).__name__}: {error})") from error


def _top(logprobs: object) -> tuple[tuple[str, float], ...] | None:
    """The first token's alternatives, in the form of either endpoint; likeliest first."""
    if not logprobs:
        return None
    found = _mapping(logprobs)
    pairs: Sequence[tuple[Any, Any]] = ()
    if found.get("content"):
        pairs = [(entry["token"], entry["logprob"]) for entry in found["content"][0].get("top_logprobs") or ()]
    elif found.get("top_logprobs"):
        pairs = list(_mapping(found["top_logprobs"][0] or {}).items())
    top = [(str(token), float(value)) for token, value in pairs]
    for token, value in top:
        if not value <= ROUNDING:  # false for NaN too
            raise ValueError(f"the log-probability of {token!r:.60} is {value}, expected none above 0")
    return tuple(sorted(top, key=lambda pair: -pair[1])) or None


def _mapping(part: object) -> Mapping[str, Any]:
    if not isinstance(part, Mapping):
        raise TypeError(f"expected an object, got {type(part).__name__}")
    return part


def _count(value: object) -> int | None:
    return value if isinstance(value, int) else None
