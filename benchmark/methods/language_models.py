"""Sections of `params.yaml` -> the settings that `tallrec` takes. Imports torch only inside its functions."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from benchmark.artifacts import paths
from benchmark.config.params import Params
from benchmark.schema import FewShotTask, Method, Prediction

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from tallrec.models.loading_settings import Loading
    from tallrec.scoring.samples import Scoring


def loading(params: Params, *, to_score: bool = False) -> "Loading":
    """How the base model is loaded.

    Args:
        params: the configuration.
        to_score: quantized as section `score` says instead of as `llm` does, for whatever is scored.

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

    Raises:
        DataError: its weights cannot be loaded as they are.
        ConfigError: it has fewer positions than `llm.max_length`.
    """
    from tallrec.models.architecture import refuse_few_positions
    from tallrec.models.loading import load_base

    model, tokenizer = load_base(paths.BASE_MODEL, replace(loading(params, to_score=to_score), sharded=sharded))
    refuse_few_positions(model.config, params.llm.max_length)
    return model, tokenizer


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


def scoring_settings(params: Params) -> dict[str, Any]:
    """The values that decide the scores of a model that runs here, for the record of a cell."""
    return params.model_dump(mode="json", include={"llm", "score", "fidelity"})


def scoring_method(
    model: "PreTrainedModel | PeftModel", tokenizer: "PreTrainedTokenizerBase", settings: "Scoring"
) -> Method:
    """The method that asks `model` about each test sample; the few-shot rows of a task become demonstrations."""
    from tallrec.scoring.samples import score_samples

    def predict(task: FewShotTask) -> list[Prediction]:
        return score_samples(model, tokenizer, task.test, task.items, settings, demonstrations=task.train)

    return predict
