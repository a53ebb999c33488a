"""Instruction data in Alpaca's format: JSON, JSONL, the seed tasks of self-instruct, or a data set of the Hub."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmark.errors import DataError, reason_of, refuse_other_text

KEYS = ("instruction", "input", "output")
HUB = "hub:"
COMMIT = re.compile(r"[0-9a-f]{40}")


def read_instructions(source: str) -> list[dict[str, str]]:
    """Rows with `instruction`, `input` (may be empty) and `output`.

    Args:
        source: a file of JSON, one list or one row a line, or `hub:OWNER/NAME@REVISION`. A row with `instances`, as in
            the seed tasks of self-instruct, gives one row an instance; an `input` of null is an empty one.

    Raises:
        DataError: the source is missing or a row is not of this form; the message names the file and the row.
    """
    if source.startswith(HUB):
        return list(_checked(_hub_rows(source), source))
    path = Path(source)
    refuse_other_text(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"instruct.data: {source}: {error.__class__.__name__}, expected a readable file") from None
    except UnicodeDecodeError as error:
        raise DataError(f"instruct.data: {source}: expected UTF-8: {reason_of(error)}") from None
    if not text.strip():
        raise DataError(f"{source}: holds no row")
    # Whatever the file is called, a row a line begins with a brace. Not splitlines(): it would break lines in texts.
    lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    is_a_row_a_line = path.suffix == ".jsonl" or (len(lines) > 1 and _is_json(lines[0][1]))
    if is_a_row_a_line and not text.lstrip().startswith("["):
        rows: Any = [_parsed(line, f"{source}: line {number}") for number, line in lines]
    else:
        rows = _parsed(text, source)
    if not isinstance(rows, list):
        raise DataError(f"{source}: expected a list of rows, got {type(rows).__name__}")
    return list(_checked(rows, source))


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not valid JSON: {error}") from None


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _hub_rows(source: str) -> Iterable[Any]:
    from datasets import load_dataset

    name, _, revision = source.removeprefix(HUB).rpartition("@")
    if not (name and COMMIT.fullmatch(revision)):
        raise DataError(f"instruct.data: {source}: expected hub:OWNER/NAME@REVISION, a commit as 40 hex digits")
    try:
        return load_dataset(name, revision=revision, split="train")
    except Exception as error:  # of the Hub, or of any reader of `datasets`
        raise DataError(f"instruct.data: cannot get {source}: {reason_of(error)}") from error


def _checked(rows: Iterable[Any], source: str) -> Iterable[dict[str, str]]:
    n_rows = 0
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, Mapping):
            raise DataError(f"{source}: row {number}: expected an object, got {type(row).__name__}")
        instances = row.get("instances", [row])
        if not (isinstance(instances, list) and instances and all(isinstance(part, Mapping) for part in instances)):
            raise DataError(f"{source}: row {number}: 'instances': expected a list of one object or more")
        for instance in instances:
            found = {"input": "", **{key: row[key] for key in KEYS if key in row}}
            found |= {key: instance[key] for key in KEYS if key in instance}
            found["input"] = "" if found["input"] is None else found["input"]
            wrong = [key for key in KEYS if not _is_text(found.get(key))]
            if wrong:
                raise DataError(f"{source}: row {number}: {wrong[0]!r} is missing or no text")
            n_rows += 1
            yield {key: found[key] for key in KEYS}
    if not n_rows:
        raise DataError(f"{source}: holds no row")


def _is_text(value: object) -> bool:
    """Whether it is text. JSON can hold half a character, a lone surrogate, which no tokenizer takes."""
    return isinstance(value, str) and not any("\ud800" <= letter <= "\udfff" for letter in value)
