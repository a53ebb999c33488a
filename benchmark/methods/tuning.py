"""Sections `lora` and `tune` of `params.yaml` -> what tuning takes. Imports torch only inside its functions."""

from typing import TYPE_CHECKING, Any

from benchmark.artifacts import files, paths
from benchmark.config.params import Params
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


def tuning_schedule(params: Params, seed: int) -> "Schedule":
    """The schedule of rec-tuning."""
    from tallrec.training.schedule import Schedule

    tune = params.tune
    return Schedule(
        n_updates=tune.n_updates,
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
