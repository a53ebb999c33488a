"""In-context models of `icl.models`, local or behind an address, as methods.

torch, transformers and the client of servers are imported by the functions that need them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmark.config.in_context import ApiModelParams, ExactModelParams, ServerParams
from benchmark.config.params import Params
from benchmark.methods import language_models
from benchmark.progress import progress
from benchmark.schema import FewShotTask, Method, Prediction

PACE_AND_PRICE = {
    "max_concurrency",
    "timeout_seconds",
    "n_retries",
    "dollars_per_million_input_tokens",
    "dollars_per_million_output_tokens",
    "extended_test_set",
}
"""Keys of an API model that change no score."""


def other_method(params: Params, name: str, prompt: str, notes: dict[str, Any]) -> Method:
    """The method that asks the model `name` of `icl.models` in the style `prompt`; what is to be said goes to `notes`.

    Raises:
        DataError: the weights of a local model cannot be loaded.
    """
    section = params.icl.models[name]
    if isinstance(section, ServerParams):
        return _served_method(params, section, name, prompt, notes)
    from tallrec.models.loading import load_model
    from tallrec.models.origin import file_digests

    if Path(section.model).is_dir():  # which may change under its name, and DVC does not watch
        notes.update(files=file_digests(Path(section.model)))
    model, tokenizer = load_model(
        section.model, section.revision, language_models.loading(params, to_score=True), key=f"icl.models.{name}.model"
    )
    return language_models.scoring_method(model, tokenizer, language_models.scoring(params, prompt))


def other_settings(params: Params, name: str) -> dict[str, Any]:
    """The values that decide the scores of a model, for the record of a cell."""
    section, settings = params.icl.models[name], language_models.scoring_settings(params)
    if isinstance(section, ServerParams):
        settings = {"fidelity": settings["fidelity"]}
    return {**settings, "model": section.model_dump(mode="json", exclude=PACE_AND_PRICE)}


def _served_method(
    params: Params, section: ApiModelParams | ExactModelParams, name: str, prompt: str, notes: dict[str, Any]
) -> Method:
    from tallrec.api.cache import default_cache_file
    from tallrec.api.exact import score_samples_exactly
    from tallrec.api.model import ApiModel
    from tallrec.api.samples import ApiScoring, score_samples_by_api

    is_exact = isinstance(section, ExactModelParams)
    model = ApiModel(
        address=section.address,
        model=section.model,
        key_variable=section.key_variable,
        endpoint=section.endpoint,
        n_top_logprobs=section.n_top_logprobs if not is_exact and section.read == "logprobs" else None,
        parameters={} if is_exact else section.parameters,
        max_concurrency=section.max_concurrency,
        timeout_seconds=section.timeout_seconds,
        n_retries=section.n_retries,
    )
    scoring = ApiScoring(
        style=prompt,
        stray_comment=params.fidelity.prompt == "released",
        rule=params.fidelity.scoring,
        missing_answer="" if is_exact else section.missing_answer,
    )
    score = score_samples_exactly if is_exact else score_samples_by_api

    def predict(task: FewShotTask) -> list[Prediction]:
        with progress(f"{name} {prompt}") as tell:
            predictions, traffic = score(
                model, task.test, task.items, scoring, default_cache_file(), demonstrations=task.train, tell=tell
            )
        notes.clear()
        notes.update(asdict(traffic))
        if isinstance(section, ApiModelParams):
            notes.update(**_costs(section, asdict(traffic)), **_shares(predictions))
        return predictions

    return predict


def _costs(section: ApiModelParams, traffic: Mapping[str, int | None]) -> dict[str, float | None]:
    """Dollars of all answers, and of those that this run asked for; None where price or tokens are not known."""
    prices = (section.dollars_per_million_input_tokens, section.dollars_per_million_output_tokens)
    costs: dict[str, float | None] = {}
    for suffix in ("", "_of_this_run"):
        tokens = (traffic[f"n_input_tokens{suffix}"], traffic[f"n_output_tokens{suffix}"])
        pairs = zip(tokens, prices, strict=True)
        known = [n * price / 1e6 for n, price in pairs if n is not None and price is not None]
        costs[f"dollars{suffix}"] = sum(known) if len(known) == len(prices) else None
    return costs


def _shares(predictions: Sequence[Prediction]) -> dict[str, float]:
    """The share of answers that could not be read, in [0, 1]."""
    return {
        f"share_{name}": sum(p.details[f"is_{name}"] for p in predictions) / len(predictions)
        for name in ("refused", "unparsable")
    }
