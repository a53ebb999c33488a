"""Scores of models in half precision: the output layer multiplies in single precision where only scores are read."""

from collections.abc import Callable
from copy import deepcopy

import torch
from peft import LoraConfig, get_peft_model
from transformers import PreTrainedModel

from tallrec.prompts.answer_tokens import AnswerTokens
from tallrec.scoring.logits import last_logits
from tallrec.scoring.rules import answer_scores


def plain_logits(model: torch.nn.Module, prompts: list[list[int]]) -> torch.Tensor:
    with torch.no_grad():
        return torch.stack([model(input_ids=torch.tensor([ids])).logits[0, -1] for ids in prompts]).float()


def test_scores_of_a_model_in_half_precision_are_read_off_logits_in_single_precision(
    new_model_of: Callable[[str], PreTrainedModel],
) -> None:
    model = new_model_of("llama")
    with torch.no_grad():  # the logits of both answers are large and alike, as in a model that knows the task
        rows = model.get_output_embeddings().weight
        rows[40] *= 8
        rows[41] = rows[40] + rows[42]
    exact = model.bfloat16().float()  # the same weights, for all products in single precision
    half = deepcopy(exact).bfloat16()
    prompts = [[*range(3, 23), *((7 * row + 3 * place) % 290 + 3 for place in range(9))] for row in range(60)]
    answers = AnswerTokens(yes=40, no=41)

    def scores(logits: torch.Tensor) -> torch.Tensor:
        return answer_scores(logits, answers, "logit_difference")

    expected, coarse = scores(plain_logits(exact, prompts)), scores(plain_logits(half, prompts))
    assert len(coarse.unique()) < 55, "as half precision has them, scores tie"
    found = scores(last_logits(half, prompts, 10_000))
    assert len(found.unique()) == len(expected.unique()) == 60
    assert discordant(found, expected) < discordant(coarse, expected)
    torch.testing.assert_close(found, expected, atol=0.1 * float(expected.std()), rtol=0)


def test_what_a_family_does_with_its_logits_is_done_in_single_precision(
    new_model_of: Callable[[str], PreTrainedModel], family: str
) -> None:
    model, hidden = new_model_of(family).bfloat16(), list[torch.Tensor]()
    head = model.get_output_embeddings()
    assert isinstance(head, torch.nn.Linear)
    handle = head.register_forward_pre_hook(lambda _, inputs: hidden.append(inputs[0]))
    found = last_logits(model, [list(range(3, 30))], 10_000)
    handle.remove()
    bias = None if head.bias is None else head.bias.float()
    logits = torch.nn.functional.linear(hidden[0][0, -1:].float(), head.weight.float(), bias)
    if family == "gemma2":
        logits = 0.3 * (logits / 0.3).tanh()
    elif family in ("cohere", "granite"):
        logits = logits / 3.0 if family == "granite" else logits * model.config.logit_scale
    torch.testing.assert_close(found, logits, atol=0, rtol=1e-6)


def test_an_output_layer_with_an_adapter_is_left_as_it_is(new_model_of: Callable[[str], PreTrainedModel]) -> None:
    config = LoraConfig(r=2, target_modules=["lm_head"], init_lora_weights=False)
    adapted = get_peft_model(new_model_of("llama").bfloat16(), config).eval()
    prompts = [list(range(3, 30))]
    expected = plain_logits(adapted, prompts)
    assert torch.equal(expected, expected.bfloat16().float())
    assert torch.equal(last_logits(adapted, prompts, 10_000), expected)


def discordant(scores: torch.Tensor, expected: torch.Tensor) -> float:
    """Pairs in another order than expected; a tie is half of one."""
    order = (scores[:, None] - scores[None]).sign() * (expected[:, None] - expected[None]).sign()
    return float((1 - order).sum() / 4) - len(scores) / 4
