"""Nobody is told of a training unless a key names whom, and then all that Trainer logs."""

from pathlib import Path
from typing import Any, ClassVar

import pytest
from transformers import LlamaForCausalLM, TrainerCallback
from transformers.integrations import integration_utils

from benchmark.errors import ConfigError
from benchmark.methods.configuration import load_config
from tallrec.models.adapters import Lora, trainable_adapter
from tallrec.reporting import reporting
from tallrec.training.fitting import fit
from tallrec.training.schedule import Schedule

ROOT = Path(__file__).parents[3]
ROWS = [{"input_ids": [5, 6, 7 + n], "labels": [-100, -100, 7 + n]} for n in range(4)]
SCHEDULE = Schedule(n_updates=4, batch_size=4, micro_batch_size=4, learning_rate=0.01, warmup_updates=0, seed=0)


class Notebook(TrainerCallback):
    """A tracker that writes what it is told into a list."""

    told: ClassVar[list[dict[str, Any]]] = []

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        del args, state, control
        self.told.append(dict(logs))


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> type[Notebook]:
    monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, "notebook", Notebook)
    monkeypatch.setattr(Notebook, "told", [])
    return Notebook


def train(model: LlamaForCausalLM, start: Path, lora: Lora, scratch: Path, report_to: str) -> None:
    fit(trainable_adapter(model, start, lora, seed=0), ROWS, SCHEDULE, scratch, callbacks=reporting(report_to))


def test_nobody_is_told_as_committed(
    tiny_model: LlamaForCausalLM, fresh_start: Path, lora: Lora, tmp_path: Path, notebook: type[Notebook]
) -> None:
    report_to = load_config(ROOT / "params.yaml").tune.report_to
    assert report_to == "none"
    train(tiny_model, fresh_start, lora, tmp_path / "scratch", report_to)
    assert notebook.told == []


def test_a_tracker_is_told_each_loss(
    tiny_model: LlamaForCausalLM, fresh_start: Path, lora: Lora, tmp_path: Path, notebook: type[Notebook]
) -> None:
    train(tiny_model, fresh_start, lora, tmp_path / "scratch", "notebook")
    assert len([told for told in notebook.told if "loss" in told]) == SCHEDULE.n_updates


def test_a_tracker_that_is_not_known_or_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"tune\.report_to: 'trackoi' is not one of none, .*trackio"):
        reporting("trackoi")

    def missing() -> None:
        raise RuntimeError("Thing requires thing to be installed. Run `pip install thing`.")

    monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, "thing", missing)
    with pytest.raises(ConfigError, match=r"tune\.report_to: thing cannot be told: Thing requires thing"):
        reporting("thing")
