"""The bodies of endpoints that reply with numbers: tokens of a text, and probabilities of tokens."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tallrec.api.bodies import ROUNDING, Reply, beginning, count_in, mapping_of, refuse_error


def tokens_reply(body: object) -> Reply:
    """The ids that `/tokenize` gives a text, as `numbers`, and the tokens that the server has room for.

    Raises:
        ServedError: the body is that of an error.
        ValueError: it holds no ids.
    """
    whole = _whole(body)
    ids, most = whole.get("tokens"), whole.get("max_model_len")
    if not isinstance(ids, list) or not ids or not all(isinstance(one, int) and one >= 0 for one in ids):
        raise ValueError(f"no tokens in it: {beginning(json.dumps(body))}")
    room = most if isinstance(most, int) and 0 < most < 2**31 else None  # a tokenizer without a limit says 10^30
    return _reply(whole, ids, room)


def generative_scoring_reply(body: object) -> Reply:
    """The probability of the first label after the one item of vLLM's `/generative_scoring`, as `numbers`.

    Raises:
        ServedError: the body is that of an error.
        ValueError: it holds no probability.
    """
    whole = _whole(body)
    data = whole.get("data")
    entry = data[0] if isinstance(data, list) and len(data) == 1 else None
    return _reply(whole, [_probability(entry.get("score") if isinstance(entry, Mapping) else None, body)])


def score_reply(body: object) -> Reply:
    """The probability of each label after the one item of SGLang's `/v1/score`, as `numbers`.

    Raises:
        ServedError: the body is that of an error.
        ValueError: it holds no probabilities of two labels.
    """
    whole = _whole(body)
    scores = whole.get("scores")
    found = scores[0] if isinstance(scores, list) and len(scores) == 1 else None
    if not isinstance(found, list) or len(found) != 2:
        raise ValueError(f"no two probabilities in it: {beginning(json.dumps(body))}")
    return _reply(whole, [_probability(value, body) for value in found])


def _whole(body: object) -> Mapping[str, Any]:
    try:
        whole = mapping_of(body)
    except TypeError as error:
        raise ValueError(f"no answer in it ({error}): {beginning(json.dumps(body))}") from None
    refuse_error(whole)
    return whole


def _probability(value: object, body: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1 + ROUNDING:
        raise ValueError(f"no probability in it: {beginning(json.dumps(body))}")
    return min(float(value), 1.0)


def _reply(whole: Mapping[str, Any], numbers: Sequence[float], most_tokens: int | None = None) -> Reply:
    usage = whole.get("usage")
    counts = usage if isinstance(usage, Mapping) else {}
    n_input, n_output = (count_in(counts.get(name)) for name in ("prompt_tokens", "completion_tokens"))
    return Reply("", None, False, n_input, n_output, numbers=tuple(numbers), most_tokens=most_tokens)
