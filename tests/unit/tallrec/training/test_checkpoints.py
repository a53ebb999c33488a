"""Which checkpoint is whole and whose it is, and that nothing is restored or written by half."""

import json
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaForCausalLM, TrainerCallback

from benchmark.errors import DataError
from tallrec.models.adapters import Lora, save_adapter, trainable_adapter
from tallrec.training.checkpoints import CODE, STATE, claim, digest_of_run, last_whole, restore, scratch_folder
from tallrec.training.fitting import fit
from tallrec.training.schedule import Schedule

ROWS = [{"input_ids": ids, "labels": ids} for ids in ([0, 5, 6, 7, 1], [0, 8, 9, 1], [0, 10, 1], [0, 5, 9, 1])]
SCHEDULE = Schedule(
    n_updates=6,
    batch_size=4,
    micro_batch_size=4,
    learning_rate=0.01,
    warmup_updates=0,
    seed=0,
    eval_every=2,
    patience=10,
    keep_best=True,
)


@pytest.fixture
def finished(tiny_model: LlamaForCausalLM, tmp_path: Path) -> Path:
    """The scratch folder of a finished run, whose first validation was the best."""
    values = iter([0.9, 0.5, 0.5])
    fit(tiny_model, ROWS, SCHEDULE, tmp_path / "scratch", validate=lambda: {"auc": next(values)}, settings={})
    return tmp_path / "scratch"


def test_the_last_and_the_best_checkpoint_stay(finished: Path) -> None:
    found = last_whole(finished)
    assert found
    assert (found.folder.name, found.n_updates, found.is_last) == ("checkpoint-6", 6, True)
    assert found.best == finished / "checkpoint-2"
    assert {path.name for path in finished.glob("checkpoint-*")} == {"checkpoint-2", "checkpoint-6"}


@pytest.mark.parametrize("content", [None, "", '{"global_step": 6'])
def test_a_half_written_checkpoint_is_removed(finished: Path, content: str | None) -> None:
    shutil.copytree(finished / "checkpoint-6", finished / "checkpoint-8")
    state = finished / "checkpoint-8" / STATE
    state.unlink() if content is None else state.write_text(content)
    found = last_whole(finished)
    assert found
    assert found.n_updates == 6
    assert not (finished / "checkpoint-8").exists()


@pytest.mark.parametrize("name", ["optimizer.pt", "scheduler.pt", "rng_state.pth"])
def test_a_checkpoint_that_another_run_is_removing_is_none(finished: Path, name: str) -> None:
    shutil.copytree(finished / "checkpoint-6", finished / "checkpoint-8")
    (finished / "checkpoint-8" / name).unlink()
    found = last_whole(finished)
    assert found
    assert found.folder.name == "checkpoint-6"


class Ends(TrainerCallback):
    """Ends a training before its fourth update, as a kill would."""

    def on_step_begin(self, args: Any, state: Any, control: Any, **keywords: Any) -> None:
        if state.global_step == 3:
            raise InterruptedError


