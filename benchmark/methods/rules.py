"""Rules of `params.yaml` that join two values, or a value and the code it names."""

import ast
import difflib
import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from benchmark.config.in_context import ApiModelParams, LocalModelParams
from benchmark.config.params import Params, TrainingParams
from benchmark.config.values import PositiveFloat, PositiveInt
from benchmark.data.domains import FORMATS, format_module
from benchmark.errors import ConfigError
from benchmark.methods.baselines import BASELINES_FOLDER, CONTROLS, baseline_keywords, reads_text
from benchmark.methods.probes import PROBES

PROMPTS_MODULE = Path(__file__).parents[2] / "tallrec" / "prompts" / "rendering.py"
COMMIT = re.compile(r"[0-9a-f]{40}")
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
ADDRESS = re.compile(r"https?://[^\s@?#/]+(/[^\s@?#]*)?")
VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
OWN_MODELS = ("base", "alpaca")
"""In-context models without an entry in `icl.models`: that of section `llm`, and the same after instruction tuning."""
SENT = ("model", "messages", "prompt", "logprobs", "top_logprobs", "stream", "n")
"""What the client sends of its own, or cannot read."""
KEYWORD_TYPES: dict[str, Any] = {
    "int": PositiveInt,
    "float": Annotated[float, Field(ge=0, allow_inf_nan=False)],
    "bool": bool,
    "str": str,
    "tuple[int, ...]": Annotated[tuple[PositiveInt, ...], Field(min_length=1)],
}
"""Annotation of a baseline's keyword argument -> the type its value in `params.yaml` must have: sizes and weights."""
KEYWORD_LIMITS: dict[str, tuple[Any, str]] = {
    "dropout": (Annotated[float, Field(ge=0, lt=1)], "from 0 to below 1"),
    "beta": (PositiveFloat, "above 0"),
}
"""Keyword arguments with limits of their own -> type and words."""
_BOUNDS = {"int": " above 0", "float": " of 0 or more", "tuple[int, ...]": " of numbers above 0"}

Problem = tuple[str, str]
"""Dotted key, what is wrong with its value."""


def unknown(name: object, known: Collection[str]) -> str:
    """That `name` is none of `known`, with the nearest of them."""
    return f"{name!r} is not one of {', '.join(known)}{guess(name, known)}"


def guess(word: object, known: Collection[str]) -> str:
    """`, did you mean ...?` if one of `known` is near, else nothing."""
    close = difflib.get_close_matches(str(word), list(known), n=1)
    return f", did you mean {close[0]!r}?" if close else ""


def contradictions(params: Params) -> Iterator[Problem]:
    """Every rule that joins two values."""
    yield from _baselines(params)
    yield from _grid_names(params)
    yield from _world(params)
    yield from _grid_sizes(params)
    yield from _probes(params)
    yield from _language_model(params)
    yield from _icl_models(params)
    yield from _processes(params)
    if params.fidelity.checkpoint == "best_auc" and params.tune.eval_every > params.tune.n_updates:
        yield "tune.eval_every", f"no validation within tune.n_updates = {params.tune.n_updates}"


def _processes(params: Params) -> Iterator[Problem]:
    tune, grid = params.tune, params.grid
    if tune.sharded and tune.n_processes == 1:
        yield "tune.sharded", "one process has none to share weights with; set tune.n_processes"
    if tune.sharded and params.llm.quantization != "none":
        yield "tune.sharded", f"{params.llm.quantization} weights cannot be split; expected llm.quantization none"
    if tune.sharded and params.llm.weights == "random":
        yield "tune.sharded", "random weights are made whole; expected llm.weights pretrained"
    for train_domain in grid.train_domains:
        for n_shots in grid.n_shots:
            n_rows = n_shots * (len(grid.domains) if train_domain == "both" else 1)
            batch_size = min(tune.batch_size, n_rows)
            if batch_size % tune.n_processes:
                yield "tune.n_processes", f"{tune.n_processes} does not divide the {batch_size} rows of an update"


