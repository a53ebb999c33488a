"""`params.yaml` as a whole: each section by its type, a domain by its format, and the rules that join them."""

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from benchmark.artifacts.paths import PARAMS_YAML
from benchmark.config.names import unknown
from benchmark.config.params import DomainParams, Name, Params
from benchmark.config.reading import mapping_or_none, read_yaml, validated
from benchmark.data.domains import FORMATS, format_module
from benchmark.errors import ConfigError
from benchmark.methods.rules import contradictions


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
    sections = mapping_or_none(content.get("domains"))
    if sections is None:
        return validated(Params, content, path)  # says what is wrong with `domains`, or with a key before it
    params = validated(Params, {**content, "domains": {}}, path)
    domains = {name: _domain(name, section, path) for name, section in sections.items()}
    params = params.model_copy(update={"domains": domains})
    for key, problem in contradictions(params):
        raise ConfigError(f"{path}: {key}: {problem}")
    return params


def _domain(name: object, section: object, path: Path) -> DomainParams:
    key = f"domains.{name}"
    _checked_name(name, path, key)
    chosen = (mapping_or_none(section) or {}).get("format")
    if not isinstance(chosen, str) or chosen not in FORMATS:
        raise ConfigError(f"{path}: {key}.format: {unknown(chosen, FORMATS)}")
    return validated(format_module(chosen).Params, section, path, key)


def _checked_name(name: object, path: Path, key: str) -> None:
    try:
        TypeAdapter[str](Name).validate_python(name, strict=True)
    except ValidationError:
        raise ConfigError(f"{path}: {key}: expected a name of a-z, 0-9, '_' and '-'") from None
    if "." in str(name):
        raise ConfigError(f"{path}: {key}: expected no '.', which DVC reads as the way to a key below")
    if name == "both":
        raise ConfigError(f"{path}: {key}: 'both' means every domain, call this one otherwise")