class Removes(TrainerCallback):
    """Removes the optimizer's state before the Trainer may have read all, as the end of another run would."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **keywords: Any) -> None:
        (Path(args.output_dir) / "checkpoint-2" / "optimizer.pt").unlink()


def test_a_training_whose_checkpoint_is_removed_as_it_is_read_ends(
    new_tiny_model: Callable[[], LlamaForCausalLM], tmp_path: Path
) -> None:
    schedule, scratch = replace(SCHEDULE, keep_best=False), tmp_path / "scratch"
    validate = {"validate": lambda: {"auc": 0.5}}
    with pytest.raises(InterruptedError):
        fit(new_tiny_model(), ROWS, schedule, scratch, settings={}, callbacks=[Ends()], **validate)
    with pytest.raises(DataError, match="checkpoint-2: removed while it was read, by another run of this stage"):
        fit(new_tiny_model(), ROWS, schedule, scratch, settings={}, callbacks=[Removes()], **validate)
    assert fit(new_tiny_model(), ROWS, schedule, scratch, settings={}, **validate).n_resumed == 0


def test_a_checkpoint_without_the_best_one_is_of_no_use(finished: Path) -> None:
    (finished / "checkpoint-2" / STATE).unlink()
    assert last_whole(finished) is None
    assert not list(finished.glob("checkpoint-*"))


def test_the_folder_of_another_run_is_emptied(finished: Path) -> None:
    claim(finished, "another run")
    assert [path.name for path in finished.iterdir()] == ["settings.sha256"]


def test_a_folder_that_belongs_to_nobody_is_emptied(finished: Path) -> None:
    digest = (finished / "settings.sha256").read_text()
    (finished / "settings.sha256").unlink()
    claim(finished, digest)
    assert last_whole(finished) is None


def test_a_run_knows_its_rows_settings_weights_and_threads(new_tiny_model: Callable[[], LlamaForCausalLM]) -> None:
    model, other = new_tiny_model(), new_tiny_model()
    known = digest_of_run(model, ROWS, {"dropout": 0.1})
    assert digest_of_run(other, ROWS, {"dropout": 0.1}) == known
    with torch.no_grad():
        other.get_parameter("model.norm.weight")[0] += 1e-6
    others = {
        digest_of_run(model, ROWS[::-1], {"dropout": 0.1}),
        digest_of_run(model, ROWS, {"dropout": 0.2}),
        digest_of_run(other, ROWS, {"dropout": 0.1}),
    }
    torch.set_num_threads(2)
    try:
        others.add(digest_of_run(model, ROWS, {"dropout": 0.1}))
    finally:
        torch.set_num_threads(1)
    assert len(others | {known}) == 5


@pytest.mark.parametrize(
    ("module", "decides"),
    [
        ("processes.py", True),
        ("prompts/rendering.py", True),
        ("models/adapters.py", True),
        ("scoring/rules.py", True),
        ("training/loss.py", True),
        ("tiny/exact.py", True),
        ("api/rules.py", False),
        ("api/cache.py", False),
        ("cost/simulation.py", False),
    ],
)
def test_a_run_knows_the_code_that_decides_it(
    tiny_model: LlamaForCausalLM, tmp_path: Path, module: str, decides: bool
) -> None:
    copied = shutil.copytree(CODE, tmp_path / "tallrec", ignore=shutil.ignore_patterns("__pycache__"))
    known = digest_of_run(tiny_model, ROWS, {})
    assert digest_of_run(tiny_model, ROWS, {}, copied) == known
    with (copied / module).open("a") as file:
        file.write("\n# edited\n")
    assert (digest_of_run(tiny_model, ROWS, {}, copied) != known) is decides


def test_a_longer_schedule_is_another_run(
    finished: Path, new_tiny_model: Callable[[], LlamaForCausalLM], tmp_path: Path
) -> None:
    longer = replace(SCHEDULE, n_updates=8)
    assert fit(new_tiny_model(), ROWS, SCHEDULE, finished, validate=lambda: {"auc": 0.5}, settings={}).n_resumed == 6
    assert fit(new_tiny_model(), ROWS, longer, finished, validate=lambda: {"auc": 0.5}, settings={}).n_resumed == 0


def test_scratch_stays_when_a_run_fails(finished: Path) -> None:
    with pytest.raises(DataError), scratch_folder(finished):
        raise DataError
    assert finished.exists()
    with scratch_folder(finished):
        pass
    assert not finished.exists()


@pytest.mark.parametrize("change", ["missing", "renamed"])
def test_weights_that_do_not_all_arrive_are_refused(
    new_tiny_model: Callable[[], LlamaForCausalLM], fresh_start: Path, lora: Lora, tmp_path: Path, change: str
) -> None:
    adapted = trainable_adapter(new_tiny_model(), fresh_start, lora, seed=0)
    save_adapter(adapted, tmp_path / "adapter")
    path = tmp_path / "adapter" / "adapter_model.safetensors"
    name, *names = stored = load_file(path)
    kept = {key: stored[key] for key in names}
    save_file(kept if change == "missing" else {**kept, f"{name}_": stored[name]}, path)
    with pytest.raises(DataError, match=r"adapter_model\.safetensors: . of . tensors did not reach the model"):
        restore(adapted, tmp_path / "adapter")


def test_all_weights_of_a_model_with_tied_ones_are_restored(
    finished: Path, new_tiny_model: Callable[[], LlamaForCausalLM]
) -> None:
    model = new_tiny_model()
    restore(model, finished / "checkpoint-6")
    stored = load_file(finished / "checkpoint-6" / "model.safetensors")
    assert "lm_head.weight" not in stored
    assert torch.equal(model.lm_head.weight, stored["model.embed_tokens.weight"])


@pytest.mark.parametrize("n_bytes", [1_000, 40_000, 70_000])
def test_a_full_disk_is_one_line_and_costs_one_checkpoint(
    new_tiny_model: Callable[[], LlamaForCausalLM],
    tmp_path: Path,
    n_bytes: int,
    files_no_larger_than: Callable[[int], AbstractContextManager[None]],
) -> None:
    # Weights take 46 kB and the optimizer's state twice as much, so that both writers meet the limit.
    model, scratch = new_tiny_model(), tmp_path / "scratch"

    def validate() -> dict[str, float]:
        return {"auc": 0.5}

    with (
        pytest.raises(DataError, match=rf"^{scratch}: cannot be written, [\d.]+ MB free: .+$"),
        files_no_larger_than(n_bytes),
    ):
        fit(model, ROWS, SCHEDULE, scratch, validate=validate, settings={})
    assert not (scratch / "checkpoint-2" / STATE).exists()
    fit(new_tiny_model(), ROWS, SCHEDULE, scratch, validate=validate, settings={})
    assert json.loads((scratch / "checkpoint-6" / STATE).read_text())["global_step"] == 6
