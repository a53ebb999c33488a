"""What a model is asked, as the text that it gets: a prompt style, through the chat template of the model if it is one.

The answer stands behind the generation prompt of the template, asked for without thoughts, since a score is read off
one token. Where the template writes more than that before a reply (a space, the name of a channel), it is read off two
conversations in which the assistant has replied the one and the other: the answer stands where they begin to differ.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from transformers import PreTrainedTokenizerBase

from benchmark.errors import DataError, reason_of
from benchmark.schema import Item, Labelled, Sample
from tallrec.prompts.rendering import answer_texts, conversation, render, style_named
from tallrec.token_sequences import n_shared

TODAY = date(2024, 7, 26)
"""What templates are told that ask for the day (LLaMA's own default), so that no score depends on it."""
ASKS_FOR_THE_DAY = "strftime_now"
"""The function by which a template asks; a macro of that name takes its place."""
THOUGHT = "<think>"
"""Opens the thoughts of models that think whatever they are told."""
TELL_THE_DAY = "".join(
    [
        "{% macro strftime_now(format) %}{{ format",
        *(f" | replace('%{part}', '{TODAY.strftime(f'%{part}')}')" for part in "aAbBdmyYjHMS"),
        " }}{% endmacro %}",
    ]
)


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt as text, and the answers as they follow it."""

    text: str
    answers: Mapping[bool, str]
    add_special_tokens: bool = True
    """Whether the tokenizer adds its own, such as a begin of text; a chat template has written them."""


def question_of(
    tokenizer: PreTrainedTokenizerBase,
    style: str,
    sample: Sample,
    items: Mapping[str, Item],
    *,
    stray_comment: bool,
    demonstrations: Sequence[Labelled] = (),
) -> Question:
    """The question about one sample in a style; as chat messages if the style and the tokenizer have them.

    Raises:
        DataError: the chat template does not take the messages, does not say where a reply stands, or opens a thought.
    """
    if not (style_named(style).is_chat and tokenizer.chat_template):
        text = render(style, sample, items, stray_comment=stray_comment, demonstrations=demonstrations)
        return Question(text, answer_texts(style))
    messages = conversation(style, sample, items, stray_comment=stray_comment, demonstrations=demonstrations)
    replies = {liked: answer.strip() for liked, answer in answer_texts(style).items()}
    whole = {
        liked: _in_template(tokenizer, [*messages, {"role": "assistant", "content": reply}])
        for liked, reply in replies.items()
    }
    written = whole[True][: n_shared(whole[True], whole[False])]
    if not all(whole[liked][len(written) :].startswith(reply) for liked, reply in replies.items()):
        raise DataError("tokenizer: its chat template does not write a reply as it is, so the answer has no place")
    opened = _in_template(tokenizer, messages, add_generation_prompt=True)
    text = written if written.startswith(opened) else opened
    if text.rstrip().endswith(THOUGHT):
        raise DataError(
            f"tokenizer: its chat template has the model think first ({THOUGHT}), so no token is its answer"
        )
    return Question(text, replies, add_special_tokens=False)


def _in_template(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[dict[str, str]], *, add_generation_prompt: bool = False
) -> str:
    """The text of a conversation, with or without the opening of a further reply."""
    try:
        template = tokenizer.get_chat_template()
        if ASKS_FOR_THE_DAY in template:
            template = TELL_THE_DAY + template
        text = tokenizer.apply_chat_template(
            list(messages),
            chat_template=template,
            add_generation_prompt=add_generation_prompt,
            tokenize=False,
            enable_thinking=False,
        )
    except Exception as error:  # a template is a program
        told = reason_of(error)
        raise DataError(f"tokenizer: its chat template does not take a question and a reply: {told}") from error
    assert isinstance(text, str)
    return text
