"""Score samples with one forward pass each: the logits at the last position, where the answer begins.

In-context learning is this with an untuned model, and with demonstrations in the prompt.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from benchmark.schema import Item, Labelled, Prediction, Sample
from tallrec.answers import answer_scores, answer_tokens
from tallrec.encoding import batches_by_tokens, encode_prompts
from tallrec.prompts import render


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
    prompts = [
        render(scoring.style, sample, items, stray_comment=scoring.stray_comment, demonstrations=demonstrations)
        for sample in samples
    ]
    encoded = encode_prompts(tokenizer, prompts)
    ids = [prompt[-scoring.max_length :] for prompt in encoded]
    tokens = answer_tokens(tokenizer, prompts[0])
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


def last_logits(
    model: PreTrainedModel | PeftModel, prompts: Sequence[Sequence[int]], batch_tokens: int
) -> torch.Tensor:
    """Logits of the token that would follow each prompt; shape (n_prompts, vocabulary), float32, on the CPU.

    Prompts are batched by length and padded on the right: attention is causal, so the padding changes nothing.
    Only the last position goes through the output layer.
    """
    body, head = model.get_decoder(), model.get_output_embeddings()
    assert head is not None, "a causal LM has an output layer"
    was_training = model.training
    model.eval()
    found = torch.empty((len(prompts), head.weight.shape[0]))
    with torch.inference_mode():
        for batch in batches_by_tokens([len(prompt) for prompt in prompts], batch_tokens):
            longest = len(prompts[batch[0]])
            padded = [[*prompts[position], *[0] * (longest - len(prompts[position]))] for position in batch]
            hidden = body(input_ids=torch.tensor(padded, device=model.device), use_cache=False).last_hidden_state
            ends = torch.tensor([len(prompts[position]) - 1 for position in batch], device=model.device)
            last = hidden[torch.arange(len(batch), device=model.device), ends]
            found[batch] = head(last).float().cpu()
    model.train(was_training)
    return found
