"""The training loop on a model of a few thousand weights."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM

from benchmark.errors import TrainingError
from tallrec.models.adapters import Lora, trainable_adapter
from tallrec.training.fitting import fit
from tallrec.training.progress import CURVE
from tallrec.training.schedule import Schedule

ROWS = [{"input_ids": ids, "labels": ids} for ids in ([0, 5, 6, 7, 1], [0, 8, 9, 1], [0, 10, 1], [0, 5, 9, 1])]
SCHEDULE = Schedule(n_updates=6, batch_size=4, micro_batch_size=4, learning_rate=0.01, warmup_updates=0, seed=0)
VALIDATED = replace(SCHEDULE, eval_every=1, patience=10, keep_best=True)


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def are_equal(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def aucs(values: list[float]) -> Callable[[], dict[str, float]]:
    """A validation that returns `values` one after the other."""
    remaining: Iterator[float] = iter(values)
    return lambda: {"auc": next(remaining)}


def test_training_lowers_the_loss(tiny_model: LlamaForCausalLM, tmp_path: Path) -> None:
    log = fit(tiny_model, ROWS, replace(SCHEDULE, n_updates=20), tmp_path / "scratch").log
    losses = [entry["loss"] for entry in log if "loss" in entry]
    assert len(losses) == 20
    assert losses[-1] < losses[0] - 2


def test_the_same_schedule_gives_the_same_weights_bit_for_bit(
    new_tiny_model: Callable[[], LlamaForCausalLM], tmp_path: Path
) -> None:
    ends: list[dict[str, torch.Tensor]] = []
    for _ in range(2):
        model = new_tiny_model()
        fit(model, ROWS, SCHEDULE, tmp_path / "scratch")
        ends.append(weights(model))
    assert are_equal(*ends)


def test_the_precision_of_a_launcher_changes_nothing(
    new_tiny_model: Callable[[], LlamaForCausalLM], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: list[dict[str, torch.Tensor]] = []
    for precision in ("no", "bf16"):
        monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", precision)  # as `accelerate launch` does
        model = new_tiny_model()
        fit(model, ROWS, SCHEDULE, tmp_path / "scratch")
        ends.append(weights(model))
    assert are_equal(*ends)


def test_the_best_weights_are_kept_where_the_metric_peaks_early(tiny_model: LlamaForCausalLM, tmp_path: Path) -> None:
    seen: list[dict[str, torch.Tensor]] = []
    values = aucs([0.5, 0.9, 0.6, 0.6, 0.6, 0.6])

    def validate() -> Mapping[str, float]:
        seen.append(weights(tiny_model))
        return values()

    fit(tiny_model, ROWS, VALIDATED, tmp_path / "scratch", validate=validate)
    assert len(seen) == 6
    assert are_equal(weights(tiny_model), seen[1])
    assert not are_equal(seen[1], seen[5])


def test_the_first_of_equal_metrics_is_the_best(tiny_model: LlamaForCausalLM, tmp_path: Path) -> None:
    seen: list[dict[str, torch.Tensor]] = []

    def validate() -> Mapping[str, float]:
        seen.append(weights(tiny_model))
        return {"auc": 0.7}

    fit(tiny_model, ROWS, VALIDATED, tmp_path / "scratch", validate=validate)
    assert are_equal(weights(tiny_model), seen[0])


def test_the_last_weights_are_kept_unless_the_best_are_asked_for(tiny_model: LlamaForCausalLM, tmp_path: Path) -> None:
    seen: list[dict[str, torch.Tensor]] = []
    values = aucs([0.5, 0.9, 0.6, 0.6, 0.6, 0.6])

    def validate() -> Mapping[str, float]:
        seen.append(weights(tiny_model))
        return values()

    fit(tiny_model, ROWS, replace(VALIDATED, keep_best=False), tmp_path / "scratch", validate=validate)
    assert are_equal(weights(tiny_model), seen[-1])


def test_training_stops_when_patience_ends(tiny_model: LlamaForCausalLM, tmp_path: Path) -> None:
    impatient = replace(VALIDATED, patience=2)
    log = fit(tiny_model, ROWS, impatient, tmp_path / "scratch", validate=aucs([0.9, 0.5, 0.5, 0.5, 0.5, 0.5])).log
    assert max(entry["step"] for entry in log) == 3


def test_the_log_holds_every_validation(tiny_model: LlamaForCausalLM, tmp_path: Path) -> None:
    values = [0.5, 0.625, 0.75]
    schedule = replace(VALIDATED, eval_every=2)
    log = fit(tiny_model, ROWS, schedule, tmp_path / "scratch", validate=aucs(values)).log
    found = [(entry["step"], entry["eval_auc"]) for entry in log if "eval_auc" in entry]
    assert found == [(2, 0.5), (4, 0.625), (6, 0.75)]


def test_each_update_is_told(tiny_model: LlamaForCausalLM, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    fit(tiny_model, ROWS, SCHEDULE, tmp_path / "scratch", tell=lambda done, total: told.append((done, total)))
    assert told == [(update, 6) for update in range(1, 7)]


def test_the_curve_can_be_watched(tiny_model: LlamaForCausalLM, tmp_path: Path) -> None:
    seen: list[list[str]] = []
    values = aucs([0.5, 0.625, 0.75])

    def validate() -> Mapping[str, float]:
        seen.append((tmp_path / "scratch" / CURVE).read_text().splitlines())
        return values()

    log = fit(tiny_model, ROWS, replace(VALIDATED, eval_every=2), tmp_path / "scratch", validate=validate).log
    losses = [entry["loss"] for entry in log if "loss" in entry]
    assert seen[-1] == [
        "step\tloss\tauc",
        *(f"{step}\t{loss}\t{auc}" for step, loss, auc in zip((2, 4, 6), losses, (0.5, 0.625, ""), strict=True)),
    ]


def test_only_what_requires_gradients_changes(
    tiny_model: LlamaForCausalLM, fresh_start: Path, lora: Lora, tmp_path: Path
) -> None:
    adapted = trainable_adapter(tiny_model, fresh_start, lora, seed=0)
    before = weights(adapted)
    fit(adapted, ROWS, SCHEDULE, tmp_path / "scratch")
    changed = {name for name, tensor in weights(adapted).items() if not torch.equal(tensor, before[name])}
    assert changed == {name for name in before if "lora_" in name}


@pytest.mark.parametrize("micro_batch_size", [4, 2])
def test_a_training_that_diverges_ends_at_once(
    tiny_model: LlamaForCausalLM, tmp_path: Path, micro_batch_size: int
) -> None:
    told: list[int] = []
    schedule = replace(SCHEDULE, learning_rate=1e30, micro_batch_size=micro_batch_size)
    with pytest.raises(TrainingError, match=r"^update 2: the .* is nan, at a learning rate of 8\.33e\+29; a lower one"):
        fit(tiny_model, ROWS, schedule, tmp_path / "scratch", tell=lambda done, total: told.append(done))
    assert told == [1]


def test_a_loss_that_is_not_finite_ends_a_training(tiny_model: LlamaForCausalLM, tmp_path: Path) -> None:
    tiny_model.lm_head.weight.data[2] = float("inf")
    with pytest.raises(TrainingError, match=r"^update 1: the loss is nan, at a learning rate of 0\.01; a lower one"):
        fit(tiny_model, ROWS, SCHEDULE, tmp_path / "scratch")


def test_a_gradient_that_is_not_finite_ends_a_training_before_it_reaches_the_weights(
    tiny_model: LlamaForCausalLM, tmp_path: Path
) -> None:
    parameter = next(parameter for parameter in tiny_model.parameters() if parameter.requires_grad)
    parameter.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(TrainingError, match=r"^update 1: the norm of the gradients is (inf|nan)"):
        fit(tiny_model, ROWS, SCHEDULE, tmp_path / "scratch")
    assert all(tensor.isfinite().all() for tensor in tiny_model.state_dict().values())


def test_no_checkpoint_stays(tiny_model: LlamaForCausalLM, tmp_path: Path) -> None:
    fit(tiny_model, ROWS, VALIDATED, tmp_path / "scratch", validate=lambda: {"auc": 0.5})
    assert list(tmp_path.iterdir()) == []


def test_no_row_is_an_error(tiny_model: LlamaForCausalLM, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no row to train on"):
        fit(tiny_model, [], SCHEDULE, tmp_path / "scratch")


def test_a_batch_holds_no_more_rows_than_there_are(tiny_model: LlamaForCausalLM, tmp_path: Path) -> None:
    log = fit(tiny_model, ROWS[:2], replace(SCHEDULE, batch_size=128, micro_batch_size=32), tmp_path / "scratch").log
    assert log[-1]["epoch"] == 6  # an update is a pass over both rows


@pytest.mark.parametrize(("n_rows", "batch_size"), [(7, 16), (10, 4)])
@pytest.mark.parametrize("gradient_checkpointing", [False, True])
def test_accumulation_and_checkpointing_change_nothing(
    new_tiny_model: Callable[[], LlamaForCausalLM],
    fresh_start: Path,
    lora: Lora,
    tmp_path: Path,
    n_rows: int,
    batch_size: int,
    gradient_checkpointing: bool,
) -> None:
    # Rows of many lengths: a mean of micro-batch means would weigh their tokens otherwise. With a last short
    # micro-batch (7 rows in threes), and with a last short batch (10 rows in fours).
    rows = [{"input_ids": ids, "labels": ids} for ids in ([0, *range(5, 6 + 3 * n), 1] for n in range(n_rows))]
    losses: list[list[float]] = []
    ends: list[torch.Tensor] = []
    for micro_batch_size, is_on in ((batch_size, False), (3, gradient_checkpointing)):
        adapted = trainable_adapter(new_tiny_model(), fresh_start, lora, seed=0)
        schedule = replace(
            SCHEDULE, batch_size=batch_size, micro_batch_size=micro_batch_size, gradient_checkpointing=is_on
        )
        log = fit(adapted, rows, schedule, tmp_path / "scratch").log
        losses.append([entry["loss"] for entry in log if "loss" in entry])
        ends.append(torch.cat([p.detach().flatten() for p in adapted.parameters() if p.requires_grad]))
    assert len(losses[0]) == SCHEDULE.n_updates
    assert losses[1] == pytest.approx(losses[0], abs=1e-4)
    start = trainable_adapter(new_tiny_model(), fresh_start, lora, seed=0)
    moved = ends[0] - torch.cat([p.detach().flatten() for p in start.parameters() if p.requires_grad])
    assert (ends[1] - ends[0]).norm() < 1e-3 * moved.norm()
