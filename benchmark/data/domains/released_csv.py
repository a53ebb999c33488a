"""TALLRec's released book rows as ids: what the authors' conventional baselines ran on.

They are another random draw than the released prompts. Ids are row numbers of `BX-Books.csv`; there are no
titles, so a language model has nothing to read here.
"""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from benchmark.artifacts.paths import SPLITS
from benchmark.data.domains import DomainData
from benchmark.data.domains.released_json import SCALE, Params, max_n_shots
from benchmark.data.sources import SourceFile
from benchmark.errors import DataError, refuse_other_text
from benchmark.schema import Interaction, Item, Labelled, Sample, item_ids

__all__ = ["FILES", "SCALE", "Params", "max_n_shots", "read"]

_FOLDER = "https://raw.githubusercontent.com/SAI990323/TALLRec/30b8a5ed19d69cb7f904846b16a7e1247646530a/baseline/books"
_CHECKSUMS = {
    "train": "adbbf1e2851aaf6bf087cba2f13260652ad61bc1b0a749bfbb2ce27633344e8e",
    "valid": "bc69498ef0044f09d5fb31fc5ec860ab840ce5730ebec4c6202607b4756d123d",
    "test": "1c34287980001ce8e5936f48ad308704a6667216aa5797dbb7016775f767bdcf",
}

FILES = tuple(
    SourceFile(f"tallrec-book/{split}.csv", f"{_FOLDER}/{split}.csv", sha256) for split, sha256 in _CHECKSUMS.items()
)

_COLUMNS = ["user", "history_item_id", "history_rating", "item_id", "rating"]


def read(raw: Path, params: Params) -> DomainData:
    """`train.csv`, `valid.csv`, `test.csv` -> samples in file order, items by number alone.

    `raw` is named after its domain, which starts every sample id.

    Raises:
        DataError: a row is malformed.
    """
    splits = {split: tuple(_read_rows(raw / f"{split}.csv", raw.name, params)) for split in SPLITS}
    ids = sorted(item_ids(row.sample for rows in splits.values() for row in rows))
    return DomainData({item_id: _item(item_id, params) for item_id in ids}, splits, {"titles": False})


def _read_rows(path: Path, domain: str, params: Params) -> Iterator[Labelled]:
    if not path.exists():
        raise DataError(f"{path}: not there; stage `raw` writes it")
    refuse_other_text(path)
    # What is not ASCII is escaped, so that it is refused with the line where it stands.
    with path.open(encoding="ascii", errors="backslashreplace", newline="") as stream:
        rows = csv.reader(stream)
        try:
            if (header := next(rows, list[str]())) != _COLUMNS:
                raise DataError(
                    f"{path}: line 1: expected the header {','.join(_COLUMNS)}, got {','.join(header)!r:.80}"
                )
            for number, row in enumerate(rows):
                yield _labelled(f"{domain}-{path.stem}-{number}", row, params)
        except (ValueError, RecursionError, csv.Error) as error:
            raise DataError(f"{path}: line {rows.line_num}: {error}") from None


def _labelled(sample_id: str, row: list[str], params: Params) -> Labelled:
    if len(row) != len(_COLUMNS):
        raise ValueError(f"expected {len(_COLUMNS)} fields, got {len(row)}")
    user, items, flags, target, answer = row
    item_ids, liked = _numbers(items), _numbers(flags)
    if len(item_ids) != len(liked) or not 0 < len(item_ids) <= params.history_length:
        expected = f"1 to {params.history_length} history items with a flag each"
        raise ValueError(f"expected {expected}, got {len(item_ids)} items and {len(liked)} flags")
    history = zip(item_ids, liked, strict=True)
    events = tuple(Interaction(_item_id(item, params), _is_liked(flag)) for item, flag in history)
    [target_item], [target_flag] = _numbers(f"[{target}]"), _numbers(f"[{answer}]")
    sample = Sample(sample_id, user, events, _item_id(target_item, params))
    return Labelled(sample, _is_liked(target_flag))


def _numbers(text: str) -> list[int]:
    values: Any = json.loads(text)
    if not isinstance(values, list) or any(type(value) is not int for value in cast("list[Any]", values)):
        raise ValueError(f"expected whole numbers, got {text!r}")
    return cast("list[int]", values)


def _is_liked(flag: int) -> bool:
    if flag not in (0, 1):
        raise ValueError(f"expected a rating of 0 or 1, got {flag}")
    return flag == 1


def _item_id(item: int, params: Params) -> str:
    return f"{params.noun}-{item}"


def _item(item_id: str, params: Params) -> Item:
    text = f"Item {item_id.removeprefix(f'{params.noun}-')}"
    return Item(item_id, params.noun, text=text, mention=f'"{text}"')
