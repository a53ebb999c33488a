"""Chat templates of the shapes that families have, in our own words, on the tiny tokenizer."""

from copy import deepcopy
from datetime import date
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from benchmark.errors import DataError
from benchmark.schema import FewShotTask, Sample
from tallrec.prompts.answer_tokens import encode_questions
from tallrec.prompts.chat import Question, question_of
from tallrec.prompts.rendering import conversation, render, style_named, style_names

MARKED = """{%- for message in messages %}{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}
{%- endfor %}{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{%- endif %}"""
WITH_BEGIN_AND_DAY = """{{ '<s>Today is ' + strftime_now('%d %b %Y') + '.\n\n' }}{%- for message in messages %}
{{- '[' + message.role + ']\n\n' + message.content | trim + '</s>' }}{%- endfor %}
{%- if add_generation_prompt %}{{ '[assistant]\n\n' }}{%- endif %}"""
IN_BRACKETS = """{{ '<s>' }}{%- for message in messages %}{%- if message.role == 'user' %}
{{- '[INST] ' + message.content + ' [/INST]' }}{%- else %}{{ ' ' + message.content + '</s>' }}{%- endif %}
{%- endfor %}"""
THINKING = """{%- for message in messages %}{{ '<|im_start|>' + message.role + '\n' }}
{%- if message.role == 'assistant' and loop.last %}{{ '<think>\n\n</think>\n\n' }}{%- endif %}
{{- message.content + '<|im_end|>\n' }}{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}
{%- if enable_thinking is false %}{{ '<think>\n\n</think>\n\n' }}{%- endif %}{%- endif %}"""
THOUGHTS_NOT_KEPT = """{%- for message in messages %}{{ '<turn|' + message.role + '>' + message.content + '</turn>' }}
{%- endfor %}{%- if add_generation_prompt %}{{ '<turn|assistant>' }}
{%- if not enable_thinking %}{{ '<thought></thought>' }}{%- endif %}{%- endif %}"""
WITH_CHANNELS = """{%- for message in messages %}{{ '<start>' + message.role }}
{%- if message.role == 'assistant' %}{{ '<channel>final' }}{%- endif %}{{ '<message>' + message.content + '<end>' }}
{%- endfor %}{%- if add_generation_prompt %}{{ '<start>assistant' }}{%- endif %}"""
ALWAYS_THINKING = """{%- for message in messages %}{{ '[' + message.role + ']' + message.content }}{%- endfor %}
{%- if add_generation_prompt %}{{ '[assistant]<think>\n' }}{%- endif %}"""
CHOOSY = """{%- for message in messages %}{%- if (message.role == 'user') != (loop.index0 % 2 == 0) %}
{{- raise_exception('Roles must alternate') }}{%- endif %}{%- if message.role not in ('user', 'assistant') %}
{{- raise_exception('System role not supported') }}{%- endif %}
{{- message.role + ': ' + message.content + '\n' }}{%- endfor %}
{%- if add_generation_prompt %}{{ 'assistant: ' }}{%- endif %}"""

CLOSED = {THINKING: "<|im_end|>\n", THOUGHTS_NOT_KEPT: "</turn>", WITH_CHANNELS: "<end>"}
"""What ends a message."""


def with_template(tokenizer: PreTrainedTokenizerFast, template: Any) -> PreTrainedTokenizerFast:
    chat = deepcopy(tokenizer)
    chat.chat_template = template
    return chat


def ask_first(tokenizer: PreTrainedTokenizerFast, style: str, task: FewShotTask, n_shown: int = 0) -> Question:
    shown = task.train[:n_shown]
    return question_of(tokenizer, style, task.test[0], task.items, stray_comment=True, demonstrations=shown)


@pytest.mark.parametrize("n_shown", [0, 2])
@pytest.mark.parametrize(
    "template", [MARKED, WITH_BEGIN_AND_DAY, CHOOSY], ids=["marked", "with begin and day", "choosy"]
)
def test_a_chat_model_is_asked_where_its_template_has_it_reply(
    tokenizer: PreTrainedTokenizerFast, toy_task: FewShotTask, template: str, n_shown: int
) -> None:
    chat = with_template(tokenizer, template)
    question = ask_first(chat, "gpt", toy_task, n_shown)
    messages = conversation(
        "gpt", toy_task.test[0], toy_task.items, stray_comment=True, demonstrations=toy_task.train[:n_shown]
    )
    expected = chat.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert question.text == str(expected).replace(f"{date.today():%d %b %Y}", "26 Jul 2024")
    assert question.answers == {True: "Yes", False: "No"}
    prompts, tokens = encode_questions(chat, [question])
    assert prompts[0] == chat(question.text, add_special_tokens=False)["input_ids"]
    assert [chat.decode([token]) for token in (tokens.yes, tokens.no)] == ["Yes", "No"]


