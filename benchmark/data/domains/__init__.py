"""Domains: raw files in, samples and items out. One file a format, one entry here."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

from benchmark.config.params import DomainParams
from benchmark.data.domains.lines import LineCount
from benchmark.data.sources import SourceFile
from benchmark.schema import Item, Labelled

FORMATS = {
    "ml-100k": "benchmark.data.domains.movielens",
    "ml-1m": "benchmark.data.domains.movielens_months",
    "ratings-table": "benchmark.data.domains.ratings_table",
    "bookcrossing": "benchmark.data.domains.bookcrossing",
    "released-json": "benchmark.data.domains.released_json",
    "released-csv": "benchmark.data.domains.released_csv",
}
"""Name of a format in `params.yaml` -> the module that reads it."""


@dataclass(frozen=True)
class DomainData:
    """A domain as its reader returns it."""

    items: Mapping[str, Item]
    splits: Mapping[str, tuple[Labelled, ...]]
    """`train`, `valid`, `test`."""
    notes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What the reader found that a user should know: rows read, broken lines, time range of each split, ..."""
    extended: tuple[Labelled, ...] = ()
    """A further test set, of users who are in no split."""
    lines: Mapping[str, LineCount] = field(default_factory=dict[str, LineCount])
    """What became of the lines of each raw file, by its name, where a reader leaves lines out."""


class Format(Protocol):
    """What a module of `FORMATS` has."""

    SCALE: tuple[float, float]
    """The lowest and the highest rating."""
    Params: type[DomainParams]
    """Its section under `domains` in `params.yaml`."""
    FILES: tuple[SourceFile, ...]
    """Its official raw files; where they follow from its section, a function `files(params)` instead."""

    def read(self, raw: Path, params: DomainParams) -> DomainData:
        """Raw files -> samples and items.

        Sample ids are unique over all domains and splits, and say nothing of user and item: they stand beside the
        scores, which may be published where the data may not.
        """
        ...


def format_module(name: str) -> Format:
    """The module that reads format `name`."""
    return cast(Format, importlib.import_module(FORMATS[name]))


def raw_files(section: DomainParams) -> tuple[SourceFile, ...]:
    """The official raw files of a domain."""
    module = format_module(section.format)
    files_of = getattr(module, "files", None)
    return files_of(section) if files_of else module.FILES
