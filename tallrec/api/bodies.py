"""The body of a server's reply -> what is read of it: text, log-probabilities of the first token, token counts.

An error may come with the status of a success, as the body or inside the choice; it is no answer, and is not kept.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ROUNDING = 1e-3
"""A log-probability is at most 0, and probabilities add up to 1 at most; servers round."""
MOST_PROBABILITY = 1.01
"""Of all tokens together, each of which is rounded."""
FILTERED = re.compile(
    r"content_?(filter|policy)|moderation|data_?inspection|responsible_?ai|guardrail|blocklist|prohibited_content|"
    r"recitation|^(safety|sensitive|spii|refusal)$",
    re.IGNORECASE,
)
"""Codes of errors, and reasons to end, by which servers say that a filter took the question or the reply away."""
ENDED = {"stop", "length", "eos", "eos_token", "end_turn", "stop_sequence", "max_tokens", "tool_calls", "function_call"}
"""Reasons to end a reply that may be empty."""
FAILED = {"error", "abort", "aborted", "cancelled", "canceled"}
"""Reasons to end a reply that is none, whatever there is of it."""
OUT_OF_MONEY = "insufficient_quota"
"""The code, or the type, of an error that no waiting mends."""
LEAST_PROBABILITY = 1e-6
"""Of the likeliest tokens together: no vocabulary is so large that none of them is likelier."""
N_SHOWN = 200
"""Letters of a body that is no answer, for the error."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply."""

    text: str
    top: tuple[tuple[str, float], ...] | None
    """The likeliest first tokens and their log-probabilities, as many as the server gave; None: it gave none."""
    is_withheld: bool
    """Whether the server says itself that the model refused, or that a filter took the question or the reply away."""
    n_input_tokens: int | None
    """As the server counts them, None where it does not."""
    n_output_tokens: int | None
    thoughts: str = ""
    """What the model thought, where the server gives that apart from the text; never read for an answer."""
    numbers: tuple[float, ...] = ()
    """Of an endpoint that replies with such: tokens of a text, or probabilities of tokens."""
    most_tokens: int | None = None
    """That the server has room for, prompt and answer together, where it says so."""


class ServedError(ValueError):
    """An error with the status of a success."""

    def __init__(self, message: str, *, may_pass: bool) -> None:
        super().__init__(message)
        self.may_pass = may_pass
        """Whether the same question may be answered later."""


