"""Score samples with one forward pass each: the logits at the last position, where the answer begins.

In-context learning is this with an untuned model, and with demonstrations in the prompt.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from benchmark.schema import Item, Labelled, Prediction, Sample
from tallrec.prompts.answer_tokens import AnswerTokens, encode_questions
from tallrec.prompts.chat import question_of
from tallrec.scoring.logits import last_logits
from tallrec.scoring.rules import answer_scores


@dataclass(frozen=True, slots=True)
class Scoring:
    """How a sample becomes a prompt and its logits a score."""

    style: str
    """Prompt style, a name of `tallrec/prompts/styles/`."""
    stray_comment: bool
    """Whether the template holds the released stray comment."""
    rule: str
    """`double_softmax` or `logit_difference`."""
    max_length: int
    """Most tokens of a prompt; longer ones are cut at the left."""
    batch_tokens: int
    """Most tokens of a batch, padding included."""


@dataclass(frozen=True, slots=True)
class EncodedSamples:
    """The prompts of some samples as token ids, ready to be scored as often as needed."""

    sample_ids: tuple[str, ...]
    prompts: list[list[int]]
    tokens: AnswerTokens


def encode_samples(
    tokenizer: PreTrainedTokenizerBase,
    samples: Sequence[Sample],
    items: Mapping[str, Item],
    scoring: Scoring,
    demonstrations: Sequence[Labelled] = (),
) -> EncodedSamples:
    """The prompts of `samples` up to where the answers differ.

    Raises:
        DataError: the tokenizer cannot tell the answers apart.
    """
    questions = [
        question_of(
            tokenizer,
            scoring.style,
            sample,
            items,
            stray_comment=scoring.stray_comment,
            demonstrations=demonstrations,
        )
        for sample in samples
    ]
    return EncodedSamples(tuple(sample.sample_id for sample in samples), *encode_questions(tokenizer, questions))


def score_encoded(model: PreTrainedModel | PeftModel, encoded: EncodedSamples, scoring: Scoring) -> list[Prediction]:
    """One prediction a sample, in the order given.

    The details hold what explains a score: probability of both answers together, prompt length, whether it was cut.
    """
    answers = [encoded.tokens.yes, encoded.tokens.no]

    def read(logits: Tensor) -> Tensor:
        answer_mass = logits.softmax(dim=-1)[:, answers].sum(dim=-1)
        return torch.stack([answer_scores(logits, encoded.tokens, scoring.rule), answer_mass.double()], dim=1)

    ids = [prompt[-scoring.max_length :] for prompt in encoded.prompts]
    found = last_logits(model, ids, scoring.batch_tokens, read).tolist()
    rows = zip(encoded.sample_ids, found, encoded.prompts, strict=True)
    return [
        Prediction(
            sample_id,
            score,
            {
                "answer_mass": mass,
                "n_prompt_tokens": float(len(prompt)),
                "is_truncated": float(len(prompt) > scoring.max_length),
            },
        )
        for sample_id, (score, mass), prompt in rows
    ]


def score_samples(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    samples: Sequence[Sample],
    items: Mapping[str, Item],
    scoring: Scoring,
    demonstrations: Sequence[Labelled] = (),
) -> list[Prediction]:
    """Encode samples and score them (`encode_samples`, `score_encoded`)."""
    return score_encoded(model, encode_samples(tokenizer, samples, items, scoring, demonstrations), scoring)
