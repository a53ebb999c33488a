"""Answer tokens, read off the tokenizer, and where in a prompt they stand.

The answer position is decided by the answers and not by the prompt. Tokenizers differ in what an answer does to the
tokens before it: a space may become a part of the answer or a token of its own, and a line feed may melt into it. So
each prompt is encoded with either answer, and the first token in which the two differ is the answer token. All before
it is the prompt to score, since both answers have it.

Of an answer of several tokens ("Y", "es") only that first one is read: it decides between the two answers, one forward
pass gives it, and it is what the released code and the log-probabilities of a server give too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from benchmark.errors import DataError
from tallrec.prompts.chat import Question
from tallrec.token_sequences import n_shared, tokens_of


@dataclass(frozen=True, slots=True)
class AnswerTokens:
    """Ids of the first token in which the answers differ."""

    yes: int
    no: int


def encode_questions(
    tokenizer: PreTrainedTokenizerBase, questions: Sequence[Question]
) -> tuple[list[list[int]], AnswerTokens]:
    """The tokens of each prompt up to where the answers differ, and the answer tokens, the same for all.

    Raises:
        DataError: the answers cannot be told apart, or the tokens that differ are not the beginnings of the answers.
    """
    yes, no = (
        tokens_of(
            tokenizer,
            [question.text + question.answers[liked] for question in questions],
            add_special_tokens=questions[0].add_special_tokens,
        )["input_ids"]
        for liked in (True, False)
    )
    prompts = [of_yes[: n_shared(of_yes, of_no)] for of_yes, of_no in zip(yes, no, strict=True)]
    found: set[tuple[int, int]] = set()
    for question, prompt, of_yes, of_no in zip(questions, prompts, yes, no, strict=True):
        if len(prompt) == min(len(of_yes), len(of_no)):
            told = " and ".join(repr(answer) for answer in question.answers.values())
            raise DataError(f"tokenizer: it gives {told} the same tokens, or the one those the other begins with")
        found.add((of_yes[len(prompt)], of_no[len(prompt)]))
    if len(found) > 1:
        raise DataError(f"tokenizer: an answer begins with other tokens after other prompts: {sorted(found)[:2]}")
    tokens = AnswerTokens(*found.pop())
    for liked, token in ((True, tokens.yes), (False, tokens.no)):
        _refuse_other_text(tokenizer, token, questions[0].answers[liked])
    return prompts, tokens


def _refuse_other_text(tokenizer: PreTrainedTokenizerBase, token: int, answer: str) -> None:
    """Refuse a token that holds nothing of the answer: only white space or the prompt's end, or an unknown word."""
    text = tokenizer.decode([token])
    if token == tokenizer.unk_token_id or answer.strip()[0] not in text:
        raise DataError(
            f"tokenizer: the answers differ first in token {token} ({text!r}), which is not the beginning of {answer!r}"
        )
