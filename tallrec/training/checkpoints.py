"""Checkpoints of a run that may be killed at any moment: which one is whole, whose it is, and what it holds.

A checkpoint is a folder `checkpoint-<updates>` that transformers' Trainer writes. Optimizer and random state in it are
pickled by torch; they never leave the scratch folder, and the Trainer reads them with `weights_only`.
"""

import hashlib
import importlib.metadata
import json
import shutil
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file
from transformers import PreTrainedModel, TrainerCallback

from benchmark.errors import DataError
from tallrec.models.adapters import WEIGHTS, adapter_weights, check_arrived

OWNER = "settings.sha256"
"""File of a scratch folder that says which run its checkpoints belong to."""
STATE = "trainer_state.json"
"""The file that the Trainer writes last, so that a checkpoint with a readable one is whole."""
TAKEN_IF_THERE = ("optimizer*", "scheduler*", "rng_state*")
"""Files of a checkpoint without which the Trainer goes on with new ones, and says nothing."""
CODE = Path(__file__).parents[1]
"""The package `tallrec`."""
OTHER_ROOMS = ("api", "cost")
"""Folders of the package that decide nothing of a training: servers, and what a step takes."""
PACKAGES = ("torch", "transformers", "peft", "accelerate", "tokenizers", "bitsandbytes")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One whole checkpoint."""

    folder: Path
    n_updates: int
    is_last: bool
    """Training ended here, by its schedule or by early stopping."""
    best: Path | None
    """The checkpoint with the best validation so far."""
    log: list[dict[str, float]]


def digest_of_run(
    model: PreTrainedModel | PeftModel,
    rows: Sequence[Mapping[str, Any]],
    settings: Mapping[str, Any],
    code_folder: Path = CODE,
) -> str:
    """SHA-256 of all that decides how training `model` on `rows` ends: values, code, versions, threads and device.

    Weights that are not trained are left out, since reading billions of them takes long; `settings` names them.
    """
    code = _code(code_folder)
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    device = [str(model.device), torch.get_num_threads()]
    digest = hashlib.sha256(
        json.dumps([list(map(dict, rows)), dict(settings), code, versions, device], sort_keys=True).encode()
    )
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            digest.update(f"{name} {tuple(parameter.shape)} {parameter.dtype}".encode())
            digest.update(parameter.detach().cpu().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _code(folder: Path) -> dict[str, str]:
    """Text of each module in `folder` and below that may decide a training, by its path."""
    modules = {path.relative_to(folder): path for path in folder.rglob("*.py")}
    return {
        name.as_posix(): path.read_text(encoding="utf-8")
        for name, path in modules.items()
        if name.parts[0] not in OTHER_ROOMS
    }


def claim(scratch: Path, digest: str) -> None:
    """Make `scratch` the folder of the run with `digest`; what another run left there is removed."""
    owner = scratch / OWNER
    if not (owner.exists() and owner.read_text() == digest):
        discard(scratch)
        scratch.mkdir(parents=True)
        owner.write_text(digest)


def discard(scratch: Path) -> None:
    """Remove a scratch folder, its owner first: what is left by a kill in between belongs to nobody."""
    (scratch / OWNER).unlink(missing_ok=True)
    shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def scratch_folder(scratch: Path) -> Generator[Path]:
    """`scratch`, removed when the block ends well; a block that raises or is killed leaves it to its next run."""
    yield scratch
    discard(scratch)


def last_whole(scratch: Path) -> Checkpoint | None:
    """The newest whole checkpoint, if any. All others but the best one are removed: half written or outdated."""
    folders = sorted(scratch.glob("checkpoint-*"), key=lambda folder: int(folder.name.rpartition("-")[2]))
    whole = [checkpoint for checkpoint in map(read_checkpoint, folders) if checkpoint is not None]
    newest = whole[-1] if whole else None
    if newest and newest.best and newest.best not in {checkpoint.folder for checkpoint in whole}:
        newest = None
    kept = {newest.folder, newest.best} if newest else set()
    for folder in folders:
        if folder not in kept:
            shutil.rmtree(folder)
    return newest


def read_checkpoint(folder: Path) -> Checkpoint | None:
    """What a checkpoint says about itself, or None if it is not whole."""
    try:
        state = json.loads((folder / STATE).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    if not all(any(folder.glob(name)) for name in TAKEN_IF_THERE):
        return None  # another run of the stage, which nobody ended, is removing it
    best = state["best_model_checkpoint"]
    return Checkpoint(
        folder,
        n_updates=state["global_step"],
        is_last=state["stateful_callbacks"]["TrainerControl"]["args"]["should_training_stop"],
        best=None if best is None else Path(best),
        log=state["log_history"],
    )


class StillThere(TrainerCallback):
    """Ends a training whose checkpoint another run of the stage has removed while it was read, as if by a kill."""

    def __init__(self, folder: Path) -> None:
        self.folder: Path | None = folder

    def on_step_begin(self, args: Any, state: Any, control: Any, **keywords: Any) -> None:
        """Called once all of the checkpoint has been read, before the first update."""
        del args, state, control, keywords
        if self.folder and read_checkpoint(self.folder) is None:
            raise DataError(
                f"{self.folder}: removed while it was read, by another run of this stage; wait for its end, "
                "and run the stage again"
            )
        self.folder = None


def restore(model: PreTrainedModel | PeftModel, folder: Path) -> None:
    """Give `model` the weights of a checkpoint: the adapter, or all of them where there is none.

    Raises:
        DataError: a tensor did not reach the model.
    """
    if isinstance(model, PeftModel):
        path = folder / WEIGHTS
        stored = load_file(path)
        set_peft_model_state_dict(model, stored)
        check_arrived(path, stored, get_peft_model_state_dict(model, state_dict=adapter_weights(model)))
        return
    path = folder / "model.safetensors"
    stored = load_file(path)
    model.load_state_dict(stored, strict=False)
    tied = set(model.all_tied_weights_keys)
    check_arrived(path, stored, {key: value for key, value in model.state_dict().items() if key not in tied})
