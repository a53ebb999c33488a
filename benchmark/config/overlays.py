"""Merge presets into the text of `params.yaml`, line by line, so that its comments and its order stay.

A preset holds only what differs. Its sections are merged key by key; one that holds the key `format` takes
the place of the whole section, since another format has other keys. Lines come with their comments, so that a
value never stands beside the reason for another one.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ruamel.yaml import YAML

from benchmark.artifacts.files import write_bytes
from benchmark.config.names import guess
from benchmark.config.reading import MOST_OPEN, UNREADABLE, is_too_deep
from benchmark.errors import ConfigError

PRESETS = Path(__file__).parent / "presets"
REPLACING_KEY = "format"
ABSENT = "(no key)"

Node = Any
"""A node of ruamel.yaml's tree, which is not typed: its `id` is `mapping`, `sequence` or `scalar`."""


def preset_names() -> list[str]:
    """Every preset, e.g. `paper`, `llm/llama-7b`."""
    return sorted(_name_of(path) for path in PRESETS.rglob("*.yaml"))


def preset_text(name: str) -> str:
    """The YAML text of a preset.

    Raises:
        ConfigError: there is no such preset.
    """
    names = preset_names()
    if name not in names:
        raise ConfigError(f"preset {name!r}: expected one of {', '.join(names)}{guess(name, names)}")
    return (PRESETS / f"{name}.yaml").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class _Entry:
    """A key with its value, and the lines that they take: [first, end)."""

    value: Node
    first: int
    end: int
    column: int


class _Document:
    """YAML text with the place of each key."""

    def __init__(self, text: str) -> None:
        self.lines = text.splitlines()
        if is_too_deep(text):
            raise ConfigError(f"not valid YAML: more than {MOST_OPEN} brackets are open")
        try:
            self.root: Node = cast(Any, YAML(pure=True)).compose(text)
        except UNREADABLE as error:
            raise ConfigError(f"not valid YAML: {' '.join(str(error).split())}") from None
        if self.root is None or self.root.id != "mapping":
            raise ConfigError("expected a YAML mapping of sections")
        _refuse_aliases(self.root)

    def lines_of(self, entry: _Entry, column: int) -> list[str]:
        """The lines of `entry`, moved to `column`."""
        moved = [line[entry.column :] for line in self.lines[entry.first : entry.end]]
        return [(" " * column + line).rstrip() for line in moved]


def _refuse_aliases(root: Node) -> None:
    """A value that stands in two places has lines in one of them alone, and may even hold itself."""
    pending, seen = [root], set[int]()
    while pending:
        node = pending.pop()
        if id(node) in seen:
            raise ConfigError(f"line {node.start_mark.line + 1}: expected no alias (`*name`): values are written out")
        seen.add(id(node))
        if node.id != "scalar":
            pending += node.value if node.id == "sequence" else [part for pair in node.value for part in pair]


def merged(text: str, overlay: str) -> str:
    """`text` with the values of `overlay` and their comments; all other lines as they were.

    Raises:
        ConfigError: one of the two is no YAML mapping.
    """
    edits = list(_edits(_Document(text), _Document(overlay)))
    lines = text.splitlines()
    # From the bottom up, so that no edit moves the lines of another. What is new in a section and in one at its end
    # goes to the same line: the outer keys come first here, and so end up below the inner ones.
    for first, end, replacement in sorted(edits, key=lambda edit: edit[:2], reverse=True):
        lines[first:end] = replacement
    return "\n".join(lines) + "\n"


def with_texts(text: str, values: Mapping[tuple[str, ...], str]) -> str:
    """`text` with other values of keys that hold one value each; every other letter stays, comments too.

    Args:
        text: YAML.
        values: the keys from the outermost inwards -> a text of one line.

    Raises:
        ConfigError: a key is not there, or its value does not stand on its line.
    """
    root = _Document(text).root
    spans = {keys: _span(text, *_found(root, keys)) for keys in values}
    for keys, (first, end) in sorted(spans.items(), key=lambda item: item[1], reverse=True):
        text = f"{text[:first]} {_scalar(values[keys])}{text[end:]}"
    return text


def _found(root: Node, keys: tuple[str, ...]) -> tuple[Node, Node]:
    """The last key itself, and its value.

    Raises:
        ConfigError: it is not there, or its value stands on lines of its own.
    """
    key, value = None, root
    for name in keys:
        pairs = {str(key.value): (key, value) for key, value in (value.value if value.id == "mapping" else ())}
        if name not in pairs:
            raise ConfigError(f"{'.'.join(keys)}: no such key")
        key, value = pairs[name]
    if value.id != "scalar" or (_is_written(value) and value.end_mark.line != cast(Any, key).start_mark.line):
        raise ConfigError(f"{'.'.join(keys)}: expected one value on the line of its key, so that it can be replaced")
    return key, value


def _span(text: str, key: Node, value: Node) -> tuple[int, int]:
    """From the colon behind `key` to the end of `value`; of no value at all, the colon alone."""
    first = text.index(":", key.end_mark.index) + 1
    return first, value.end_mark.index if _is_written(value) else first


