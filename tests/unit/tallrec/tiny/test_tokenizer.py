import pytest
from transformers import PreTrainedTokenizerFast

from tallrec.tiny.tokenizer import BEGIN, END, train_tokenizer

TEXTS = ["The movie is good.", "The book is bad."] * 20


@pytest.mark.parametrize("text", ["The movie is good.", "Ünïcode, \t tabs\nand 日本語", "  two  spaces ", ""])
def test_any_text_comes_back(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.decode(ids) == BEGIN + text
    assert ids[0] == tokenizer.bos_token_id


def test_frequent_words_are_single_tokens() -> None:
    tokenizer = train_tokenizer(TEXTS, 300)
    assert tokenizer.tokenize("The movie") == ["The", "Ġmovie"]
    assert len(tokenizer) <= 300


def test_special_tokens_differ(tokenizer: PreTrainedTokenizerFast) -> None:
    assert (tokenizer.bos_token, tokenizer.eos_token) == (BEGIN, END)
    assert tokenizer.bos_token_id != tokenizer.eos_token_id
