"""Read `params.yaml` strictly: every error names the file, the dotted key and what was expected."""

import ast
import difflib
import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from benchmark.domains import FORMATS, format_module
from benchmark.errors import ConfigError
from benchmark.methods import BASELINES_FOLDER, CONTROLS, baseline_keywords
from benchmark.params import DomainParams, Name, Params
from benchmark.probes import PROBES

Model = TypeVar("Model", bound=BaseModel)
PARAMS_YAML = Path("params.yaml")
PROMPTS_MODULE = Path(__file__).parent.parent / "tallrec" / "prompts.py"
COMMIT = re.compile(r"[0-9a-f]{40}")
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
KEYWORD_TYPES = {"int": int, "float": float, "bool": bool, "str": str, "tuple[int, ...]": tuple[int, ...]}
"""Annotation of a baseline's keyword argument -> the type its value in `params.yaml` must have."""

Problem = tuple[str, str]
"""Dotted key, what is wrong with its value."""


def load_config(path: Path = PARAMS_YAML) -> Params:
    """`params.yaml`, checked as a whole before any work.

    Raises:
        ConfigError: a key is unknown, missing or of the wrong type, or two values contradict each other.
    """
    return parse_config(read_yaml(path), path)


def parse_config(content: dict[str, Any], path: Path) -> Params:
    """The content of `path`, checked as `load_config` does.

    Raises:
        ConfigError: as `load_config`.
    """
    sections = _mapping(content.get("domains"))
    if sections is None:
        return _validated(Params, content, path)  # says what is wrong with `domains`, or with a key before it
    params = _validated(Params, {**content, "domains": {}}, path)
    domains = {name: _domain(name, section, path) for name, section in sections.items()}
    params = params.model_copy(update={"domains": domains})
    for key, problem in _contradictions(params):
        raise ConfigError(f"{path}: {key}: {problem}")
    return params


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping as plain Python values.

    Raises:
        ConfigError: the file is missing, is no YAML, or is no mapping.
    """
    try:
        return parse_yaml(path.read_text(encoding="utf-8"), path)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; run from the repository root") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text: {error}") from None


def parse_yaml(text: str, path: Path) -> dict[str, Any]:
    """The YAML mapping in `text`, which is or will be the content of `path`.

    Raises:
        ConfigError: it is no YAML, or no mapping.
    """
    try:
        content: object = cast(Any, YAML(typ="safe", pure=True)).load(text)
    except YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    sections = _mapping(content)
    if sections is None:
        raise ConfigError(f"{path}: expected a mapping of sections, got {type(content).__name__}")
    return sections


def _mapping(content: object) -> dict[str, Any] | None:
    return cast(dict[str, Any], content) if isinstance(content, dict) else None


def _domain(name: object, section: object, path: Path) -> DomainParams:
    key = f"domains.{name}"
    _checked_name(name, path, key)
    chosen = (_mapping(section) or {}).get("format")
    if not isinstance(chosen, str) or chosen not in FORMATS:
        raise ConfigError(f"{path}: {key}.format: {_unknown(chosen, FORMATS)}")
    return _validated(format_module(chosen).Params, section, path, key)


def _checked_name(name: object, path: Path, key: str) -> None:
    try:
        TypeAdapter[str](Name).validate_python(name, strict=True)
    except ValidationError:
        raise ConfigError(f"{path}: {key}: expected a name of a-z, 0-9, '_', '-' and '.'") from None
    if name == "both":
        raise ConfigError(f"{path}: {key}: 'both' means every domain, call this one otherwise")


def _validated(model: type[Model], content: object, path: Path, prefix: str = "") -> Model:
    """`content` as `model`; by way of JSON, so that lists become tuples and nothing else is converted."""
    try:
        return model.model_validate_json(json.dumps(content, default=str))
    except ValidationError as errors:
        details = errors.errors()
    # A renamed key is both unknown and missing: the unknown one says what to mend.
    error = next((detail for detail in details if detail["type"] == "extra_forbidden"), details[0])
    key = ".".join([*([prefix] if prefix else []), *map(str, error["loc"])])
    raise ConfigError(f"{path}: {key}: {_problem(error, model)}")


def _problem(error: ErrorDetails, model: type[BaseModel]) -> str:
    if error["type"] == "extra_forbidden":
        return f"unknown key{_guess(error['loc'][-1], _keys_at(model, error['loc'][:-1]))}"
    if error["type"] == "missing":
        return "missing"
    message = error["msg"].removeprefix("Value error, ")
    got = repr(error["input"])
    shortened = got if len(got) <= 60 else f"{got[:60]}..."
    return f"{message[0].lower()}{message[1:]}, got {shortened}".replace("input should be", "expected")


def _keys_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Keys that the section at `location` below `model` knows; none if it is no section."""
    for part in location:
        if isinstance(part, int):
            continue  # a place in a list: the annotation below is the list's element
        field = model.model_fields.get(part)
        annotation = field.annotation if field else None
        kinds = [annotation, *get_args(annotation)]
        sections = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if not sections:
            return []
        model = sections[0]
    return list(model.model_fields)