def _grid_names(params: Params) -> Iterator[Problem]:
    grid = params.grid
    for key, names, known in (
        ("grid.domains", grid.domains, list(params.domains)),
        ("grid.train_domains", grid.train_domains, [*grid.domains, "both"]),
        ("grid.controls", grid.controls, list(CONTROLS)),
        ("grid.baselines", grid.baselines, list(params.baselines.models)),
        ("grid.prompts", grid.prompts, prompt_names()),
        ("grid.icl_models", grid.icl_models, [*OWN_MODELS, *params.icl.models]),
    ):
        for name in names:
            if name not in known:
                yield key, unknown(name, known)
    for key, values in grid.model_dump().items():
        if len(set(values)) != len(values):
            yield f"grid.{key}", f"a value stands twice in {list(values)}"
    if "both" in grid.train_domains and len(grid.domains) < 2:
        yield "grid.train_domains", "'both' needs two domains in grid.domains"


def _world(params: Params) -> Iterator[Problem]:
    populations = params.world.populations
    for data_format in populations:
        if data_format not in FORMATS:
            yield f"world.populations.{data_format}", unknown(data_format, FORMATS)
    for name, section in params.domains.items():
        if section.source == "embedded" and section.format not in populations:
            yield f"world.populations.{section.format}", f"missing, and domain {name!r} is embedded"


def _grid_sizes(params: Params) -> Iterator[Problem]:
    for domain in params.grid.domains:
        section = params.domains[domain]
        # Only formats whose files have a known size can tell before they are read.
        max_n_shots = getattr(format_module(section.format), "max_n_shots", None)
        n_train = max_n_shots(section) if max_n_shots else None
        if n_train is not None and max(params.grid.n_shots) > n_train:
            asked = max(params.grid.n_shots)
            yield "grid.n_shots", f"{asked} is more than the {n_train} training samples of domain {domain!r}"


def _probes(params: Params) -> Iterator[Problem]:
    grid = params.grid
    variants = [f"{recipe}-{train_domain}" for recipe in grid.recipes for train_domain in grid.train_domains]
    for key, names, known in (
        ("probe.variants", params.probe.variants, variants),
        ("probe.inputs", params.probe.inputs, list(PROBES)),
    ):
        for name in names:
            if name not in known:
                yield key, unknown(name, known)


def _baselines(params: Params) -> Iterator[Problem]:
    for name, values in params.baselines.models.items():
        if not (BASELINES_FOLDER / f"{name}.py").is_file():
            yield f"baselines.models.{name}", f"there is no file baselines/{name}.py"
            continue
        keywords = baseline_keywords(name)
        for keyword in values:
            if keyword not in keywords:
                yield f"baselines.models.{name}.{keyword}", f"unknown key{guess(keyword, list(keywords))}"
        for keyword, annotation in keywords.items():
            key = f"baselines.models.{name}.{keyword}"
            if keyword not in values:
                yield key, "missing"
            elif not _is_a(values[keyword], KEYWORD_TYPES[annotation]):
                yield key, f"expected {annotation}{_BOUNDS.get(annotation, '')}, got {values[keyword]!r}"
            elif keyword in KEYWORD_LIMITS and not _is_a(values[keyword], KEYWORD_LIMITS[keyword][0]):
                yield key, f"expected {annotation} {KEYWORD_LIMITS[keyword][1]}, got {values[keyword]!r}"
            elif misfit := _misfit(keyword, values[keyword], params.baselines.training):
                yield key, misfit

    yield from _baseline_updates(params)
    yield from _text_encoder(params)


def _misfit(keyword: str, value: Any, training: TrainingParams) -> str | None:
    """Why a value does not fit the length of a history or the width of a step, if it does not."""
    if keyword == "heights" and max(value) > training.history_length:
        return f"{max(value)} is more than baselines.training.history_length = {training.history_length}"
    if keyword == "n_heads" and (training.item_size + 1) % value:
        return f"{value} does not divide baselines.training.item_size + 1 = {training.item_size + 1}"
    return None


def _baseline_updates(params: Params) -> Iterator[Problem]:
    for model, by_domain in params.baselines.n_updates.items():
        if model not in params.baselines.models:
            yield f"baselines.n_updates.{model}", unknown(model, list(params.baselines.models))
        for domain in by_domain:
            if domain not in params.domains:
                yield f"baselines.n_updates.{model}.{domain}", unknown(domain, list(params.domains))


