"""How a model goes on with a text whose continuation is known: does it write the same, and how likely is it?

The continuation is teacher-forced: each of its tokens is asked for behind the right ones before it, in one forward
pass. Decoding greedily writes exactly this continuation if, and only if, each token is the model's first choice there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from peft import PeftModel
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from benchmark.errors import DataError
from tallrec.models.architecture import positions_of, refuse_unknown_tokens
from tallrec.models.output_layer import evaluating, output_layer_in_single_precision
from tallrec.scoring.batches import batches_by_tokens
from tallrec.scoring.logits import last_logits, logits_at
from tallrec.scoring.prefix import SharedPrefix
from tallrec.token_sequences import n_shared, tokens_of

LINE_END = "\n"
"""What follows an answer; a tokenizer may write it into the last token of the answer."""

Text = tuple[str, str]
"""A prompt, and the answer that follows it at once."""


@dataclass(frozen=True, slots=True)
class EncodedText:
    """The tokens of a prompt and of its answer."""

    prompt: list[int]
    answer: list[int]


@dataclass(frozen=True, slots=True)
class Continued:
    """What a model makes of one answer."""

    is_exact: bool
    """Whether every token of the answer is the model's first choice: greedy decoding writes this answer."""
    log_probability: float
    """Mean over the tokens of the answer, natural logarithm; at most 0."""


def encode_texts(tokenizer: PreTrainedTokenizerBase, texts: Sequence[Text]) -> list[EncodedText]:
    """Prompts and answers, cut where the answer begins in the tokens of the whole text.

    A text is encoded with its answer and a line end, as it would stand in a file. The answer is every token that holds
    a part of it: the first one may begin in the prompt, and the last one end behind the answer.

    Raises:
        DataError: the tokenizer does not tell where its tokens stand, or nothing is left of a prompt or an answer.
    """
    whole = [prompt + answer + LINE_END for prompt, answer in texts]
    try:
        encoded = tokens_of(tokenizer, whole, return_offsets_mapping=True)
    except NotImplementedError:
        raise DataError("tokenizer: it does not tell where its tokens stand in a text; expected a fast one") from None
    found: list[EncodedText] = []
    for (prompt, answer), ids, spans in zip(texts, encoded["input_ids"], encoded["offset_mapping"], strict=True):
        begin, end = len(prompt), len(prompt) + len(answer)
        places = [place for place, (first, last) in enumerate(spans) if first < last and first < end and last > begin]
        if not places or places[0] == 0:
            raise DataError(f"tokenizer: no token stands before {answer!r:.80} or in it")
        found.append(EncodedText(ids[: places[0]], ids[places[0] : places[-1] + 1]))
    return found


def continued(model: PreTrainedModel | PeftModel, encoded: Sequence[EncodedText], batch_tokens: int) -> list[Continued]:
    """What `model` makes of each answer, in the order given.

    Logits are as those of `last_logits`: in evaluation mode, the last product in float32, and what the prompts of a
    batch begin with alike is computed once. A text that has more tokens than the model has positions loses its
    beginning.

    Args:
        model: a causal LM.
        encoded: prompts and answers, at least one token each.
        batch_tokens: most tokens of a batch, padding and common beginning included.
    """
    found: list[Continued | None] = [None] * len(encoded)
    texts = [_within(one, positions_of(model)) for one in encoded]
    refuse_unknown_tokens(model, ([*one.prompt, *one.answer] for one in texts))
    prefix = SharedPrefix(model)
    lengths = [len(one.prompt) + len(one.answer) - 1 for one in texts]
    with evaluating(model), output_layer_in_single_precision(model):
        for batch in batches_by_tokens(lengths, batch_tokens):
            chosen = [texts[position] for position in batch]
            # Of the prompts alone, so that the last token of each is left: it foretells the answer's first.
            n_held, cache = prefix.of([one.prompt for one in chosen])
            rows = [[*one.prompt[n_held:], *one.answer[:-1]] for one in chosen]
            sizes = [len(one.answer) for one in chosen]
            row_of = torch.repeat_interleave(torch.arange(len(rows)), torch.tensor(sizes))
            place = torch.cat([torch.arange(len(row) - n, len(row)) for row, n in zip(rows, sizes, strict=True)])
            logits = logits_at(model, rows, (row_of, place), cache)
            answers = torch.tensor([token for one in chosen for token in one.answer], device=logits.device)
            is_first = (logits.argmax(dim=-1) == answers).cpu().split(sizes)
            losses = functional.cross_entropy(logits, answers, reduction="none").double().cpu().split(sizes)
            for position, hits, loss in zip(batch, is_first, losses, strict=True):
                found[position] = Continued(bool(hits.all()), -float(loss.mean()))
    return [one for one in found if one is not None]


def _within(text: EncodedText, n_positions: int | None) -> EncodedText:
    if n_positions is not None and len(text.answer) > n_positions:
        raise DataError(
            f"an answer of {len(text.answer)} tokens has no room in the {n_positions} positions of the model"
        )
    n_free = len(text.prompt) if n_positions is None else max(1, n_positions - len(text.answer) + 1)
    return EncodedText(text.prompt[-n_free:], text.answer)


def choice_probabilities(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    choices: Sequence[str],
    batch_tokens: int,
) -> Tensor:
    """Probability of each of `choices` behind each prompt, among them; float64, shape (n_prompts, n_choices).

    A choice is read off the first token in which it differs from all others.

    Raises:
        DataError: the choices do not differ in one token, or in other ones behind other prompts.
    """
    of_choices = [tokens_of(tokenizer, [prompt + choice for prompt in prompts])["input_ids"] for choice in choices]
    encoded: list[list[int]] = []
    tokens: set[tuple[int, ...]] = set()
    for first, *others in zip(*of_choices, strict=True):
        at = min(n_shared(first, other) for other in others)
        encoded.append(first[:at])
        tokens.add(tuple(ids[at] for ids in (first, *others) if at < len(ids)))
    if len(tokens) > 1 or any(len(set(one)) < len(choices) for one in tokens):
        raise DataError(f"tokenizer: {', '.join(choices)} do not each begin with a token of their own behind a prompt")
    if not encoded:
        return torch.empty((0, len(choices)), dtype=torch.float64)
    of_tokens = list(tokens.pop())
    n_positions = positions_of(model)
    if n_positions is not None:
        encoded = [ids[-n_positions:] for ids in encoded]
    return last_logits(model, encoded, batch_tokens, lambda logits: logits[:, of_tokens].double().softmax(dim=-1))
