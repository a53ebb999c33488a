"""Sections `lora` and `tune` of `params.yaml` -> what tuning takes. Imports torch only inside its functions."""

import math
from typing import TYPE_CHECKING, Any

from benchmark.artifacts import files, paths
from benchmark.config.params import Params, TuneParams
from benchmark.seeding import derive_seed

if TYPE_CHECKING:
    from tallrec.models.adapters import Lora
    from tallrec.training.schedule import Schedule


def decisive(params: Params) -> dict[str, Any]:
    """What decides a tuned adapter beside its schedule, rows and start: a checkpoint of another one is not taken."""
    return {
        "base": files.read_json(paths.BASE_MODEL / "origin.json"),
        "llm": params.llm.model_dump(mode="json"),
        "lora": params.lora.model_dump(mode="json"),
    }


def lora(params: Params) -> "Lora":
    """Shape of the adapter."""
    from tallrec.models.adapters import Lora

    return Lora(**params.lora.model_dump())


def n_updates(tune: TuneParams, n_rows: int) -> int:
    """Most updates of rec-tuning on `n_rows` rows: so many, or so many an epoch, whose last batch may be shorter.

    Source:
        --num_epochs 200 of the released scripts: one update an epoch for up to 128 rows, two for 256.
    """
    if tune.n_updates is not None:
        return tune.n_updates
    assert tune.n_epochs is not None, "one of the two is set (benchmark.methods.rules)"
    return tune.n_epochs * math.ceil(n_rows / tune.batch_size)


def tuning_schedule(params: Params, seed: int, *, n_rows: int) -> "Schedule":
    """The schedule of rec-tuning on `n_rows` rows."""
    from tallrec.training.schedule import Schedule

    tune = params.tune
    return Schedule(
        n_updates=n_updates(tune, n_rows),
        batch_size=tune.batch_size,
        micro_batch_size=tune.micro_batch_size,
        learning_rate=tune.learning_rate,
        warmup_updates=tune.warmup_updates,
        seed=derive_seed("tune", seed),
        eval_every=tune.eval_every,
        patience=tune.patience,
        keep_best=params.fidelity.checkpoint == "best_auc",
        gradient_checkpointing=tune.gradient_checkpointing,
    )
