"""The loss of labelled positions alone against the one that transformers computes from all logits."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.nn.functional import cross_entropy, linear
from transformers import LlamaForCausalLM, PreTrainedModel, Trainer

from tallrec.models.adapters import Lora, trainable_adapter
from tallrec.models.output_layer import logits_are_linear
from tallrec.training import loss
from tallrec.training.cross_entropy import SummedCrossEntropy
from tallrec.training.fitting import fit
from tallrec.training.loss import LabelledLoss
from tallrec.training.micro_batches import by_length, collate
from tallrec.training.rows import IGNORED
from tallrec.training.schedule import Schedule
from tallrec.training.trainer import AucTrainer

CAPPED_OR_SCALED = {"gemma2", "cohere", "granite"}
LENGTHS = (20, 3, 31, 12)


def rows_of(loss_on: str) -> list[dict[str, list[int]]]:
    """Rows of different lengths, with the loss on all tokens or on the last two."""
    ids = [[(11 * row + 5 * place) % 290 + 3 for place in range(n)] for row, n in enumerate(LENGTHS)]
    return [
        {"input_ids": row, "labels": row if loss_on == "all_tokens" else [IGNORED] * (len(row) - 2) + row[-2:]}
        for row in ids
    ]


def gradients(model: PreTrainedModel, value: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    value.backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("loss_on", ["all_tokens", "answer"])
def test_loss_and_gradients_are_those_of_transformers(
    new_model_of: Callable[[str], PreTrainedModel],
    family: str,
    loss_on: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loss, "LOGITS", 4 * 300)  # four positions at a time
    model = new_model_of(family)
    batch = collate(rows_of(loss_on))
    expected = model(**batch).loss
    expected_gradients = gradients(model, expected)
    found = LabelledLoss(model)(model, **batch)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    found_gradients = gradients(model, found)
    assert found_gradients.keys() == expected_gradients.keys()
    for name, gradient in expected_gradients.items():
        torch.testing.assert_close(found_gradients[name], gradient, atol=1e-6, rtol=1e-4, msg=name)
    assert max(gradient.abs().max() for gradient in expected_gradients.values()) > 1e-3


def test_what_a_family_does_to_its_logits_is_noticed(
    new_model_of: Callable[[str], PreTrainedModel], family: str
) -> None:
    assert logits_are_linear(new_model_of(family)) == (family not in CAPPED_OR_SCALED)


def alike(n_shared: int, loss_on: str) -> dict[str, torch.Tensor]:
    """Rows of different lengths that begin alike."""
    beginning = [(13 * place) % 280 + 10 for place in range(n_shared)]
    rows = rows_of(loss_on)
    ignored = beginning if loss_on == "all_tokens" else [IGNORED] * n_shared
    return collate([{"input_ids": beginning + row["input_ids"], "labels": ignored + row["labels"]} for row in rows])


@pytest.mark.parametrize("loss_on", ["all_tokens", "answer"])
def test_a_common_beginning_is_computed_once_with_the_same_gradients(
    new_model_of: Callable[[str], PreTrainedModel], family: str, loss_on: str
) -> None:
    model, batch = new_model_of(family), alike(20, loss_on)
    expected = model(**batch).loss
    expected_gradients = gradients(model, expected)
    labelled = LabelledLoss(model, shares_beginning=True)
    n_tokens: list[int] = []
    model.get_input_embeddings().register_forward_pre_hook(lambda _, inputs: n_tokens.append(inputs[0].numel()))
    found = labelled(model, **batch)
    assert n_tokens == [19, 4 * (51 - 19)], "the last common token predicts what differs"
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    found_gradients = gradients(model, found)
    assert found_gradients.keys() == expected_gradients.keys()
    for name, gradient in expected_gradients.items():
        torch.testing.assert_close(found_gradients[name], gradient, atol=1e-6, rtol=1e-4, msg=name)


@pytest.mark.parametrize("obstacle", ["dropout", "checkpointing", "short", "other labels", "nothing alike"])
def test_a_beginning_is_not_shared_where_that_would_not_be_exact_or_not_pay(
    new_model_of: Callable[[str], PreTrainedModel], obstacle: str
) -> None:
    model = new_model_of("llama")
    batch = alike({"short": 15, "nothing alike": 0}.get(obstacle, 20), "all_tokens")
    if obstacle == "dropout":
        model = get_peft_model(model, LoraConfig(lora_dropout=0.05, target_modules=["q_proj"], task_type="CAUSAL_LM"))
    if obstacle == "checkpointing":
        model.activation_checkpointing_enable()
        model.train()
    if obstacle == "other labels":
        batch["labels"][0, :20] = IGNORED
    labelled = LabelledLoss(model, shares_beginning=True)
    model.train(obstacle == "checkpointing")
    torch.testing.assert_close(labelled(model, **batch), model(**batch).loss, atol=1e-5, rtol=0)
    n_tokens: list[int] = []
    model.get_input_embeddings().register_forward_pre_hook(lambda _, inputs: n_tokens.append(inputs[0].numel()))
    labelled(model, **batch)
    assert n_tokens == [batch["input_ids"].numel()]


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_only_labelled_positions_reach_the_output_layer(
    new_model_of: Callable[[str], PreTrainedModel], family: str
) -> None:
    model, seen = new_model_of(family), []
    labelled = LabelledLoss(model)
    model.get_output_embeddings().register_forward_hook(lambda *of_call: seen.append(of_call[2].shape[:-1].numel()))
    labelled(model, **collate(rows_of("answer")))
    # The chunks of linear logits are made beside the layer, which itself sees none.
    assert seen == [2 * len(LENGTHS) if family in CAPPED_OR_SCALED else 0]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_sums_in_full(
    new_model_of: Callable[[str], PreTrainedModel], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss, "LOGITS", 4 * 300)
    model = new_model_of("llama").to(dtype)
    batch = collate(rows_of("all_tokens"))
    expected = model(**batch).loss
    found = LabelledLoss(model)(model, **batch)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=5e-3, rtol=0)
    one, other = gradients(model, expected), gradients(model, found)
    for name, gradient in one.items():
        scale = gradient.abs().max()
        torch.testing.assert_close(other[name] / scale, gradient / scale, atol=0.05, rtol=0, msg=name)


@pytest.mark.parametrize("with_bias", [False, True])
def test_in_turns_bfloat16_is_as_exact_as_at_once(with_bias: bool) -> None:
    torch.manual_seed(0)
    weight, targets = torch.randn(500, 64).bfloat16(), torch.randint(500, (37,))
    bias = torch.randn(500).bfloat16() if with_bias else None
    states = torch.randn(37, 64).bfloat16()

    def loss_and_gradient(of: Callable[[torch.Tensor], torch.Tensor], dtype: torch.dtype) -> list[torch.Tensor]:
        hidden = states.to(dtype, copy=True).requires_grad_()
        value = of(hidden) / 8
        value.backward()
        assert hidden.grad is not None
        return [value.detach().double(), hidden.grad.double()]

    def at_once(hidden: torch.Tensor) -> torch.Tensor:
        logits = linear(hidden, weight.to(hidden.dtype), None if bias is None else bias.to(hidden.dtype))
        logits = logits if hidden.dtype == torch.float64 else logits.float()
        return cross_entropy(logits, targets, reduction="sum")

    exact = loss_and_gradient(at_once, torch.float64)
    rounded = loss_and_gradient(at_once, torch.bfloat16)
    found = loss_and_gradient(lambda hidden: SummedCrossEntropy.apply(hidden, weight, bias, targets, 5), torch.bfloat16)
    for in_turns, once, reference in zip(found, rounded, exact, strict=True):
        assert (in_turns - reference).norm() <= 1.2 * (once - reference).norm() + 1e-6 * reference.norm()


def test_in_turns_bfloat16_is_computed_in_one_pass(
    new_model_of: Callable[[str], PreTrainedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss, "LOGITS", 4 * 300)
    passes: list[int] = []
    in_one_pass = SummedCrossEntropy.apply
    monkeypatch.setattr(loss.SummedCrossEntropy, "apply", lambda *of: passes.append(of[-1]) or in_one_pass(*of))
    model = new_model_of("llama").to(torch.bfloat16)
    model.get_output_embeddings().requires_grad_(False)
    batch = collate(rows_of("all_tokens"))
    expected, found = model(**batch).loss, LabelledLoss(model)(model, **batch)
    assert passes == [4]
    torch.testing.assert_close(found, expected, atol=5e-3, rtol=0)
    one, other = gradients(model, expected), gradients(model, found)
    assert one.keys() == other.keys()
    for name, gradient in one.items():
        scale = gradient.abs().max()
        torch.testing.assert_close(other[name] / scale, gradient / scale, atol=0.05, rtol=0, msg=name)


def test_mixed_precision_covers_the_loss(
    new_model_of: Callable[[str], PreTrainedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss, "LOGITS", 4 * 300)
    model = new_model_of("llama")
    batch = collate(rows_of("all_tokens"))
    labelled = LabelledLoss(model)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        expected, found = model(**batch).loss, labelled(model, **batch)
    torch.testing.assert_close(found, expected, atol=5e-3, rtol=0)


@pytest.mark.parametrize("loss_on", ["all_tokens", "answer"])
def test_grouping_by_length_changes_the_padding_alone(
    new_model_of: Callable[[str], PreTrainedModel], loss_on: str
) -> None:
    rows = rows_of(loss_on)
    batches = [collate(rows[:2]), collate(rows[2:3]), collate(rows[3:])]
    grouped = by_length(batches)
    assert [batch["labels"].shape for batch in batches] == [(2, 20), (1, 31), (1, 12)]
    assert [batch["labels"].shape for batch in grouped] == [(2, 31), (1, 12), (1, 3)]
    model = new_model_of("llama")
    n_labels = sum(batch["labels"][:, 1:].ne(IGNORED).sum() for batch in batches)
    sums = [
        sum(LabelledLoss(model)(model, **batch, num_items_in_batch=n_labels) for batch in of_update)
        for of_update in (batches, grouped)
    ]
    torch.testing.assert_close(sums[1], sums[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("loss_on", ["all_tokens", "answer"])
@pytest.mark.parametrize(
    ("micro_batch_size", "dropout"),
    [(4, 0.2), (2, 0.0), (1, 0.0)],  # in one batch, dropout draws the same numbers; micro-batches change the order
)
def test_training_is_that_of_a_plain_trainer(
    new_tiny_model: Callable[[], LlamaForCausalLM],
    fresh_start: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    loss_on: str,
    micro_batch_size: int,
    dropout: float,
) -> None:
    monkeypatch.setattr(loss, "LOGITS", 4 * 500)
    lora = Lora(rank=4, alpha=8, dropout=dropout, target_modules=("q_proj", "v_proj"))
    schedule = Schedule(6, 4, micro_batch_size, 0.01, 2, 0)
    ends, losses = [], []
    for plain in (True, False):
        adapted = trainable_adapter(new_tiny_model(), fresh_start, lora, seed=0)
        with monkeypatch.context() as patch:
            if plain:
                patch.setattr(AucTrainer, "compute_loss", Trainer.compute_loss)
                patch.setattr(AucTrainer, "get_batch_samples", Trainer.get_batch_samples)
            fitted = fit(adapted, rows_of(loss_on), schedule, tmp_path / "scratch")
        losses.append([entry["loss"] for entry in fitted.log if "loss" in entry])
        ends.append({name: weight.detach() for name, weight in adapted.named_parameters() if weight.requires_grad})
    assert len(losses[0]) == 6
    assert losses[0][0] > losses[0][-1] + 0.01
    assert losses[1] == pytest.approx(losses[0], abs=1e-4)
    for name, weight in ends[0].items():
        torch.testing.assert_close(ends[1][name], weight, atol=1e-3, rtol=0, msg=name)


def test_a_pretraining_with_few_logits_is_bit_for_bit_that_of_a_plain_trainer(
    new_tiny_model: Callable[[], LlamaForCausalLM], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Training from scratch amplifies every rounding.
    packed = [[(11 * row + 5 * place) % 480 + 3 for place in range(40)] for row in range(8)]
    rows = [{"input_ids": ids, "labels": ids} for ids in packed]
    ends = []
    for plain in (True, False):
        model = new_tiny_model()
        with monkeypatch.context() as patch:
            if plain:
                patch.setattr(AucTrainer, "compute_loss", Trainer.compute_loss)
            fit(model, rows, Schedule(5, 4, 4, 0.01, 2, 0), tmp_path / "scratch")
        ends.append([weight.detach().clone() for weight in model.parameters()])
    assert all(map(torch.equal, *ends))
    assert not torch.equal(ends[0][0], next(new_tiny_model().parameters()))
