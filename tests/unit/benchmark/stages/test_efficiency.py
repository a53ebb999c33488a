"""The stage `efficiency`: what it asks for, and how it reads what comes back."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from benchmark.artifacts.paths import BASE_MODEL, EFFICIENCY, STARTS, efficiency_file
from benchmark.config.params import EfficiencyConfiguration, Params
from benchmark.errors import BenchmarkError
from benchmark.methods.configuration import load_config
from benchmark.schema import FewShotTask
from benchmark.stages import efficiency
from tallrec.models.adapters import write_fresh_start
from tallrec.models.loading import save_base
from tallrec.models.origin import write_origin

REPOSITORY = Path(__file__).parents[4]
CONFIGURATIONS = tuple(
    EfficiencyConfiguration(
        name=name,
        quantization=quantization,
        micro_batch_size=2,
        gradient_checkpointing=checkpointing,
        n_tokens=None,
        attention="sdpa",
    )
    for name, quantization, checkpointing in (("full", "none", False), ("small", "4bit", True))
)


@pytest.fixture
def few(params: Params) -> Params:
    section = params.efficiency.model_copy(update={"configurations": CONFIGURATIONS, "memory_limit_gb": 0.5})
    grid = params.grid.model_copy(update={"domains": ("movie",), "n_shots": (4,), "seeds": (0,)})
    tune = params.tune.model_copy(update={"batch_size": 6})
    return params.model_copy(update={"efficiency": section, "grid": grid, "tune": tune})


@pytest.fixture
def answering(
    few: Params,
    repository: Path,
    write_domain: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., list[dict[str, Any]]]:
    """Lets each configuration end as given, and returns the settings it was started with."""
    write_domain("movie")
    monkeypatch.setattr(efficiency, "load_config", lambda: few)

    def answer(returncode: int, stdout: str = "", stderr: str = "") -> list[dict[str, Any]]:
        asked: list[dict[str, Any]] = []

        def run(command: list[str], **keywords: Any) -> subprocess.CompletedProcess[str]:
            del keywords
            asked.append(json.loads(Path(command[-1]).read_text()))
            return subprocess.CompletedProcess(command, returncode, stdout, stderr)

        monkeypatch.setattr(efficiency.subprocess, "run", run)
        return asked

    return answer


def test_each_configuration_is_measured_in_its_own_process(answering: Callable[..., list[dict[str, Any]]]) -> None:
    asked = answering(0, stdout='a warning\n{"status": "ok", "samples_per_second": 3.5}\n')
    for configuration in CONFIGURATIONS:
        assert efficiency.main(["--configuration", configuration.name]) == 0
    rows = [json.loads(efficiency_file(configuration.name).read_text()) for configuration in CONFIGURATIONS]
    assert [(row["name"], row["status"], row["samples_per_second"]) for row in rows] == [
        ("full", "ok", 3.5),
        ("small", "ok", 3.5),
    ]
    assert [settings["loading"]["quantization"] for settings in asked] == ["none", "4bit"]
    assert [settings["schedule"]["gradient_checkpointing"] for settings in asked] == [False, True]
    assert {settings["memory_limit_bytes"] for settings in asked} == {2**29}
    assert all(settings["schedule"]["eval_every"] is None for settings in asked)


def test_prompts_are_those_of_a_batch_of_validation_rows(few: Params, toy_task: FewShotTask) -> None:
    settings = efficiency.settings_of(few, toy_task, CONFIGURATIONS[0])
    assert len(settings["prompts"]) == len(settings["answers"]) == 6
    assert settings["answers"][:2] == ["Yes.", "No."]
    assert "Good-0" in settings["prompts"][0]
    json.dumps(settings)


def test_a_killed_process_does_not_fit(answering: Callable[..., list[dict[str, Any]]]) -> None:
    answering(-9)
    assert efficiency.main(["--configuration", "full"]) == 0
    written = json.loads(efficiency_file("full").read_text())
    assert (written["status"], written["device"]) == ("does not fit", "CPU")


def test_any_other_failure_is_one_line_and_no_result(
    answering: Callable[..., list[dict[str, Any]]], capsys: pytest.CaptureFixture[str]
) -> None:
    answering(1, stderr="Traceback\nKeyError: 'base'\n")
    assert efficiency.main(["--configuration", "full"]) == 2
    assert capsys.readouterr().err == "error: efficiency.configurations.full: KeyError: 'base'\n"
    assert not EFFICIENCY.exists()


@pytest.fixture
def settings(
    repository: Path,
    toy_task: FewShotTask,
    new_tiny_model: Callable[..., LlamaForCausalLM],
    tokenizer: PreTrainedTokenizerFast,
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, Any]:
    """What a process of its own needs to measure the tiny model."""
    save_base(new_tiny_model(64), tokenizer, BASE_MODEL)
    write_origin(BASE_MODEL, "tiny", None, {})
    write_fresh_start(STARTS / "rt")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    params = load_config(REPOSITORY / "params.yaml")
    return efficiency.settings_of(params, toy_task, CONFIGURATIONS[0])


@pytest.mark.slow
def test_rows_longer_than_the_positions_are_told(settings: dict[str, Any]) -> None:
    with pytest.raises(BenchmarkError, match=r"full: n_tokens: 99999 is more than the \d+ positions of llm\.model"):
        efficiency._measured(settings | {"n_tokens": 99_999}, "full")


def test_the_reason_of_a_failure_is_told_whatever_follows_it(
    answering: Callable[..., list[dict[str, Any]]], capsys: pytest.CaptureFixture[str]
) -> None:
    said = (
        "Traceback\ntorch.AcceleratorError: CUDA error: an illegal memory access\nCompile with `TORCH_USE_CUDA_DSA`.\n"
    )
    answering(1, stderr=said)
    assert efficiency.main(["--configuration", "full"]) == 2
    assert capsys.readouterr().err.endswith("full: torch.AcceleratorError: CUDA error: an illegal memory access\n")


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="memory limits of a process are POSIX")
def test_a_real_process_under_a_limit_it_cannot_keep_does_not_fit(settings: dict[str, Any]) -> None:
    assert efficiency._measured(settings | {"memory_limit_bytes": 2**20}, "full")["status"] == "does not fit"
