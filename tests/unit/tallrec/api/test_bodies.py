"""Bodies of both endpoints, as OpenAI's reference and other servers have them, and bodies that hold no answer."""

from typing import Any

import pytest

from tallrec.api.bodies import Reply, reply_of

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