def _text_encoder(params: Params) -> Iterator[Problem]:
    encoder = params.baselines.text_encoder
    readers = [model for model in params.grid.baselines if model in params.baselines.models and reads_text(model)]
    if encoder.model is None:
        if readers:
            yield "baselines.text_encoder.model", f"null, and {readers[0]!r} of grid.baselines reads item texts"
    elif (
        not encoder.model.startswith("package:")
        and not _is_folder(encoder.model)
        and (encoder.revision is None or not COMMIT.fullmatch(encoder.revision))
    ):
        yield "baselines.text_encoder.revision", f"expected the commit of {encoder.model} as 40 hex digits"


def _is_a(value: object, kind: Any) -> bool:
    try:
        TypeAdapter[Any](kind).validate_json(json.dumps(value), strict=True)
    except ValidationError:
        return False
    return True


def _language_model(params: Params) -> Iterator[Problem]:
    llm, grid = params.llm, params.grid
    if llm.model == "tiny" and llm.weights == "random":
        yield "llm.weights", "'random' is for an architecture of a folder or of the Hub; 'tiny' is pretrained here"
    if llm.model != "tiny":
        yield from _pinned("llm.model", "llm.revision", llm.model, llm.revision)
    elif llm.revision is not None:
        yield "llm.revision", "only a Hub model has one, expected null for 'tiny'"
    if llm.model == "tiny" and llm.max_length > params.base.max_positions:
        yield (
            "llm.max_length",
            f"more than base.max_positions = {params.base.max_positions} of the tiny model",
        )
    if grid.recipes or grid.icl_models:
        for domain in grid.domains:
            if params.domains[domain].format == "released-csv":
                problem = f"released-csv has no titles for grid.recipes and grid.icl_models of {domain!r}"
                yield f"domains.{domain}.format", f"{problem}; empty both, or use released-json"


def _is_folder(model: str) -> bool:
    try:
        return Path(model).is_dir()
    except (OSError, ValueError):  # longer than any path, or with a null character
        return False


def _pinned(model_key: str, revision_key: str, model: str, revision: str | None) -> Iterator[Problem]:
    """A model other than `tiny` is a folder without a revision, or one of the Hub at a commit."""
    if _is_folder(model):
        if revision is not None:
            yield revision_key, f"only a Hub model has one, expected null for {model!r}"
    elif not HUB_ID.fullmatch(model):
        tiny = "'tiny', nor " if model_key == "llm.model" else ""
        yield model_key, f"{model!r} is neither {tiny}a folder, nor a Hub id OWNER/NAME"
    elif revision is None or not COMMIT.fullmatch(revision):
        yield (
            revision_key,
            f"expected the commit of {model} as 40 hex digits (its page, 'Files', 'History'), "
            f"got {revision!r}; or {model_key} is a folder that is not there",
        )


def _icl_models(params: Params) -> Iterator[Problem]:
    for name, section in params.icl.models.items():
        key = f"icl.models.{name}"
        if name in OWN_MODELS:
            yield key, f"{name!r} is the model of section llm, call this one otherwise"
        if isinstance(section, LocalModelParams):
            yield from _pinned(f"{key}.model", f"{key}.revision", section.model, section.revision)
        else:
            yield from _api_model(key, section)


def _api_model(key: str, section: ApiModelParams) -> Iterator[Problem]:
    # Neither line repeats the value: it may hold a key.
    if not ADDRESS.fullmatch(section.address):
        yield f"{key}.address", "expected http(s)://HOST/PATH without a user, a query or a key"
    if section.key_variable is not None and not VARIABLE.fullmatch(section.key_variable):
        yield f"{key}.key_variable", "expected the name of an environment variable in capitals, not the key itself"
    for parameter in section.parameters:
        if parameter in SENT:
            yield f"{key}.parameters.{parameter}", "set by the other keys of the model"


def prompt_names() -> list[str]:
    """Keys of `tallrec/prompts/rendering.py: PROMPTS`, read without importing it."""
    for node in ast.parse(PROMPTS_MODULE.read_text(encoding="utf-8")).body:
        match node:
            case ast.Assign(targets=[ast.Name(id="PROMPTS")], value=ast.Dict(keys=keys)):
                return [key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]
            case ast.AnnAssign(target=ast.Name(id="PROMPTS"), value=ast.Dict(keys=keys)):
                return [key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]
            case _:
                continue
    raise ConfigError(f"{PROMPTS_MODULE}: no dict PROMPTS")
