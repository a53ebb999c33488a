"""Weights from outside that no training leaves, told from their files: integers, zeros, and what is no number."""

from pathlib import Path
from typing import Any

from benchmark.errors import DataError

REAL = ("F64", "F32", "F16", "BF16")
"""Types of safetensors that hold weights as they are. Those of 8 bits and less are told of by `config.json`."""


def refuse_impossible_weights(folder: Path, where: str) -> None:
    """Refuse weights that no training leaves, of a model whose `config.json` says nothing of a quantization.

    Integers are the codes of quantized weights, a matrix that is zero from end to end was never written, and a number
    that is not finite makes every output one. Vectors may be zero: biases, and what a norm adds to 1. What is no
    `weight`, such as a mask, is not looked at.

    Args:
        folder: with the weights, as `model*.safetensors`.
        where: begins the error.

    Raises:
        DataError: a file holds such a tensor.
    """
    import torch
    from safetensors import safe_open

    for path in sorted(folder.glob("model*.safetensors")):
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
