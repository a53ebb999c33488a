"""Bodies of both endpoints, as OpenAI's reference and other servers have them, and bodies that hold no answer."""

import re
from typing import Any

import pytest

from tallrec.api.bodies import Reply, ServedError, body_of, is_filtered, reply_of

COMPLETION = {
    "id": "cmpl-1",
    "object": "text_completion",
    "choices": [
        {
            "text": " Yes",
            "index": 0,
            "finish_reason": "length",
            "logprobs": {
                "tokens": [" Yes"],
                "token_logprobs": [-0.5],
                "top_logprobs": [{" No": -1.5, " Yes": -0.5}],
                "text_offset": [10],
            },
        }
    ],
    "usage": {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11},
}
ENTRIES = [{"token": "Yes", "logprob": -0.5, "bytes": [89]}, {"token": "No", "logprob": -1.5, "bytes": [78]}]
CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Yes", "refusal": None},
            "finish_reason": "stop",
            "logprobs": {"content": [ENTRIES[0] | {"top_logprobs": ENTRIES}], "refusal": None},
        }
    ],
    "usage": {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11},
}


def of_choice(**choice: Any) -> Reply:
    return reply_of({"choices": [choice]})


def test_both_endpoints_are_read() -> None:
    assert reply_of(COMPLETION) == Reply(" Yes", ((" Yes", -0.5), (" No", -1.5)), False, 10, 1)
    assert reply_of(CHAT) == Reply("Yes", (("Yes", -0.5), ("No", -1.5)), False, 10, 1)


def test_what_a_server_leaves_out_is_none() -> None:
    assert of_choice(text="Yes") == Reply("Yes", None, False, None, None)
    assert of_choice(message={"content": None}) == Reply("", None, False, None, None)
    for logprobs in (None, {"content": None}, {"content": []}, {"top_logprobs": []}, {"top_logprobs": [None]}):
        assert of_choice(text="", logprobs=logprobs).top is None


def test_what_was_withheld_is_marked() -> None:
    assert of_choice(message={"content": None, "refusal": "I must not"}).is_withheld
    assert of_choice(text="", finish_reason="content_filter").is_withheld


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        "Yes",
        {},
        {"error": {"message": "overloaded"}},
        {"choices": []},
        {"choices": [{"index": 0}]},
        {"choices": [{"message": "Yes"}]},
        {"choices": [{"text": "Yes", "logprobs": {"content": [{"top_logprobs": [{"token": "Yes"}]}]}}]},
        {"choices": [{"text": "Yes", "logprobs": {"top_logprobs": [{"Yes": None}]}}]},
    ],
)
def test_what_is_no_answer_is_refused(body: Any) -> None:
    with pytest.raises(ValueError, match="no answer in it"):
        reply_of(body)


def chat(pairs: list[tuple[str, float]], **entry: Any) -> Reply:
    """A chat reply with these tokens and log-probabilities among the likeliest."""
    listed = [{"token": token, "logprob": value, "bytes": list(token.encode()), **entry} for token, value in pairs]
    return of_choice(message={"content": "Yes"}, logprobs={"content": [{"token": "Yes", "top_logprobs": listed}]})


def test_a_token_that_stands_twice_counts_once() -> None:
    once = [("Yes", -0.6), ("No", -1.1), ("I", -3.0)]
    for twice in ([("Yes", -0.6), *once], [("No", -1.1), *once], [("No", -1.1004), *once]):
        assert sorted(token for token, _ in chat(twice).top or ()) == ["I", "No", "Yes"]
    assert chat([("Yes", -0.6), *once]) == chat(once)


def test_two_tokens_of_one_text_are_two() -> None:
    entries = [{"token": "\ufffd", "logprob": -1.0, "bytes": [byte]} for byte in (240, 241)]
    found = of_choice(text="", logprobs={"content": [{"top_logprobs": entries}]})
    assert found.top == (("\ufffd", -1.0), ("\ufffd", -1.0))
    assert len(chat([("Yes", -0.7), ("Yes", -2.0)], bytes=None).top or ()) == 2


@pytest.mark.parametrize("pairs", [[("Yes", -0.1), ("No", -0.2)], [("Yes", -0.01), (" Yes", -4.0), ("No", -4.0)]])
def test_probabilities_that_add_up_to_more_than_one_are_refused(pairs: list[tuple[str, float]]) -> None:
    with pytest.raises(ValueError, match=r"add up to 1\.\d+, expected 1 at most"):
        chat(pairs)
    with pytest.raises(ValueError, match="add up to"):
        of_choice(text="Yes", logprobs={"top_logprobs": [dict(pairs)]})


def test_what_servers_round_is_no_error() -> None:
    assert len(chat([("Yes", -0.6931), ("No", -0.6931), ("I", -9.0)]).top or ()) == 3


