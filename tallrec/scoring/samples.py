"""Score samples with one forward pass each: the logits at the last position, where the answer begins.

In-context learning is this with an untuned model, and with demonstrations in the prompt. A prompt of more tokens than
the model has positions for is written again without its earliest demonstrations, and then without the oldest of the
history; its beginning, the instruction and the target stay, as long as there is room for them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from benchmark.schema import Item, Labelled, Prediction, Sample
from tallrec.models.architecture import positions_of
from tallrec.prompts.answer_tokens import AnswerTokens, encode_questions
from tallrec.prompts.chat import Question, question_of
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
    """Most tokens of a training row, its answer included. What is scored is bounded by the model's positions alone."""
    batch_tokens: int
    """Most tokens of a batch, padding included."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """What a prompt was written without, so that the model has positions for it."""

    demonstrations: int = 0
    interactions: int = 0
    tokens: int = 0
    """Of the beginning, where neither of the others is left to drop."""


@dataclass(frozen=True, slots=True)
class EncodedSamples:
    """The prompts of some samples as token ids, ready to be scored as often as needed."""

    sample_ids: tuple[str, ...]
    prompts: list[list[int]]
    tokens: AnswerTokens
    dropped: tuple[Dropped, ...]


def encode_samples(
    tokenizer: PreTrainedTokenizerBase,
    samples: Sequence[Sample],
    items: Mapping[str, Item],
    scoring: Scoring,
    demonstrations: Sequence[Labelled] = (),
    *,
    n_positions: int | None = None,
) -> EncodedSamples:
    """The prompts of `samples` up to where the answers differ.

    Args:
        tokenizer: of the model.
        samples: what is asked.
        items: every item of `samples` and `demonstrations`.
        scoring: style of the prompts.
        demonstrations: shown before each question, the earliest first.
        n_positions: most tokens of a prompt; None: no limit. What does not fit is written without the earliest
            demonstrations, then without the oldest interactions, and at last without its beginning.

    Raises:
        DataError: the tokenizer cannot tell the answers apart.
    """

    def ask(sample: Sample, dropped: Dropped) -> Question:
        return question_of(
            tokenizer,
            scoring.style,
            replace(sample, history=sample.history[dropped.interactions :]),
            items,
            stray_comment=scoring.stray_comment,
            demonstrations=demonstrations[dropped.demonstrations :],
        )

    dropped = [Dropped()] * len(samples)
    questions = [ask(sample, Dropped()) for sample in samples]
    prompts, tokens = encode_questions(tokenizer, questions)
    if n_positions is not None and any(len(prompt) > n_positions for prompt in prompts):
        for place, sample in enumerate(samples):
            n_tokens = len(prompts[place])
            shorter = _less_and_less(len(demonstrations), len(sample.history))
            while n_tokens > n_positions:
                less = next(shorter, None)
                if less is None:  # a title as long as a book: what is left of the prompt ends where the answer begins
                    dropped[place] = replace(dropped[place], tokens=n_tokens - n_positions)
                    break
                dropped[place] = less
                questions[place] = ask(sample, less)
                n_tokens = len(encode_questions(tokenizer, [questions[place]])[0][0])
        prompts, tokens = encode_questions(tokenizer, questions)
        prompts = [prompt[-n_positions:] for prompt in prompts]
    return EncodedSamples(tuple(sample.sample_id for sample in samples), prompts, tokens, tuple(dropped))


def _less_and_less(n_demonstrations: int, n_interactions: int) -> Iterator[Dropped]:
    """What is left out of a prompt, step by step."""
    for n in range(1, n_demonstrations + 1):
        yield Dropped(n, 0)
    for n in range(1, n_interactions + 1):
        yield Dropped(n_demonstrations, n)


def score_encoded(model: PreTrainedModel | PeftModel, encoded: EncodedSamples, scoring: Scoring) -> list[Prediction]:
    """One prediction a sample, in the order given.

    The details hold what explains a score: probability of both answers together, prompt length, what was left out.
    """
    answers = [encoded.tokens.yes, encoded.tokens.no]

    def read(logits: Tensor) -> Tensor:
        answer_mass = logits.softmax(dim=-1)[:, answers].sum(dim=-1)
        return torch.stack([answer_scores(logits, encoded.tokens, scoring.rule), answer_mass.double()], dim=1)

    found = last_logits(model, encoded.prompts, scoring.batch_tokens, read).tolist()
    rows = zip(encoded.sample_ids, found, encoded.prompts, encoded.dropped, strict=True)
    return [
        Prediction(
            sample_id,
            score,
            {
                "answer_mass": mass,
                "n_prompt_tokens": float(len(prompt)),
                "n_dropped_demonstrations": float(dropped.demonstrations),
                "n_dropped_interactions": float(dropped.interactions),
                "n_dropped_tokens": float(dropped.tokens),
            },
        )
        for sample_id, (score, mass), prompt, dropped in rows
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
    n_positions = positions_of(model)
    encoded = encode_samples(tokenizer, samples, items, scoring, demonstrations, n_positions=n_positions)
    return score_encoded(model, encoded, scoring)
