"""Models of in-context learning by the names that `grid.icl_models` may hold, as methods.

torch, transformers and the client of servers are imported by the functions that need them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from benchmark.config.in_context import ApiModelParams, LocalModelParams
from benchmark.config.params import Params
from benchmark.methods import language_models
from benchmark.methods.language_models import STARTS
from benchmark.progress import progress
from benchmark.schema import FewShotTask, Method, Prediction

PACE_AND_PRICE = (
    "max_concurrency",
    "timeout_seconds",
    "n_retries",
    "dollars_per_million_input_tokens",
    "dollars_per_million_output_tokens",
)
"""Keys of an API model that change no score."""


def icl_method(params: Params, name: str, prompt: str, notes: dict[str, Any]) -> Method:
    """The method that asks the model `name` in the style `prompt`; what it says of a run goes to `notes`."""
    section = params.icl.models.get(name)
    if isinstance(section, ApiModelParams):
        return _api_method(params, section, name, prompt, notes)
    model, tokenizer = _loaded(params, name, section)
    if name == "alpaca":
        from tallrec.models.adapters import load_adapter

        model = load_adapter(model, STARTS / "tallrec")
    return language_models.scoring_method(model, tokenizer, language_models.scoring(params, prompt))


def icl_settings(params: Params, name: str, prompt: str) -> dict[str, Any]:
    """The values that decide the scores of a model, for the record of a cell."""
    section = params.icl.models.get(name)
    settings = {"fidelity": params.fidelity.model_dump(mode="json"), "prompt": prompt}
    if not isinstance(section, ApiModelParams):
        settings["llm"] = params.llm.model_dump(mode="json")
    if section is not None:
        settings["model"] = section.model_dump(mode="json", exclude=set(PACE_AND_PRICE))
    return settings


def _loaded(params: Params, name: str, section: LocalModelParams | None) -> tuple[Any, Any]:
    """The model of section `llm`, or the one that `section` names, and its tokenizer."""
    if section is None:
        return language_models.load_base(params)
    from tallrec.models.loading import load_model

    return load_model(section.model, section.revision, language_models.loading(params), key=f"icl.models.{name}.model")


def _api_method(params: Params, section: ApiModelParams, name: str, prompt: str, notes: dict[str, Any]) -> Method:
    from tallrec.api.cache import default_cache_file
    from tallrec.api.client import ApiModel
    from tallrec.api.samples import ApiScoring, score_samples_by_api

    model = ApiModel(
        address=section.address,
        model=section.model,
        key_variable=section.key_variable,
        endpoint=section.endpoint,
        n_top_logprobs=section.n_top_logprobs if section.read == "logprobs" else None,
        parameters=section.parameters,
        max_concurrency=section.max_concurrency,
        timeout_seconds=section.timeout_seconds,
        n_retries=section.n_retries,
    )
    scoring = ApiScoring(
        style=prompt,
        stray_comment=params.fidelity.prompt == "released",
        rule=params.fidelity.scoring,
        missing_answer=section.missing_answer,
    )

    def predict(task: FewShotTask) -> list[Prediction]:
        with progress(f"{name} {prompt}") as tell:
            predictions, traffic = score_samples_by_api(
                model, task.test, task.items, scoring, default_cache_file(), demonstrations=task.train, tell=tell
            )
        notes.clear()
        notes.update(asdict(traffic), **_costs(section, asdict(traffic)), **_shares(predictions))
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
