"""A model from outside is named so that it cannot change: a folder, the Hub at a commit, a package, an address."""

import re
from collections.abc import Iterator
from pathlib import Path

from benchmark.config.in_context import ApiModelParams, LocalModelParams
from benchmark.config.params import Params
from benchmark.config.values import Problem
from benchmark.methods.baselines import reads_text

COMMIT = re.compile(r"[0-9a-f]{40}")
PACKAGE, GGUF = "package:", ".gguf"
PACKAGED = re.compile(r"package:[A-Za-z]\w*/[\w./-]+\.gguf")
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
ADDRESS = re.compile(r"https?://[^\s@?#/]+(/[^\s@?#]*)?")
VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
OWN_MODELS = ("base", "alpaca")
"""In-context models without an entry in `icl.models`: that of section `llm`, and the same after instruction tuning."""
SENT = ("model", "messages", "prompt", "logprobs", "top_logprobs", "stream", "n")
"""What the client sends of its own, or cannot read."""


def model_problems(params: Params) -> Iterator[Problem]:
    """What is wrong with the models that the configuration names."""
    yield from _text_encoder(params)
    yield from _language_model(params)
    yield from _icl_models(params)


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
    if grid.recipes or grid.icl_models or grid.other_models:
        for domain in grid.domains:
            if params.domains[domain].format == "released-csv":
                problem = (
                    f"released-csv has no titles for grid.recipes, grid.icl_models and grid.other_models of {domain!r}"
                )
                yield f"domains.{domain}.format", f"{problem}; empty them, or use released-json"


def _is_folder(model: str) -> bool:
    try:
        return Path(model).is_dir()
    except (OSError, ValueError):  # longer than any path, or with a null character
        return False


def is_gguf(model: str) -> bool:
    """Whether `llm.model` names a GGUF file: by its path, or as `package:NAME/PATH` the one that a package carries."""
    return model.startswith(PACKAGE) or model.endswith(GGUF)


def _pinned(model_key: str, revision_key: str, model: str, revision: str | None) -> Iterator[Problem]:
    """A model other than `tiny` is a folder or a GGUF file without a revision, or one of the Hub at a commit."""
    if _is_folder(model) or (model_key == "llm.model" and is_gguf(model)):
        if revision is not None:
            yield revision_key, f"only a Hub model has one, expected null for {model!r}"
        if model.startswith(PACKAGE) and not PACKAGED.fullmatch(model):
            yield model_key, f"expected {PACKAGE}NAME/PATH.gguf, got {model!r}"
        elif model.endswith(GGUF) and not model.startswith(PACKAGE) and not Path(model).is_file():
            yield model_key, f"{model}: no such file"
    elif not HUB_ID.fullmatch(model):
        others = "'tiny', nor a GGUF file, nor " if model_key == "llm.model" else ""
        yield model_key, f"{model!r} is neither {others}a folder, nor a Hub id OWNER/NAME"
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
