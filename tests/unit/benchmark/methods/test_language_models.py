"""Sections of the configuration as the settings that the language-model side takes."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from benchmark.config.in_context import LocalModelParams
from benchmark.config.overlays import merged, preset_text
from benchmark.config.params import Params
from benchmark.config.reading import parse_yaml
from benchmark.methods import language_models, tuning
from benchmark.methods.configuration import parse_config
from benchmark.methods.in_context import own_method
from benchmark.methods.other_models import other_method
from benchmark.schema import FewShotTask, check_predictions
from tallrec.scoring.samples import Scoring


def changed(params: Params, section: str, **values: Any) -> Params:
    return params.model_copy(update={section: getattr(params, section).model_copy(update=values)})


@pytest.mark.parametrize(("prompt", "stray_comment"), [("released", True), ("clean", False)])
@pytest.mark.parametrize("rule", ["double_softmax", "logit_difference"])
def test_fidelity_decides_prompt_and_rule(params: Params, prompt: str, stray_comment: bool, rule: str) -> None:
    scoring = language_models.scoring(changed(params, "fidelity", prompt=prompt, scoring=rule), "paper")
    assert (scoring.style, scoring.stray_comment, scoring.rule) == ("paper", stray_comment, rule)
    assert scoring.max_length == params.llm.max_length
    assert scoring.batch_tokens == params.score.batch_tokens


def test_loading_and_lora_follow_their_sections(params: Params) -> None:
    quantized = changed(params, "llm", quantization="4bit", dtype="bfloat16", n_threads=3)
    loading = language_models.loading(quantized)
    assert (loading.dtype, loading.quantization, loading.n_threads) == ("bfloat16", "4bit", 3)
    lora = tuning.lora(changed(params, "lora", rank=3, target_modules=("o_proj",)))
    assert (lora.rank, lora.target_modules) == (3, ("o_proj",))


def test_tuned_adapters_are_scored_in_a_quantization_of_their_own(
    params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[Any] = []

    def load(folder: Any, loading: Any) -> tuple[Any, None]:
        loaded.append(loading)
        return SimpleNamespace(config=LlamaConfig()), None

    monkeypatch.setattr("tallrec.models.loading.load_base", load)
    released = changed(changed(params, "llm", quantization="8bit", dtype="float16"), "score", quantization="none")
    language_models.load_base(released)
    language_models.load_base(released, to_score=True)
    assert [(loading.dtype, loading.quantization) for loading in loaded] == [("float16", "8bit"), ("float16", "none")]


def test_models_as_they_are_are_scored_as_tuned_ones(params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[Any] = []

    def load(folder: Any, loading: Any) -> tuple[Any, None]:
        loaded.append(loading.quantization)
        return SimpleNamespace(config=LlamaConfig()), None

    monkeypatch.setattr("tallrec.models.loading.load_base", load)
    monkeypatch.setattr(
        "tallrec.models.loading.load_model", lambda source, revision, loading, key: load(source, loading)
    )
    local = LocalModelParams(kind="local", model="folder", revision=None)
    released = changed(changed(params, "llm", quantization="8bit", dtype="float16"), "score", quantization="none")
    released = changed(released, "icl", models={"chatty": local})
    own_method(released, "base", "released")
    other_method(released, "chatty", "released", {})
    language_models.load_base(released, to_score=True)  # as stage `score` does
    assert loaded == ["none"] * 3


@pytest.mark.parametrize(("checkpoint", "keep_best"), [("best_auc", True), ("last", False)])
def test_fidelity_decides_the_checkpoint(params: Params, checkpoint: str, keep_best: bool) -> None:
    schedule = tuning.tuning_schedule(changed(params, "fidelity", checkpoint=checkpoint), seed=0, n_rows=16)
    assert schedule.keep_best is keep_best
    assert schedule.n_updates == params.tune.n_updates
    assert schedule.eval_every == params.tune.eval_every


def test_each_seed_tunes_with_its_own(params: Params) -> None:
    seeds = {tuning.tuning_schedule(params, seed, n_rows=16).seed for seed in (0, 1, 0)}
    assert len(seeds) == 2


@pytest.mark.parametrize(
    ("n_rows", "batch_size", "expected"),
    [(16, 128, 200), (128, 128, 200), (129, 128, 400), (256, 128, 400), (512, 128, 800), (10, 4, 600)],
)
def test_epochs_are_as_many_updates_as_the_rows_need(
    params: Params, n_rows: int, batch_size: int, expected: int
) -> None:
    released = changed(params, "tune", n_updates=None, n_epochs=200, batch_size=batch_size)
    schedule = tuning.tuning_schedule(released, seed=0, n_rows=n_rows)
    assert schedule.n_updates == expected
    assert tuning.tuning_schedule(params, seed=0, n_rows=n_rows).n_updates == params.tune.n_updates


@pytest.mark.parametrize(
    ("train_domain", "n_shots", "n_updates"),
    [("movie", 16, 200), ("movie", 64, 200), ("book", 256, 400), ("both", 64, 200), ("both", 256, 800)],
)
def test_preset_paper_tunes_as_many_updates_as_released(train_domain: str, n_shots: int, n_updates: int) -> None:
    folder = Path(__file__).parents[4]
    text = merged((folder / "params.yaml").read_text(encoding="utf-8"), preset_text("paper"))
    paper = parse_config(parse_yaml(text, Path("params.yaml")), Path("params.yaml"))
    n_rows = n_shots * (2 if train_domain == "both" else 1)
    schedule = tuning.tuning_schedule(paper, seed=0, n_rows=n_rows)
    assert (schedule.n_updates, schedule.warmup_updates, schedule.eval_every) == (n_updates, 20, 10)


def test_the_scoring_method_shows_the_training_rows(
    tiny_model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, toy_task: FewShotTask, scoring: Scoring
) -> None:
    method = language_models.scoring_method(tiny_model, tokenizer, scoring)
    lengths: list[float] = []
    for n_shown in (0, 2):
        task = FewShotTask(toy_task.train[:n_shown], toy_task.valid, toy_task.test, toy_task.items, toy_task.seed)
        predictions = method(task)
        check_predictions(predictions, task)
        lengths.append(predictions[0].details["n_prompt_tokens"])
    assert lengths[1] > lengths[0]
