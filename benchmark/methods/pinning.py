"""A model from outside is named so that it cannot change: a folder, the Hub at a commit, a package, an address."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmark.config.in_context import ApiModelParams, LocalModelParams, ServerParams
from benchmark.config.params import Params
from benchmark.config.values import Problem
from benchmark.methods.baselines import reads_text

COMMIT = re.compile(r"[0-9a-f]{40}")
PACKAGE, GGUF = "package:", ".gguf"
PACKAGED = re.compile(r"package:[A-Za-z]\w*/[\w./-]+\.gguf")
HUB_DATA = re.compile(r"hub:(?P<name>[^@]+)(@(?P<revision>.*))?")
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
ADDRESS = re.compile(r"https?://[^\s@?#/]+(/[^\s@?#]*)?")
VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
OWN_MODELS = ("base", "alpaca")
"""In-context models without an entry in `icl.models`: that of section `llm`, and the same after instruction tuning."""
SENT = ("model", "messages", "prompt", "logprobs", "top_logprobs", "stream", "n")
"""What the client sends of its own, or cannot read."""
SECRET = re.compile(
    r"api[-_]?key|authori[sz]ation|secret|password|(access|auth|bearer)[-_]?token|headers", re.IGNORECASE
)
"""Names under which a key is sent; parameters stand in records, which are published."""


@dataclass(frozen=True, slots=True)
class HubRepository:
    """A repository of the Hub that `params.yaml` names."""

    key: tuple[str, ...]
    """Where its name stands: the keys from the outermost inwards, since a name may hold a dot."""
    commit_key: tuple[str, ...]
    """Where its commit stands; `key` itself where the two are one text, `hub:OWNER/NAME@COMMIT`."""
    kind: Literal["model", "dataset"]
    name: str
    revision: str | None
    """As configured; None: none."""
    has_weights: bool = True
    """Whether weights are read from it."""

    @property
    def is_pinned(self) -> bool:
        """Whether it is named at a commit; a branch or a tag may move."""
        return self.revision is not None and bool(COMMIT.fullmatch(self.revision))


def hub_repositories(params: Params) -> Iterator[HubRepository]:
    """Every repository of the Hub that the configuration names, pinned or not."""
    llm, encoder = params.llm, params.baselines.text_encoder
    if llm.model != "tiny" and not is_gguf(llm.model) and not _is_folder(llm.model):
        reads_weights = llm.weights == "pretrained"
        yield HubRepository(("llm", "model"), ("llm", "revision"), "model", llm.model, llm.revision, reads_weights)
    if encoder.model is not None and not encoder.model.startswith(PACKAGE) and not _is_folder(encoder.model):
        section = ("baselines", "text_encoder")
        yield HubRepository((*section, "model"), (*section, "revision"), "model", encoder.model, encoder.revision)
    for name, asked in params.icl.models.items():
        if isinstance(asked, LocalModelParams) and not _is_folder(asked.model):
            section = ("icl", "models", name)
            yield HubRepository((*section, "model"), (*section, "revision"), "model", asked.model, asked.revision)
    data = HUB_DATA.fullmatch(params.instruct.data)
    if data:
        key = ("instruct", "data")
        yield HubRepository(key, key, "dataset", data["name"], data["revision"], has_weights=False)


def unpinned(params: Params) -> Iterator[Problem]:
    """The repositories of the Hub that are not named at a commit: what they hold may change, so nothing loads them."""
    for repository in hub_repositories(params):
        if not repository.is_pinned:
            key, name = ".".join(repository.commit_key), repository.name
            got = "null" if repository.revision is None else repr(repository.revision)
            problem = f"expected the commit of {name} as 40 hex digits, got {got:.60}: run `tallrec-bench pin`"
            yield key, problem + ("; or name a folder that is there" if repository.kind == "model" else "")


def model_problems(params: Params) -> Iterator[Problem]:
    """What is wrong with the models that the configuration names, but for missing commits: `unpinned`."""
    yield from _text_encoder(params)
    yield from _language_model(params)
    yield from _icl_models(params)


def _text_encoder(params: Params) -> Iterator[Problem]:
    encoder = params.baselines.text_encoder
    readers = [model for model in params.grid.baselines if model in params.baselines.models and reads_text(model)]
    if encoder.model is None and readers:
        yield "baselines.text_encoder.model", f"null, and {readers[0]!r} of grid.baselines reads item texts"
    if (
        encoder.model
        and encoder.revision is not None
        and (_is_folder(encoder.model) or not HUB_ID.fullmatch(encoder.model))
    ):
        yield "baselines.text_encoder.revision", f"only a Hub model has one, expected null for {encoder.model!r}"


def _language_model(params: Params) -> Iterator[Problem]:
    llm, grid = params.llm, params.grid
    if llm.model == "tiny" and llm.weights == "random":
        yield "llm.weights", "'random' is for an architecture of a folder or of the Hub; 'tiny' is pretrained here"
    if llm.model != "tiny":
        yield from _named("llm.model", "llm.revision", llm.model, llm.revision)
    elif llm.revision is not None:
        yield "llm.revision", "only a Hub model has one, expected null for 'tiny'"
    if llm.model == "tiny" and params.base.hidden_size % params.base.n_heads:
        width = params.base.hidden_size
        yield "base.n_heads", f"{params.base.n_heads} does not divide base.hidden_size = {width}"
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


def _named(model_key: str, revision_key: str, model: str, revision: str | None) -> Iterator[Problem]:
    """A model other than `tiny` is a folder or a GGUF file without a revision, or one of the Hub."""
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


def _icl_models(params: Params) -> Iterator[Problem]:
    for name, section in params.icl.models.items():
        key = f"icl.models.{name}"
        if "." in name:
            yield key, "expected no '.', which DVC reads as the way to a key below"
        if name in OWN_MODELS:
            yield key, f"{name!r} is the model of section llm, call this one otherwise"
        if isinstance(section, LocalModelParams):
            yield from _named(f"{key}.model", f"{key}.revision", section.model, section.revision)
        else:
            yield from _server(key, section)


def _server(key: str, section: ServerParams) -> Iterator[Problem]:
    # Neither line repeats the value: it may hold a key.
    if not ADDRESS.fullmatch(section.address):
        yield f"{key}.address", "expected http(s)://HOST/PATH without a user, a query or a key"
    if section.key_variable is not None and not VARIABLE.fullmatch(section.key_variable):
        yield f"{key}.key_variable", "expected the name of an environment variable in capitals, not the key itself"
    for parameter in section.parameters if isinstance(section, ApiModelParams) else ():
        if parameter in SENT:
            yield f"{key}.parameters.{parameter}", "set by the other keys of the model"
        elif SECRET.search(parameter):
            yield f"{key}.parameters.{parameter}", "a key belongs into the variable that key_variable names"
