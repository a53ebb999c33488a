"""Weights from outside that no training leaves, told from their files: integers, zeros, and what is no number."""

import json
from pathlib import Path
from typing import Any, cast

from benchmark.errors import DataError, reason_of

WHOLE, SHARDED = "model.safetensors", "model.safetensors.index.json"
SETTINGS = (
    *("config.json", "generation_config.json", SHARDED),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
)
"""Files of a model that hold an object each, where they are there."""

REAL = ("F64", "F32", "F16", "BF16")
"""Types of safetensors that hold weights as they are. Those of 8 bits and less are told of by `config.json`."""


def refuse_broken_files(folder: Path, where: str) -> None:
    """Refuse files of a model that cannot be read, since the errors of those who read them do not say which it is.

    Args:
        folder: of the model.
        where: begins the error.

    Raises:
        DataError: a file of weights is cut or something else, one of settings holds no object, or the weights stand
            there both in one file and in several, of which transformers would take the one in silence.
    """
    from safetensors import SafetensorError, safe_open

    for name in SETTINGS:
        path = folder / name
        try:
            content: object = json.loads(path.read_bytes()) if path.is_file() else {}
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(f"{where}: {name}: {reason_of(error)}") from None
        if not isinstance(content, dict):
            raise DataError(f"{where}: {name}: expected an object, got {type(content).__name__}")
        held = cast("dict[str, Any]", content)
        for key in ("metadata", "weight_map") if name == SHARDED and path.is_file() else ():
            if not isinstance(held.get(key), dict):
                raise DataError(f"{where}: {name}: {key}: expected an object")
    if (folder / WHOLE).exists() and (folder / SHARDED).exists():
        raise DataError(f"{where}: {WHOLE} and {SHARDED}: weights in two forms, expected one; remove the other")
    for path in _weight_files(folder):
        try:
            opened: Any = safe_open(path, "pt")
            with opened:
                pass
        except (SafetensorError, OSError) as error:
            raise DataError(f"{where}: {path.name}: {reason_of(error)}") from None


def refuse_impossible_weights(folder: Path, where: str) -> None:
    """Refuse weights that no training leaves, of a model whose `config.json` says nothing of a quantization.

    Integers are the codes of quantized weights, a matrix that is zero from end to end was never written, and a number
    that is not finite makes every output one. Vectors may be zero: biases, and what a norm adds to 1. What is no
    `weight`, such as a mask, is not looked at.

    Args:
        folder: with the weights, as `model*.safetensors` or as its index names them.
        where: begins the error.

    Raises:
        DataError: a file holds such a tensor.
    """
    import torch
    from safetensors import safe_open

    for path in _weight_files(folder):
        opened: Any = safe_open(path, "pt")
        with opened as stored:
            for name in stored.keys():  # noqa: SIM118 - no mapping
                if not name.endswith("weight"):
                    continue
                kind = stored.get_slice(name).get_dtype()
                if kind.startswith(("I", "U", "BOOL")):
                    raise DataError(
                        f"{where}: {path.name}: {name} holds integers ({kind}), expected real numbers, since "
                        "config.json has no quantization_config"
                    )
                if kind not in REAL:
                    continue
                tensor = stored.get_tensor(name)
                if tensor.dim() > 1 and not tensor.any():
                    raise DataError(f"{where}: {path.name}: {name} is zero from end to end, expected trained weights")
                if not torch.isfinite(tensor).all():
                    raise DataError(f"{where}: {path.name}: {name} holds numbers that are not finite")


def _weight_files(folder: Path) -> list[Path]:
    """Files of weights: by their usual names, and those that an index names otherwise."""
    found = set(folder.glob("model*.safetensors"))
    if (folder / SHARDED).is_file():
        names = json.loads((folder / SHARDED).read_bytes())["weight_map"].values()
        found |= {folder / name for name in names if isinstance(name, str) and (folder / name).is_file()}
    return sorted(found)
