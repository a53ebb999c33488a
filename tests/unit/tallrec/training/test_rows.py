from copy import deepcopy

import pytest
from tokenizers import Tokenizer, models, processors
from transformers import PreTrainedTokenizerFast

from benchmark.errors import DataError
from tallrec.training.rows import IGNORED, Rows, encode_row

PROMPT = "### Response:\n"


def test_a_row_is_prompt_answer_and_end(tokenizer: PreTrainedTokenizerFast) -> None:
    row = encode_row(tokenizer, PROMPT, "Yes.", loss="all_tokens", max_length=100)
    assert tokenizer.decode(row["input_ids"]) == f"<s>{PROMPT}Yes.</s>"
    assert row["labels"] == row["input_ids"]


def test_the_loss_of_the_answer_starts_with_its_first_token(tokenizer: PreTrainedTokenizerFast) -> None:
    row = encode_row(tokenizer, PROMPT, "No.", loss="answer", max_length=100)
    n_prompt = len(tokenizer(PROMPT)["input_ids"])
    assert row["labels"][:n_prompt] == [IGNORED] * n_prompt
    assert tokenizer.decode(row["labels"][n_prompt:]) == "No.</s>"


def test_the_loss_of_an_answer_that_melts_into_the_prompt_covers_what_melted() -> None:
    vocabulary = {token: number for number, token in enumerate(["p", "\n", "Y", "\nY", "</s>"])}
    merging = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.BPE(vocabulary, [("\n", "Y")])), eos_token="</s>"
    )
    assert encode_row(merging, "p\n", "Y", loss="answer", max_length=9) == {
        "input_ids": [0, 3, 4],
        "labels": [IGNORED, 3, 4],
    }


def test_a_tokenizer_that_ends_texts_itself_gives_one_end(tokenizer: PreTrainedTokenizerFast) -> None:
    ending = deepcopy(tokenizer)
    begin_and_end = [("<s>", tokenizer.bos_token_id), ("</s>", tokenizer.eos_token_id)]
    ending.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=begin_and_end
    )
    for loss in ("answer", "all_tokens"):
        expected = encode_row(tokenizer, PROMPT, "No.", loss=loss, max_length=100)
        assert encode_row(ending, PROMPT, "No.", loss=loss, max_length=100) == expected


def test_a_tokenizer_without_an_end_is_refused(tokenizer: PreTrainedTokenizerFast) -> None:
    endless = deepcopy(tokenizer)
    endless.eos_token = None
    with pytest.raises(DataError, match="no end of text"):
        encode_row(endless, PROMPT, "No.", loss="answer", max_length=100)


@pytest.mark.parametrize("loss", ["answer", "all_tokens"])
def test_a_long_row_loses_its_beginning(tokenizer: PreTrainedTokenizerFast, loss: str) -> None:
    row = encode_row(tokenizer, PROMPT * 50, "No.", loss=loss, max_length=20)
    assert len(row["input_ids"]) == len(row["labels"]) == 20
    assert str(tokenizer.decode(row["input_ids"])).endswith("No.</s>")
    assert str(tokenizer.decode([label for label in row["labels"] if label != IGNORED])).endswith("No.</s>")


def test_rows_are_a_data_set() -> None:
    rows = [{"input_ids": [1], "labels": [1]}, {"input_ids": [2], "labels": [2]}]
    assert len(Rows(rows)) == 2
    assert Rows(rows)[1] == rows[1]