def _unknown(name: object, known: Collection[str]) -> str:
    return f"{name!r} is not one of {', '.join(known)}{_guess(name, known)}"


def _guess(word: object, known: Collection[str]) -> str:
    close = difflib.get_close_matches(str(word), list(known), n=1)
    return f", did you mean {close[0]!r}?" if close else ""


def _contradictions(params: Params) -> Iterator[Problem]:
    """Every rule that joins two values."""
    yield from _baselines(params)
    yield from _grid_names(params)
    yield from _world(params)
    yield from _grid_sizes(params)
    yield from _probes(params)
    yield from _language_model(params)
    if params.fidelity.checkpoint == "best_auc" and params.tune.eval_every > params.tune.n_updates:
        yield "tune.eval_every", f"no validation within tune.n_updates = {params.tune.n_updates}"


def _grid_names(params: Params) -> Iterator[Problem]:
    grid = params.grid
    for key, names, known in (
        ("grid.domains", grid.domains, list(params.domains)),
        ("grid.train_domains", grid.train_domains, [*grid.domains, "both"]),
        ("grid.controls", grid.controls, list(CONTROLS)),
        ("grid.baselines", grid.baselines, list(params.baselines.models)),
        ("grid.prompts", grid.prompts, prompt_names()),
    ):
        for name in names:
            if name not in known:
                yield key, _unknown(name, known)
    for key, values in grid.model_dump().items():
        if len(set(values)) != len(values):
            yield f"grid.{key}", f"a value stands twice in {list(values)}"
    if "both" in grid.train_domains and len(grid.domains) < 2:
        yield "grid.train_domains", "'both' needs two domains in grid.domains"


def _world(params: Params) -> Iterator[Problem]:
    populations = params.world.populations
    for data_format in populations:
        if data_format not in FORMATS:
            yield f"world.populations.{data_format}", _unknown(data_format, FORMATS)
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
                yield key, _unknown(name, known)


def _baselines(params: Params) -> Iterator[Problem]:
    for name, values in params.baselines.models.items():
        if not (BASELINES_FOLDER / f"{name}.py").is_file():
            yield f"baselines.models.{name}", f"there is no file baselines/{name}.py"
            continue
        keywords = baseline_keywords(name)
        for keyword in values:
            if keyword not in keywords:
                yield f"baselines.models.{name}.{keyword}", f"unknown key{_guess(keyword, list(keywords))}"
        for keyword, annotation in keywords.items():
            key = f"baselines.models.{name}.{keyword}"
            if keyword not in values:
                yield key, "missing"
            elif not _has_type(values[keyword], annotation):
                yield key, f"expected {annotation}, got {values[keyword]!r}"


def _has_type(value: object, annotation: str) -> bool:
    try:
        TypeAdapter(KEYWORD_TYPES[annotation]).validate_json(json.dumps(value), strict=True)
    except ValidationError:
        return False
    return True


def _language_model(params: Params) -> Iterator[Problem]:
    llm, grid = params.llm, params.grid
    if llm.model == "tiny" or Path(llm.model).is_dir():
        if llm.revision is not None:
            yield "llm.revision", f"only a Hub model has one, expected null for {llm.model!r}"
    elif not HUB_ID.fullmatch(llm.model):
        yield "llm.model", f"{llm.model!r} is neither 'tiny', nor a folder, nor a Hub id OWNER/NAME"
    elif llm.revision is None or not COMMIT.fullmatch(llm.revision):
        yield (
            "llm.revision",
            f"expected the commit of {llm.model} as 40 hex digits (its page, 'Files', 'History'), "
            f"got {llm.revision!r}; or llm.model is a folder that is not there",
        )
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


def prompt_names() -> list[str]:
    """Keys of `tallrec/prompts.py: PROMPTS`, read without importing it."""
    for node in ast.parse(PROMPTS_MODULE.read_text(encoding="utf-8")).body:
        match node:
            case ast.Assign(targets=[ast.Name(id="PROMPTS")], value=ast.Dict(keys=keys)):
                return [key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]
            case ast.AnnAssign(target=ast.Name(id="PROMPTS"), value=ast.Dict(keys=keys)):
                return [key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]
            case _:
                continue
    raise ConfigError(f"{PROMPTS_MODULE}: no dict PROMPTS")