def _is_written(value: Node) -> bool:
    return value.end_mark.index > value.start_mark.index


def _scalar(value: str) -> str:
    """`value` in YAML: forty digits are a number unless they are quoted."""
    is_read_back = cast(Any, YAML(typ="safe", pure=True)).load(value) == value
    return value if is_read_back else json.dumps(value)


def restoring(text: str, overlays: Iterable[str]) -> str:
    """The overlay that undoes `overlays`: the lines of `text` for every key that one of them changes.

    A key that `text` does not have cannot be undone and is left out.
    """
    document = _Document(text)
    changes = [_Document(overlay).root for overlay in overlays]
    return "\n".join(_restoring_lines(document, document.root, changes)) + "\n"


def _restoring_lines(document: _Document, mapping: Node, changes: list[Node]) -> Iterator[str]:
    for name, entry in _entries(mapping).items():
        values = [found.value for change in changes if (found := _entries(change).get(name))]
        if not values:
            continue
        if _is_section(entry.value) and all(_is_section(v) and REPLACING_KEY not in _entries(v) for v in values):
            yield f"{' ' * entry.column}{name}:"
            yield from _restoring_lines(document, entry.value, values)
        else:
            yield from document.lines_of(entry, entry.column)


def changed_keys(before: dict[str, Any], after: dict[str, Any]) -> Iterator[tuple[str, object, object]]:
    """Every leaf that differs: (dotted key, old value, new value); `ABSENT` for a key that is not there."""
    old, new = dict(leaves(before)), dict(leaves(after))
    for key in [*old, *(key for key in new if key not in old)]:
        if old.get(key, ABSENT) != new.get(key, ABSENT):
            yield key, old.get(key, ABSENT), new.get(key, ABSENT)


def leaves(content: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Every value of nested sections by its dotted key; a list is one value."""
    for key, value in content.items():
        if isinstance(value, dict) and value:
            yield from leaves(cast(dict[str, Any], value), f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _edits(target: _Document, overlay: _Document) -> Iterator[tuple[int, int, list[str]]]:
    """What to do to the lines of `target`: (first, end, replacement)."""
    pending = [(target.root, overlay.root)]
    while pending:
        mapping, changes = pending.pop()
        entries, added = _entries(mapping), list[str]()
        column = min((known.column for known in entries.values()), default=0)
        for name, change in _entries(changes).items():
            entry = entries.get(name)
            if entry is None:
                added += overlay.lines_of(change, column)
            elif _is_section(entry.value) and _is_section(change.value) and REPLACING_KEY not in _entries(change.value):
                pending.append((entry.value, change.value))
            else:
                lines = overlay.lines_of(change, entry.column)
                # Its reason counts for an equal value too: else `smoke` would not undo two presets after each other.
                if _plain(entry.value) != _plain(change.value) or any(" # " in line for line in lines):
                    yield entry.first, entry.end, lines
        if added:
            yield _end_line(mapping), _end_line(mapping), added


def _entries(mapping: Node) -> dict[str, _Entry]:
    return {
        str(key.value): _Entry(value, key.start_mark.line, _end_line(value), key.start_mark.column)
        for key, value in mapping.value
    }


def _is_section(node: Node) -> bool:
    return node.id == "mapping" and not node.flow_style


def _plain(node: Node) -> object:
    """The value of `node` for comparison, whatever its style and comments."""
    if node.id == "mapping":
        return {name: _plain(entry.value) for name, entry in _entries(node).items()}
    if node.id == "sequence":
        return [_plain(child) for child in node.value]
    return str(node.tag), str(node.value)


def _end_line(node: Node) -> int:
    """The line after the last one of `node`; a block's own end mark lies after blank lines and comments."""
    if node.id == "scalar" and node.style in ("|", ">"):
        return node.end_mark.line + (node.end_mark.column > 0)  # it ends where the next line begins, if there is one
    if node.id == "scalar" or node.flow_style or not node.value:
        return node.end_mark.line + 1
    children = node.value if node.id == "sequence" else [value for _, value in node.value]
    return max(_end_line(child) for child in children)


GENERATED = {"smoke": "**/*", "llm/tiny": "llm/*"}
"""Presets that restore the committed `params.yaml` -> the other presets that they undo."""


def generated_preset(name: str, params_text: str) -> str:
    """The text of a preset of `GENERATED`, so that no value of `params.yaml` has to be written twice."""
    undone = [path for path in sorted(PRESETS.glob(f"{GENERATED[name]}.yaml")) if _name_of(path) not in GENERATED]
    header = "# Made by `python -m benchmark.config.overlays`: the values of params.yaml that other presets change.\n"
    return header + restoring(params_text, [path.read_text(encoding="utf-8") for path in undone])


def _name_of(path: Path) -> str:
    return path.relative_to(PRESETS).as_posix().removesuffix(".yaml")


if __name__ == "__main__":
    committed = Path("params.yaml").read_text(encoding="utf-8")
    for preset in GENERATED:
        write_bytes(PRESETS / f"{preset}.yaml", generated_preset(preset, committed).encode())
