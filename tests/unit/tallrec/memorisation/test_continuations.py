"""Answers that a model knows by heart are found, as greedy decoding finds them, and their likelihood is the model's."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from benchmark.errors import DataError

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

    from tallrec.memorisation.continuations import EncodedText

LINES = ["11|Good-1 (1990)\n12|Bad-3 (1993)\n", "31|Good-7 (1971)\n32|Good-2 (1986)\n"]
KNOWN = [("11|Good-1 (1990)\n12|", "Bad-3 (1993)"), ("31|Good-7 (1971)\n32|", "Good-2 (1986)")]
UNKNOWN = [("11|Good-1 (1990)\n12|", "Bad-4 (1993)"), ("41|Bad-8 (1950)\n42|", "Bad-5 (1999)")]


@pytest.fixture(scope="module")
def learned(tokenizer: "PreTrainedTokenizerFast") -> "LlamaForCausalLM":
    """A tiny LLaMA that has read two texts until it knew them by heart."""
    import torch

    from tallrec.tiny.pretraining import new_model
    from tallrec.tiny.shape import TinyModel

    torch.set_num_threads(1)
    model = new_model(tokenizer, TinyModel(500, 32, 64, 2, 2, 256), seed=0).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    texts = [torch.tensor([ids]) for ids in tokenizer(LINES)["input_ids"]]
    for _ in range(60):
        for ids in texts:
            loss = model(input_ids=ids, labels=ids).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    return model


def greedily(model: "PreTrainedModel", text: "EncodedText") -> list[int]:
    """What decoding without sampling writes behind the prompt, as many tokens as the answer has."""
    import torch

    ids = torch.tensor([text.prompt])
    was_training = model.training
    model.eval()
    with torch.no_grad():
        out = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=len(text.answer),
            min_new_tokens=len(text.answer),
            pad_token_id=0,
        )
    model.train(was_training)
    return out[0, len(text.prompt) :].tolist()


def plain_log_probability(model: "PreTrainedModel", text: "EncodedText") -> float:
    """The same by a forward pass over one text, without batch, prefix or hook."""
    import torch

    was_training = model.training
    model.eval()
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[*text.prompt, *text.answer]])).logits[0].double()
    model.train(was_training)
    found = logits.log_softmax(dim=-1)[len(text.prompt) - 1 : -1]
    return float(found[range(len(text.answer)), text.answer].mean())


def test_what_was_learned_by_heart_is_exact_and_the_rest_is_not(
    learned: "LlamaForCausalLM", tokenizer: "PreTrainedTokenizerFast"
) -> None:
    from tallrec.memorisation.continuations import continued, encode_texts

    encoded = encode_texts(tokenizer, [*KNOWN, *UNKNOWN])
    found = continued(learned, encoded, batch_tokens=2048)
    assert [one.is_exact for one in found] == [True, True, False, False]
    assert min(one.log_probability for one in found[:2]) > -0.1 > max(one.log_probability for one in found[2:])
    for one, text in zip(found, encoded, strict=True):
        assert one.is_exact == (greedily(learned, text) == text.answer)
        assert one.log_probability == pytest.approx(plain_log_probability(learned, text), abs=1e-5)
    assert learned.training  # as it was


@pytest.mark.parametrize("batch_tokens", [1, 60, 2048])
def test_batches_and_shared_beginnings_change_nothing(
    tiny_model: "LlamaForCausalLM", tokenizer: "PreTrainedTokenizerFast", batch_tokens: int
) -> None:
    from tallrec.memorisation.continuations import EncodedText, continued, encode_texts

    lines = "".join(f"{number}|Good-{number} (19{number}0)\n" for number in range(3, 8))
    texts = [(f"{lines}{number}|", f"Bad-{number} (1990)") for number in range(1, 9)]
    texts += [("1|", "Good-1"), (lines, "x"), (lines, "x, and more of it")]  # the last two have one prompt
    encoded = encode_texts(tokenizer, texts)
    # What greedy decoding writes is exact, whatever that is.
    encoded += [EncodedText(text.prompt, greedily(tiny_model, text)) for text in encoded[:4]]
    found = continued(tiny_model, encoded, batch_tokens)
    assert [one.is_exact for one in found] == [greedily(tiny_model, text) == text.answer for text in encoded]
    assert [one.is_exact for one in found[-4:]] == [True] * 4
    for one, text in zip(found, encoded, strict=True):
        assert one.log_probability == pytest.approx(plain_log_probability(tiny_model, text), abs=1e-4)


def test_the_answer_is_what_stands_behind_the_prompt(tokenizer: "PreTrainedTokenizerFast") -> None:
    from tallrec.memorisation.continuations import encode_texts

    for (prompt, answer), text in zip(KNOWN, encode_texts(tokenizer, KNOWN), strict=True):
        whole = str(tokenizer.decode([*text.prompt, *text.answer], skip_special_tokens=True))
        assert whole.rstrip("\n") == prompt + answer
        assert str(tokenizer.decode(text.answer)).rstrip("\n") == answer


def test_a_line_end_counts_only_within_the_last_token_of_the_answer() -> None:
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    from tallrec.memorisation.continuations import EncodedText, encode_texts

    words = {"7": 0, "|": 1, "A": 2, ")": 3, ")\n": 4, "\n": 5, "?": 6, "|B": 7}
    parts = Tokenizer(models.WordLevel(words, unk_token="?"))
    parts.pre_tokenizer = pre_tokenizers.Split(Regex(r"\)\n|\|B|[^\n]|\n"), "isolated")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=parts)
    texts = [("7|", "A)"), ("7|", "A"), ("7|", "B)")]
    # `)` is never a token before a line end, and `|` none before a B.
    assert encode_texts(tokenizer, texts) == [
        EncodedText([0, 1], [2, 4]),
        EncodedText([0, 1], [2]),
        EncodedText([0], [7, 4]),
    ]
    with pytest.raises(DataError, match="no token stands before 'A' or in it"):
        encode_texts(tokenizer, [("", "A")])


def test_a_long_text_loses_its_beginning(
    tiny_model: "LlamaForCausalLM", tokenizer: "PreTrainedTokenizerFast", monkeypatch: pytest.MonkeyPatch
) -> None:
    from tallrec.memorisation import continuations

    text = continuations.encode_texts(tokenizer, [("Good-1\n" * 30, "Bad-1")])[0]
    monkeypatch.setattr(continuations, "positions_of", lambda _: 20)
    cut = continuations.EncodedText(text.prompt[-(20 - len(text.answer) + 1) :], text.answer)
    found = continuations.continued(tiny_model, [text], 2048)[0].log_probability
    assert found == pytest.approx(plain_log_probability(tiny_model, cut), abs=1e-4)
    monkeypatch.setattr(continuations, "positions_of", lambda _: len(text.answer) - 1)
    with pytest.raises(DataError, match=r"an answer of \d+ tokens has no room in the \d+ positions of the model"):
        continuations.continued(tiny_model, [text], 2048)


def test_choices_have_the_probabilities_of_their_tokens(
    tiny_model: "LlamaForCausalLM", tokenizer: "PreTrainedTokenizerFast"
) -> None:
    import torch

    from tallrec.memorisation.continuations import choice_probabilities

    prompts = ["1\t2\t", "1\t2\t3\n1\t44\t"]
    found = choice_probabilities(tiny_model, tokenizer, prompts, "12345", 2048)
    assert found.shape == (2, 5)
    assert found.dtype == torch.float64
    for prompt, row in zip(prompts, found, strict=True):
        ids = [tokenizer(prompt + choice)["input_ids"] for choice in "12345"]
        assert len({tuple(one[:-1]) for one in ids}) == 1
        with torch.no_grad():
            logits = tiny_model(input_ids=torch.tensor([ids[0][:-1]])).logits[0, -1].double()
        assert row.tolist() == pytest.approx(logits[[one[-1] for one in ids]].softmax(-1).tolist(), abs=1e-5)
    with pytest.raises(DataError, match="1, 12 do not each begin with a token of their own"):
        choice_probabilities(tiny_model, tokenizer, prompts, ["1", "12"], 2048)


def test_a_model_in_half_precision_has_its_last_product_in_float32(
    tokenizer: "PreTrainedTokenizerFast", new_tiny_model: "Callable[..., LlamaForCausalLM]"
) -> None:
    import torch

    from tallrec.memorisation.continuations import continued, encode_texts

    model = new_tiny_model().to(torch.bfloat16)
    encoded = encode_texts(tokenizer, KNOWN)
    found = continued(model, encoded, 2048)
    with torch.no_grad():
        for one, text in zip(found, encoded, strict=True):
            hidden = model.model(input_ids=torch.tensor([[*text.prompt, *text.answer]])).last_hidden_state[0].float()
            logits = hidden @ model.lm_head.weight.float().T
            log_p = logits.double().log_softmax(-1)[len(text.prompt) - 1 : -1]
            expected = float(log_p[range(len(text.answer)), text.answer].mean())
            assert one.log_probability == pytest.approx(expected, abs=0.02)
