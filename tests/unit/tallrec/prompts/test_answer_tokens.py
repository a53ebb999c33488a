from collections.abc import Sequence

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from benchmark.errors import DataError
from tallrec.prompts.answer_tokens import encode_questions
from tallrec.prompts.chat import Question
from tallrec.training.rows import IGNORED, encode_row


def asked(*prompts: str, yes: str = "Yes.", no: str = "No.") -> list[Question]:
    return [Question(prompt, {True: yes, False: no}) for prompt in prompts]


def bpe(*tokens: str, merges: Sequence[tuple[str, str]] = ()) -> PreTrainedTokenizerFast:
    """A tokenizer of characters and a few merges, which nothing keeps within a word."""
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocabulary, list(merges)))
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


CHARACTERS = ("p", ":", " ", "\n", "Y", "e", "s", "N", "o", ".")
ALL_OF_YES = (("Y", "e"), ("Ye", "s"))


def test_answer_tokens_are_what_follows_the_prompt(tokenizer: PreTrainedTokenizerFast) -> None:
    prompts, tokens = encode_questions(tokenizer, asked("### Response:\n", "Yes or No?\n"))
    assert [tokenizer.decode(ids) for ids in prompts] == ["<s>### Response:\n", "<s>Yes or No?\n"]
    assert tokenizer.decode([tokens.yes]) == "Yes"
    assert tokenizer.decode([tokens.no]) == "No"


def test_of_an_answer_of_several_tokens_the_first_is_read() -> None:
    characters = bpe(*CHARACTERS)
    prompts, tokens = encode_questions(characters, asked("p\n"))
    assert characters.convert_ids_to_tokens(prompts[0]) == ["p", "\n"]
    assert characters.convert_ids_to_tokens([tokens.yes, tokens.no]) == ["Y", "N"]


def test_a_token_that_both_answers_begin_with_belongs_to_the_prompt() -> None:
    characters = bpe(*CHARACTERS)
    prompts, tokens = encode_questions(characters, asked("p:", yes=" Yes", no=" No"))
    assert characters.convert_ids_to_tokens(prompts[0]) == ["p", ":", " "]
    assert characters.convert_ids_to_tokens([tokens.yes, tokens.no]) == ["Y", "N"]


def test_a_prompt_whose_end_melts_into_both_answers_is_scored_without_it() -> None:
    merging = bpe(*CHARACTERS, "\nY", "\nN", merges=[("\n", "Y"), ("\n", "N")])
    prompts, tokens = encode_questions(merging, asked("p\n"))
    assert merging.convert_ids_to_tokens(prompts[0]) == ["p"]
    assert merging.convert_ids_to_tokens([tokens.yes, tokens.no]) == ["\nY", "\nN"]


def test_a_prompt_whose_end_melts_into_one_answer_is_refused() -> None:
    # "No" would be scored by the line feed alone, which begins everything else too.
    merging = bpe(*CHARACTERS, "\nY", merges=[("\n", "Y")])
    with pytest.raises(DataError, match=r"differ first in token 3 \('\\n'\), which is not the beginning of 'No\.'"):
        encode_questions(merging, asked("p\n"))


def test_answers_of_the_same_tokens_are_refused() -> None:
    unknowing = Tokenizer(models.WordLevel({"[UNK]": 0, "prompt": 1, ".": 2}, unk_token="[UNK]"))
    unknowing.pre_tokenizer = pre_tokenizers.Whitespace()
    with pytest.raises(DataError, match=r"gives 'Yes\.' and 'No\.' the same tokens"):
        encode_questions(PreTrainedTokenizerFast(tokenizer_object=unknowing), asked("prompt\n"))


def test_an_answer_that_begins_with_the_other_is_refused() -> None:
    with pytest.raises(DataError, match=r"'Yes' and 'Yes\.' the same tokens, or the one those the other begins with"):
        encode_questions(bpe(*CHARACTERS), asked("p\n", yes="Yes", no="Yes."))


def test_an_unknown_answer_is_refused() -> None:
    half = Tokenizer(models.WordLevel({"[UNK]": 0, "prompt": 1, "Yes": 2, ".": 3}, unk_token="[UNK]"))
    half.pre_tokenizer = pre_tokenizers.Whitespace()
    knows_yes = PreTrainedTokenizerFast(tokenizer_object=half, unk_token="[UNK]")
    with pytest.raises(DataError, match=r"token 0 \('\[UNK\]'\), which is not the beginning of 'No\.'"):
        encode_questions(knows_yes, asked("prompt\n"))


def test_a_tokenizer_that_drops_the_answers_is_refused() -> None:
    with pytest.raises(DataError, match="the same tokens"):
        encode_questions(bpe("p"), asked("p"))


def test_answer_tokens_that_depend_on_the_prompt_are_refused() -> None:
    merging = bpe(*CHARACTERS, "pY", "pN", merges=[("p", "Y"), ("p", "N")])
    with pytest.raises(DataError, match="begins with other tokens after other prompts"):
        encode_questions(merging, asked("p", ":"))


@pytest.mark.parametrize(
    ("merges", "prompt", "answers"),
    [
        ([], "p\n", ("Yes.", "No.")),
        (ALL_OF_YES, "p\n", ("Yes.", "No.")),
        ([], "p:", (" Yes", " No")),
        ([(" ", "Y"), (" ", "N")], "p:", (" Yes", " No")),
        ([("\n", "Y"), ("\n", "N")], "p\n", ("Yes.", "No.")),
    ],
    ids=["characters", "one of several tokens", "space of its own", "space within", "melted line feed"],
)
def test_the_token_trained_on_is_the_token_scored(
    merges: Sequence[tuple[str, str]], prompt: str, answers: tuple[str, str]
) -> None:
    merging = bpe(*CHARACTERS, *(one + other for one, other in merges), "</s>", merges=merges)
    merging.add_special_tokens({"eos_token": "</s>"})
    prompts, tokens = encode_questions(merging, asked(prompt, yes=answers[0], no=answers[1]))
    place = len(prompts[0])
    for answer, token in zip(answers, (tokens.yes, tokens.no), strict=True):
        row = encode_row(merging, prompt, answer, loss="answer", max_length=100)
        assert row["input_ids"][:place] == prompts[0]
        assert row["labels"][place] == row["input_ids"][place] == token
        learned = merging.decode([label for label in row["labels"] if label != IGNORED])
        assert str(learned).strip() == f"{answer.strip()}</s>"
