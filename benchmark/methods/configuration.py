"""`params.yaml` as a whole: each section by its type, a domain by its format, and the rules that join them."""

from collections.abc import Sequence
from functools import reduce
from itertools import chain
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from benchmark.artifacts.files import write_bytes
from benchmark.artifacts.paths import PARAMS_YAML
from benchmark.config import overlays
from benchmark.config.names import unknown
from benchmark.config.params import DomainParams, Name, Params
from benchmark.config.reading import mapping_or_none, parse_yaml, read_yaml, validated
from benchmark.config.values import Problem
from benchmark.data.domains import FORMATS, format_module
from benchmark.errors import ConfigError
from benchmark.methods.pinning import unpinned
from benchmark.methods.rules import contradictions


def load_config(path: Path = PARAMS_YAML) -> Params:
    """`params.yaml`, checked as a whole before any work.

    Raises:
        ConfigError: a key is unknown, missing or of the wrong type, or two values contradict each other.
    """
    return parse_config(read_yaml(path), path)


def parse_config(content: dict[str, Any], path: Path, *, needs_commits: bool = True) -> Params:
    """The content of `path`, checked as `load_config` does.

    Args:
        content: the sections.
        path: where they stand, for errors.
        needs_commits: whether a model of the Hub without a commit is refused; only what loads none does without.

    Raises:
        ConfigError: as `load_config`.
    """
    sections = mapping_or_none(content.get("domains"))
    if sections is None:
        return validated(Params, content, path)  # says what is wrong with `domains`, or with a key before it
    params = validated(Params, {**content, "domains": {}}, path)
    domains = {name: _domain(name, section, path) for name, section in sections.items()}
    params = params.model_copy(update={"domains": domains})
    for key, problem in chain(contradictions(params), unpinned(params) if needs_commits else ()):  # the first alone
        raise ConfigError(f"{path}: {key}: {problem}")
    return params


def merge_presets(
    presets: Sequence[str], path: Path, *, write: bool
) -> tuple[list[tuple[str, object, object]], list[Problem]]:
    """Merge presets into the file at `path`, a later one over an earlier one.

    Returns:
        Every leaf that differs, as (dotted key, old value, new value); and what of the Hub the result names without a
        commit, which is no error here, since a preset cannot know a commit that nobody has looked up.

    Raises:
        ConfigError: a preset is unknown, or the result would not be valid; nothing is written then.
    """
    merges = [overlays.preset_text(name) for name in presets]
    before, old_text = read_yaml(path), path.read_text(encoding="utf-8")
    text = reduce(overlays.merged, merges, old_text)
    after = parse_yaml(text, path)
    params = parse_config(after, path, needs_commits=False)
    if write and text != old_text:
        write_bytes(path, text.encode())
    return list(overlays.changed_keys(before, after)), list(unpinned(params))


def with_presets(presets: Sequence[str], path: Path, *, needs_commits: bool = True) -> Params:
    """The file at `path` with presets merged, a later one over an earlier one; nothing is written.

    `needs_commits` is that of `parse_config`.

    Raises:
        ConfigError: a preset is unknown, or the result is not valid.
    """
    text = reduce(overlays.merged, map(overlays.preset_text, presets), path.read_text(encoding="utf-8"))
    return parse_config(parse_yaml(text, path), path, needs_commits=needs_commits)


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