def body_of(content: bytes) -> Any:
    """The JSON in the body of a response.

    Raises:
        ValueError: it is none.
    """
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("JSON that is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"{error}: {beginning(content.decode(errors='replace'))}") from None


def is_filtered(body: object) -> bool:
    """Whether the body of an error says that a filter took the question away."""
    error = body.get("error") if isinstance(body, Mapping) else None
    if not isinstance(error, Mapping):
        return False
    inner, more = (part if isinstance(part := error.get(key), Mapping) else {} for key in ("innererror", "metadata"))
    return any(map(_is_of_filter, (error.get("code"), error.get("type"), inner.get("code")))) or "flagged_input" in more


def _is_of_filter(code: object) -> bool:
    return isinstance(code, str) and FILTERED.search(code) is not None


def reply_of(body: object) -> Reply:
    """The reply in the body of either endpoint, completions or chat; of one that was filtered, an empty one.

    Raises:
        ServedError: the body is that of an error, or its choice holds one.
        ValueError: it is not the body of a reply, or what it says of probabilities is impossible.
    """
    if is_filtered(body):
        return Reply("", None, True, None, None)
    try:
        whole = mapping_of(body)
        refuse_error(whole)
        choice = mapping_of(whole["choices"][0])
        usage = whole["usage"] if isinstance(whole.get("usage"), Mapping) else {}
        message = mapping_of(choice["message"]) if "message" in choice else {"content": choice["text"]}
        end = choice.get("finish_reason")
        is_withheld = bool(message.get("refusal")) or is_filtered(choice) or _is_of_filter(end)
        if not is_withheld:
            for part in (choice, message):
                refuse_error(part)
        text, thoughts = _texts(message.get("content"))
        given = message.get("reasoning_content") or message.get("reasoning")
        reply = Reply(
            text=text,
            top=_top(choice.get("logprobs")),
            is_withheld=is_withheld,
            n_input_tokens=count_in(usage.get("prompt_tokens")),
            n_output_tokens=count_in(usage.get("completion_tokens")),
            thoughts=thoughts or (given if isinstance(given, str) else ""),
        )
    except (KeyError, IndexError, TypeError, AttributeError, OverflowError) as error:
        what = f"{type(error).__name__}: {error}"
        raise ValueError(f"no answer in it ({what}): {beginning(json.dumps(body))}") from error
    reason = end.lower() if isinstance(end, str) else "stop"
    is_empty = not (reply.text or reply.top or reply.thoughts)
    if not is_withheld and (reason in FAILED or (is_empty and reason not in ENDED)):
        raise ServedError(f"no answer in it, but an error: {beginning(json.dumps(choice))}", may_pass=True)
    return reply


def refuse_error(part: Mapping[str, Any]) -> None:
    """Refuse a body, a choice or a message that is an error, with what the server says of it.

    Raises:
        ServedError: it is one.
    """
    error = part if part.get("object") == "error" else part.get("error")
    if not error:
        return
    said, code, kind = error, None, None
    if isinstance(error, Mapping):
        said, code, kind = error.get("message") or error, error.get("code"), error.get("type")
    number = int(str(code)) if str(code).isdecimal() else 500
    text = said if isinstance(said, str) else json.dumps(said)
    raise ServedError(
        f"no answer in it, but an error: {beginning(text)}",
        may_pass=passes(number) and OUT_OF_MONEY not in (code, kind),
    )


def passes(code: int) -> bool:
    """Whether an error of this code, or status, may be gone at the next attempt."""
    return code >= 500 or code in (408, 409, 429)


def _texts(content: object) -> tuple[str, str]:
    """What is said and what is thought, in the content of a message: text, nothing, or a list of parts."""
    if content is None or isinstance(content, str):
        return content or "", ""
    if not isinstance(content, list):
        raise TypeError(f"expected text as content, got {type(content).__name__}")
    parts = [mapping_of(part) for part in content]
    said = [str(part["text"]) for part in parts if part.get("type") in ("text", "output_text")]
    return "".join(said), "".join(json.dumps(part) for part in parts if "thinking" in part)


def _top(logprobs: object) -> tuple[tuple[str, float], ...] | None:
    """The first token's alternatives, in the form of either endpoint, each once; likeliest first."""
    if not logprobs:
        return None
    found = mapping_of(logprobs)
    entries: Sequence[tuple[Any, Any, Any]] = ()
    if found.get("content"):
        listed = [mapping_of(entry) for entry in found["content"][0].get("top_logprobs") or ()]
        entries = [(entry["token"], entry["logprob"], entry.get("bytes")) for entry in listed]
    elif found.get("top_logprobs"):
        entries = [(token, value, None) for token, value in mapping_of(found["top_logprobs"][0] or {}).items()]
    seen: dict[str, list[tuple[float, object]]] = {}
    for token, value, content in entries:
        number = _log_probability(token, value)
        # Some servers list the token that was sampled first, and again among the likeliest. Two tokens of one text are
        # told apart by their bytes, where both have them, or by their probabilities.
        others = seen.setdefault(str(token), [])
        if not any(
            math.isclose(number, other, abs_tol=ROUNDING) and (content is None or known is None or content == known)
            for other, known in others
        ):
            others.append((number, content))
    top = [(token, value) for token, values in seen.items() for value, _ in values]
    total = sum(math.exp(value) for _, value in top)
    if top and total < LEAST_PROBABILITY:
        raise ValueError(f"the probabilities of the likeliest first tokens add up to {total:.0e}, expected more")
    if total > MOST_PROBABILITY:
        raise ValueError(f"the probabilities of the first token add up to {total:.3f}, expected 1 at most")
    return tuple(sorted(top, key=lambda pair: -pair[1])) or None


def _log_probability(token: object, value: object) -> float:
    if not isinstance(value, int | float | str) or isinstance(value, bool):
        raise TypeError(f"the log-probability of {token!r:.60} is {value!r:.60}, expected a number")
    number = float(value)
    if not number <= ROUNDING:  # false for NaN too
        raise ValueError(f"the log-probability of {token!r:.60} is {value}, expected none above 0")
    return number


def mapping_of(part: object) -> Mapping[str, Any]:
    """A part of a body that is an object.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(part, Mapping):
        raise TypeError(f"expected an object, got {type(part).__name__}")
    return part


def count_in(value: object) -> int | None:
    """A number of tokens, as far as it is one: some servers say -1 of what they did not count."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def beginning(text: str) -> str:
    """What of a body is shown in an error."""
    return text if len(text) <= N_SHOWN else f"{text[:N_SHOWN]}..."
