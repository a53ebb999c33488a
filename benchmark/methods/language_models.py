"""Sections of `params.yaml` -> the settings that `tallrec` takes. Imports torch only inside its functions."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.artifacts import files, paths
from benchmark.config.params import Params
from benchmark.schema import FewShotTask, Method, Prediction
from benchmark.seeding import derive_seed

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from tallrec.models.adapters import Lora
    from tallrec.models.loading_settings import Loading
    from tallrec.scoring.samples import Scoring
    from tallrec.tiny.shape import TinyModel
    from tallrec.training.schedule import Schedule

STARTS = Path("models/start")
"""What each recipe tunes: `tallrec/` is the instruction adapter, `rt/` says: new weights."""


def loading(params: Params, *, to_score: bool = False) -> "Loading":
    """How the base model is loaded.

    Args:
        params: the configuration.
        to_score: quantized as section `score` says instead of as `llm` does, for tuned adapters.

    Source:
        The released code tunes in 8 bits and scores in half precision: finetune_rec.py, evaluate.py at c1db29ce.
    """
    from tallrec.models.loading_settings import Loading

    quantization = params.score.quantization if to_score else params.llm.quantization
    return Loading(params.llm.dtype, quantization, params.llm.n_threads)


def load_base(
    params: Params, *, to_score: bool = False, sharded: bool = False
) -> "tuple[PreTrainedModel, PreTrainedTokenizerBase]":
    """The base model that stage `base` made or refers to, and its tokenizer.

    Args:
        params: the configuration.
        to_score: as of `loading`.
        sharded: whether the processes that call this share its weights.
    """
    from tallrec.models.loading import load_base

    return load_base(paths.BASE_MODEL, replace(loading(params, to_score=to_score), sharded=sharded))


def decisive(params: Params) -> dict[str, Any]:
    """What decides a tuned adapter beside its schedule, rows and start: a checkpoint of another one is not taken."""
    return {
        "base": files.read_json(paths.BASE_MODEL / "origin.json"),
        "llm": params.llm.model_dump(mode="json"),
        "lora": params.lora.model_dump(mode="json"),
    }


def tiny_shape(params: Params) -> "TinyModel":
    """Shape of the tiny LLaMA."""
    from tallrec.tiny.shape import TinyModel

    base = params.base
    return TinyModel(
        vocabulary_size=base.vocabulary_size,
        hidden_size=base.hidden_size,
        intermediate_size=base.intermediate_size,
        n_layers=base.n_layers,
        n_heads=base.n_heads,
        max_positions=base.max_positions,
    )


def lora(params: Params) -> "Lora":
    """Shape of the adapter."""
    from tallrec.models.adapters import Lora

    return Lora(**params.lora.model_dump())


def scoring(params: Params, style: str = "released") -> "Scoring":
    """How a sample becomes a prompt of `style` and a score."""
    from tallrec.scoring.samples import Scoring

    return Scoring(
        style=style,
        stray_comment=params.fidelity.prompt == "released",
        rule=params.fidelity.scoring,
        max_length=params.llm.max_length,
        batch_tokens=params.score.batch_tokens,
    )


def tuning_schedule(params: Params, seed: int) -> "Schedule":
    """The schedule of rec-tuning."""
    from tallrec.training.schedule import Schedule

    tune = params.tune
    return Schedule(
        n_updates=tune.n_updates,
        batch_size=tune.batch_size,
        micro_batch_size=tune.micro_batch_size,
        learning_rate=tune.learning_rate,
        warmup_updates=tune.warmup_updates,
        seed=derive_seed("tune", seed),
        eval_every=tune.eval_every,
        patience=tune.patience,
        keep_best=params.fidelity.checkpoint == "best_auc",
        gradient_checkpointing=tune.gradient_checkpointing,
    )


def scoring_method(
    model: "PreTrainedModel | PeftModel", tokenizer: "PreTrainedTokenizerBase", settings: "Scoring"
) -> Method:
    """The method that asks `model` about each test sample; the few-shot rows of a task become demonstrations."""
    from tallrec.scoring.samples import score_samples

    def predict(task: FewShotTask) -> list[Prediction]:
        return score_samples(model, tokenizer, task.test, task.items, settings, demonstrations=task.train)

    return predict