def test_the_content_may_be_a_list_of_parts_and_thoughts_are_none_of_it() -> None:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "No?"}]}, {"type": "text", "text": "Yes"}]
    found = of_choice(message={"content": parts})
    assert found.text == "Yes"
    assert "No?" in found.thoughts
    for key in ("reasoning_content", "reasoning"):
        assert of_choice(message={"content": "", key: "No, or"}) == Reply("", None, False, None, None, "No, or")


PROVIDER = {"code": 502, "message": "Provider broke"}


@pytest.mark.parametrize(
    ("body", "message", "may_pass"),
    [
        ({"error": PROVIDER}, "Provider broke", True),
        ({"error": PROVIDER, "choices": CHAT["choices"]}, "Provider broke", True),
        ({"error": "no such model"}, "no such model", True),
        ({"error": {"message": "no key", "code": 401}}, "no key", False),
        ({"error": {"message": "slow down", "code": "429"}}, "slow down", True),
        ({"object": "error", "message": "too long", "code": 400}, "too long", False),
        ({"choices": [{"finish_reason": "error", "error": PROVIDER, "message": {"content": ""}}]}, "Provider br", True),
        ({"choices": [{"finish_reason": "error", "text": ""}]}, "finish_reason", True),
        ({"choices": [{"message": {"content": "Ye", "error": PROVIDER}}]}, "Provider broke", True),
    ],
)
def test_an_error_with_the_status_of_a_success_is_no_answer(body: Any, message: str, may_pass: bool) -> None:
    with pytest.raises(ServedError, match=f"no answer in it, but an error: .*{message}") as caught:
        reply_of(body)
    assert caught.value.may_pass is may_pass


@pytest.mark.parametrize(
    "error",
    [
        {"code": "content_filter", "message": "filtered"},
        {"type": "content_policy_violation"},
        {"code": "400", "innererror": {"code": "ResponsibleAIPolicyViolation"}},
    ],
)
def test_a_question_that_a_filter_took_away_is_withheld(error: Any) -> None:
    withheld = Reply("", None, True, None, None)
    assert reply_of({"error": error}) == withheld
    assert of_choice(finish_reason="error", error=error, text="") == withheld
    assert not is_filtered({"error": PROVIDER})


@pytest.mark.parametrize("content", [b"<html>Bad gateway</html>", b"Internal", b'{"choices": ['])
def test_the_beginning_of_what_is_no_json_is_told(content: bytes) -> None:
    with pytest.raises(ValueError, match=re.escape(content.decode())):
        body_of(content + b" " * 5)


@pytest.mark.parametrize("reason", ["abort", "ERROR", "cancelled", "network_error", "insufficient_system_resource"])
def test_an_empty_reply_that_ended_for_no_reason_of_its_own_is_an_error(reason: str) -> None:
    with pytest.raises(ServedError, match=reason) as caught:
        of_choice(text="", finish_reason=reason)
    assert caught.value.may_pass
    for ended in ("stop", "LENGTH", "eos_token", None):
        assert of_choice(text="", finish_reason=ended) == Reply("", None, False, None, None)


@pytest.mark.parametrize(
    "reason", ["CONTENT_FILTER", "content_filter: RECITATION", "SAFETY", "PROHIBITED_CONTENT", "sensitive", "refusal"]
)
def test_every_spelling_of_a_filter_is_withheld(reason: str) -> None:
    assert of_choice(text="", finish_reason=reason).is_withheld


@pytest.mark.parametrize(
    "error",
    [
        {"code": "DataInspectionFailed", "message": "inappropriate"},
        {"type": "content_filter", "message": "filtered"},
        {"code": 403, "message": "flagged", "metadata": {"reasons": ["violence"], "flagged_input": "a film"}},
    ],
)
def test_other_gateways_mark_a_filtered_question_in_their_own_way(error: Any) -> None:
    assert is_filtered({"error": error})
    assert not is_filtered({"error": {"code": "case_sensitive_name", "metadata": {"provider_name": "x"}}})


def test_a_token_that_stands_twice_counts_once_where_one_place_lacks_its_bytes() -> None:
    twice = [{**ENTRIES[0], "bytes": None}, *ENTRIES]
    found = of_choice(text="", logprobs={"content": [{"top_logprobs": twice}]})
    assert found.top == (("Yes", -0.5), ("No", -1.5))


@pytest.mark.parametrize("value", [None, True, [-0.5]])
def test_a_log_probability_that_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"the log-probability of 'Yes' is .*, expected a number"):
        chat([("Yes", value), ("No", -1.0)])


def test_likeliest_tokens_of_no_probability_are_refused() -> None:
    with pytest.raises(ValueError, match=r"add up to 0e\+00, expected more"):
        chat([("Yes", -9999.0), ("No", -9999.0)])
    assert chat([("Yes", -0.1), ("No", float("-inf"))]).top


def test_odd_counts_of_tokens_lose_no_answer() -> None:
    for usage in ("many", [1], None, {"prompt_tokens": -1, "completion_tokens": True}):
        assert reply_of({**COMPLETION, "usage": usage}) == Reply(
            " Yes", ((" Yes", -0.5), (" No", -1.5)), False, None, None
        )
