"""Read `params.yaml` strictly: every error names the file, the dotted key and what was expected."""

import copy
import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from benchmark.config.names import guess
from benchmark.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)
UNREADABLE = (YAMLError, ValueError, TypeError, AttributeError, LookupError, RecursionError)
"""What ruamel.yaml raises: its own, and what it lets through from keys, dates, numbers and depths."""
MOST_OPEN = 500
"""Brackets, counted in texts and comments too."""
MOST_VALUES, MOST_LEVELS = 100_000, 50
"""Of a configuration; the committed one has some hundred values on five levels."""


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
        ConfigError: it is no YAML, no mapping, or larger than any configuration.
    """
    if is_too_deep(text):
        raise ConfigError(f"{path}: not valid YAML: more than {MOST_OPEN} brackets are open")
    try:
        content = _loaded(text)
    except UNREADABLE as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    sections = mapping_or_none(content)
    if sections is None:
        raise ConfigError(f"{path}: expected a mapping of sections, got {type(content).__name__}")
    _check_size(content, path)
    return copy.deepcopy(sections)


@lru_cache(maxsize=64)
def _loaded(text: str) -> object:
    """What is in `text`; kept, since a stage reads `params.yaml`, which takes 0.1 s, as it starts and as it runs."""
    return cast(Any, YAML(typ="safe", pure=True)).load(text)


def is_too_deep(text: str) -> bool:
    """Whether more brackets are open at once than any configuration has: ruamel.yaml takes their square in time."""
    n_open = 0
    for letter in text:
        n_open += (letter in "[{") - (letter in "]}")
        if n_open > MOST_OPEN:
            return True
    return False


def _check_size(content: object, path: Path) -> None:
    """Refuse what a few lines of YAML can blow up: aliases of aliases, values that hold themselves, endless depth."""
    pending, n_values = [(content, 0)], 0
    while pending:
        value, depth = pending.pop()
        n_values += 1
        if n_values > MOST_VALUES or depth > MOST_LEVELS:
            raise ConfigError(f"{path}: more than {MOST_VALUES} values or {MOST_LEVELS} levels; are there aliases?")
        if isinstance(value, dict):
            for key, inner in cast("dict[object, object]", value).items():
                if key is not None and not isinstance(key, str | int | float):
                    raise ConfigError(f"{path}: expected text as a key, got {key!r:.60}")
                pending.append((inner, depth + 1))
        elif isinstance(value, list | tuple | set):
            pending += [(inner, depth + 1) for inner in cast("list[object]", value)]


def mapping_or_none(content: object) -> dict[str, Any] | None:
    """`content` if it is a mapping."""
    return cast(dict[str, Any], content) if isinstance(content, dict) else None


def validated(model: type[Model], content: object, path: Path, prefix: str = "") -> Model:
    """`content` as `model`; by way of JSON, so that lists become tuples and nothing else is converted.

    Raises:
        ConfigError: it is no such content; the message names `path`, the key below `prefix` and what was expected.
    """
    try:
        return model.model_validate_json(json.dumps(content, default=str))
    except ValidationError as errors:
        details = errors.errors()
    # A renamed key is both unknown and missing: the unknown one says what to mend.
    error = next((detail for detail in details if detail["type"] == "extra_forbidden"), details[0])
    key = ".".join([*([prefix] if prefix else []), *_keys_of(error["loc"], content)])
    raise ConfigError(f"{path}: {key}: {_problem(error, model)}")


def _keys_of(location: tuple[int | str, ...], content: object) -> Iterator[str]:
    """The keys on the way to `location`, which also holds the kind where a section may be of several."""
    for place, part in enumerate(location, start=1):
        mapping = mapping_or_none(content)
        if mapping is not None and part not in mapping and place < len(location):
            continue
        yield str(part)
        if mapping is not None:
            content = mapping.get(str(part))
        elif isinstance(part, int):
            values = cast(list[object], content) if isinstance(content, list) else []
            content = values[part] if part < len(values) else None  # a place that is missing


def _problem(error: ErrorDetails, model: type[BaseModel]) -> str:
    if error["type"] == "extra_forbidden":
        return f"unknown key{guess(error['loc'][-1], _keys_at(model, error['loc'][:-1]))}"
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
