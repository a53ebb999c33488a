"""Which weights `models/base/` stands for, and whether those in a folder elsewhere are still as they were read."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.errors import DataError, MissingArtifactError

ORIGIN = "origin.json"
RANDOM = "random"
"""Weights of a model that is built from its architecture alone, for memory and speed."""


def file_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a folder, by name."""
    digests: dict[str, str] = {}
    for name in file_sizes(folder):
        with (folder / name).open("rb") as stream:  # weights may be larger than the memory
            digests[name] = hashlib.file_digest(stream, "sha256").hexdigest()
    return digests


def file_sizes(folder: Path) -> dict[str, int]:
    """Bytes of every file of a folder, by name."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.stat().st_size for path in paths}


def write_origin(
    folder: Path,
    model: str,
    revision: str | None,
    files: Mapping[str, str],
    weights: str = "pretrained",
    gguf_sha256: str | None = None,
) -> None:
    """Write which weights `folder` stands for; a model elsewhere is only named, with the digests of its files.

    Of a model in a folder, which may change, the sizes are written too.

    Args:
        folder: where it is written, with the weights if they were made here (`tiny`) or unpacked from a GGUF file.
        model: as `llm.model` names it.
        revision: the commit of a Hub model.
        files: SHA-256 of the files of the model, by name.
        weights: `pretrained`, or `random` where the architecture alone is kept.
        gguf_sha256: of the whole GGUF file that the weights in `folder` were unpacked from.
    """
    holds_weights = model == "tiny" or gguf_sha256 is not None
    is_in_folder = not holds_weights and revision is None and weights != RANDOM
    content = {
        "model": model,
        "revision": revision,
        "weights": weights,
        "holds_weights": holds_weights,
        "gguf_sha256": gguf_sha256,
        "files": dict(files),
        "sizes": file_sizes(Path(model)) if is_in_folder else {},
    }
    (folder / ORIGIN).write_text(json.dumps(content, indent=2) + "\n")


def read_origin(folder: Path) -> dict[str, Any]:
    """What `write_origin` wrote, if a model in a folder still has files of the same names and sizes.

    Their digests are compared by `tallrec-bench verify`: to read all weights for each cell would take too long.

    Raises:
        MissingArtifactError: there is no `origin.json` in `folder`.
        DataError: a file of the model has come, gone or changed its size.
    """
    if not (folder / ORIGIN).exists():
        raise MissingArtifactError(f"{folder / ORIGIN}: not there; `dvc repro tallrec/dvc.yaml:base` makes it")
    origin = json.loads((folder / ORIGIN).read_text())
    sizes, model = origin.get("sizes", {}), Path(origin["model"])
    if sizes and model.is_dir():
        changed = sorted({name for name, _ in sizes.items() ^ file_sizes(model).items()})
        if changed:
            raise DataError(
                f"llm.model: {model / changed[0]}: not as stage `base` has read it; "
                "`dvc repro -f -s tallrec/dvc.yaml:base`"
            )
    return origin