@pytest.mark.parametrize("template", [None, WITH_BEGIN_AND_DAY], ids=["text", "chat"])
def test_a_prompt_begins_once(tokenizer: PreTrainedTokenizerFast, toy_task: FewShotTask, template: str | None) -> None:
    chat = deepcopy(tokenizer)
    chat.chat_template = template
    prompts, _ = encode_questions(chat, [ask_first(chat, "gpt", toy_task)])
    assert [token == chat.bos_token_id for token in prompts[0]] == [True] + [False] * (len(prompts[0]) - 1)


def test_a_space_before_the_reply_goes_to_the_reply(tokenizer: PreTrainedTokenizerFast, toy_task: FewShotTask) -> None:
    chat = with_template(tokenizer, IN_BRACKETS)
    question = ask_first(chat, "gpt", toy_task)
    assert question.text.endswith(" [/INST] ")
    prompts, tokens = encode_questions(chat, [question])
    together = chat(question.text + "Yes", add_special_tokens=False)["input_ids"]
    assert together[: len(prompts[0]) + 1] == [*prompts[0], tokens.yes]
    assert str(chat.decode([tokens.yes])).strip() == "Yes"


@pytest.mark.parametrize(
    ("template", "end"),
    [
        (THINKING, "<|im_start|>assistant\n<think>\n\n</think>\n\n"),
        (THOUGHTS_NOT_KEPT, "<turn|assistant><thought></thought>"),
        (WITH_CHANNELS, "<start>assistant<channel>final<message>"),
    ],
    ids=["thinking", "thoughts not kept", "with channels"],
)
def test_a_reply_stands_behind_empty_thoughts_and_in_its_channel(
    tokenizer: PreTrainedTokenizerFast, toy_task: FewShotTask, template: str, end: str
) -> None:
    question = ask_first(with_template(tokenizer, template), "gpt", toy_task)
    assert question.text.endswith(f"{toy_task.items[toy_task.test[0].target_item_id].text}{CLOSED[template]}{end}")
    assert question.answers == {True: "Yes", False: "No"}


@pytest.mark.parametrize(
    ("how", "day"), [("%d %b %Y", "26 Jul 2024"), ("%Y-%m-%d", "2024-07-26"), ("%A, %B %d", "Friday, July 26")]
)
def test_the_day_is_always_the_same(
    tokenizer: PreTrainedTokenizerFast, toy_task: FewShotTask, how: str, day: str
) -> None:
    chat = with_template(tokenizer, WITH_BEGIN_AND_DAY.replace("%d %b %Y", how))
    assert ask_first(chat, "gpt", toy_task).text.startswith(f"<s>Today is {day}.\n")


@pytest.mark.parametrize("style", [style for style in style_names() if not style_named(style).is_chat])
def test_a_style_that_is_text_stays_text(tokenizer: PreTrainedTokenizerFast, toy_task: FewShotTask, style: str) -> None:
    question = ask_first(with_template(tokenizer, MARKED), style, toy_task)
    assert question == ask_first(tokenizer, style, toy_task)
    assert question.text == render(style, toy_task.test[0], toy_task.items, stray_comment=True)


def test_without_a_template_a_chat_style_is_text(tokenizer: PreTrainedTokenizerFast, toy_task: FewShotTask) -> None:
    assert ask_first(tokenizer, "gpt", toy_task) == Question(
        render("gpt", toy_task.test[0], toy_task.items, stray_comment=True), {True: " Yes", False: " No"}
    )


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{{ raise_exception('Only a system may speak') }}", "a question and a reply: Only a system may speak"),
        ("{% for message in messages %}", "a question and a reply: .*end of template"),
        ("{{ 1 / 0 }}", "a question and a reply: division by zero"),
        (7, "a question and a reply: .*int"),
        (ALWAYS_THINKING, "has the model think first"),
        ("{{ messages[0].content }}", "does not write a reply as it is"),
        ("{% for message in messages %}{{ message.content | upper }}{% endfor %}", "does not write a reply as it is"),
    ],
    ids=["refuses", "broken", "fails", "no text", "always thinking", "drops replies", "changes replies"],
)
def test_a_template_that_cannot_hold_the_answer_is_refused(
    tokenizer: PreTrainedTokenizerFast, toy_task: FewShotTask, template: Any, problem: str
) -> None:
    with pytest.raises(DataError, match=problem):
        ask_first(with_template(tokenizer, template), "gpt", toy_task)


def test_a_question_holds_no_answer_of_its_own(tokenizer: PreTrainedTokenizerFast, toy_task: FewShotTask) -> None:
    # The two replies that find its place must leave no trace.
    question = ask_first(with_template(tokenizer, MARKED), "gpt", toy_task)
    sample: Sample = toy_task.test[0]
    assert "Yes" not in question.text.partition('"No"')[2]
    assert toy_task.items[sample.target_item_id].text in question.text
