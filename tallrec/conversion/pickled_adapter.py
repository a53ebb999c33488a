"""An adapter that an old PEFT stored as `adapter_model.bin`, as those of the authors and alpaca-lora, to safetensors.

Such a file is a pickle, which may name any code. torch reads it with `weights_only`: tensors and containers alone, and
whatever names more is refused before it is called.
"""

import json
import re
from pathlib import Path
from pickle import UnpicklingError

import torch
from peft import LoraConfig
from safetensors.torch import save_file

from benchmark.errors import DataError, reason_of, refuse_pointer
from tallrec.disk import UNREADABLE, writing
from tallrec.models.adapters import CONFIG, PICKLED, WEIGHTS

KEY = re.compile(r"(?P<layer>.+\.lora_[AB])(\.default)?\.weight")
"""PEFT calls an adapter `default`; in keys of a file that name must not stand, and in some of them it does."""


def convert(source: Path, target: Path) -> None:
    """Write the adapter of folder `source` into `target`, as the PEFT of today reads it; no value changes.

    Raises:
        DataError: the file is cut or a pointer of git-lfs, holds more than tensors, or a tensor that is none of LoRA.
    """
    tensors = _read(source / PICKLED)
    known = LoraConfig().to_dict()
    config = json.loads((source / CONFIG).read_text(encoding="utf-8"))
    config = {name: value for name, value in config.items() if name in known} | {"base_model_name_or_path": None}
    with writing(target):
        save_file(tensors, target / WEIGHTS, metadata={"format": "pt"})
        (target / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _read(path: Path) -> dict[str, torch.Tensor]:
    where = f"instruct.adapter: {path}"
    try:
        refuse_pointer(path)
    except DataError as error:
        raise DataError(f"instruct.adapter: {error}") from None
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError:
        raise DataError(f"{where}: is no pickle of tensors alone; it may run code, and is not read") from None
    except (*UNREADABLE, EOFError, LookupError) as error:
        raise DataError(f"{where}: damaged: {reason_of(error)}") from None
    if not isinstance(stored, dict) or not stored:
        raise DataError(f"{where}: expected tensors by name, got {'none' if stored == {} else type(stored).__name__}")
    tensors: dict[str, torch.Tensor] = {}
    n_bytes = path.stat().st_size
    for name, tensor in stored.items():
        found = KEY.fullmatch(name) if isinstance(name, str) else None
        if found is None:
            raise DataError(f"{where}: {name!r:.80} is no LoRA weight")
        # A view may claim more than there is: one number, repeated beyond any memory.
        if not _is_plain(tensor) or tensor.nbytes > n_bytes:
            raise DataError(f"{where}: {name!r:.80}: expected a tensor of real numbers, as large as the file at most")
        key = f"{found['layer']}.weight"
        if key in tensors:
            raise DataError(f"{where}: {key!r:.80} stands there twice")
        tensors[key] = tensor.contiguous().clone()
    return tensors


def _is_plain(tensor: object) -> bool:
    return (
        isinstance(tensor, torch.Tensor)
        and tensor.layout == torch.strided
        and tensor.device.type == "cpu"
        and tensor.dtype in (torch.float32, torch.float16, torch.bfloat16)
    )
