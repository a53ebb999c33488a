"""Score samples with one forward pass each: the logits at the last position, where the answer begins.

In-context learning is this with an untuned model, and with demonstrations in the prompt.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from benchmark.schema import Item, Labelled, Prediction, Sample
from tallrec.answers import answer_scores, encode_questions
from tallrec.chat import ask
from tallrec.logits import last_logits


@dataclass(frozen=True, slots=True)
class Scoring:
    """How a sample becomes a prompt and its logits a score."""

    style: str
    """Prompt style, a name of `tallrec.prompts.PROMPTS`."""
    stray_comment: bool
    """Whether the template holds the released stray comment."""
    rule: str
    """`double_softmax` or `logit_difference`."""
    max_length: int
    """Most tokens of a prompt; longer ones are cut at the left."""
    batch_tokens: int
    """Most tokens of a batch, padding included."""


def score_samples(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    samples: Sequence[Sample],
    items: Mapping[str, Item],
    scoring: Scoring,
    demonstrations: Sequence[Labelled] = (),
) -> list[Prediction]:
    """One prediction a sample, in the order given.

    The details hold what explains a score: probability of both answers together, prompt length, whether it was cut.

    Raises:
        DataError: the tokenizer cannot tell the answers apart.
    """
    questions = [
        ask(
            tokenizer,
            scoring.style,
            sample,
            items,
            stray_comment=scoring.stray_comment,
            demonstrations=demonstrations,
        )
        for sample in samples
    ]
    encoded, tokens = encode_questions(tokenizer, questions)
    ids = [prompt[-scoring.max_length :] for prompt in encoded]
    logits = last_logits(model, ids, scoring.batch_tokens)
    scores = answer_scores(logits, tokens, scoring.rule).tolist()
    answer_mass = logits.softmax(dim=-1)[:, [tokens.yes, tokens.no]].sum(dim=-1).tolist()
    rows = zip(samples, scores, answer_mass, encoded, strict=True)
    return [
        Prediction(
            sample.sample_id,
            score,
            {
                "answer_mass": mass,
                "n_prompt_tokens": float(len(prompt)),
                "is_truncated": float(len(prompt) > scoring.max_length),
            },
        )
        for sample, score, mass, prompt in rows
    ]
