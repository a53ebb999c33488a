"""GPUs as slots: how many a cell asks for, and which ones a worker of this machine has."""

import os
from collections.abc import Iterable, Mapping

from benchmark.config.in_context import ServerParams
from benchmark.config.params import Params
from benchmark.errors import ConfigError

ON_ONE_GPU = {"base", "instruct", "score", "probe", "icl", "others", "memorised", "efficiency"}
"""Stages that run a language model in one process."""
VISIBLE = "CUDA_VISIBLE_DEVICES"


def gpus_asked_for(params: Params, stages: Iterable[str], gpus_a_worker: int) -> dict[str, int]:
    """Slots by stage; those that run no language model on this machine ask for none and are left out.

    Args:
        params: the configuration of the sweep.
        stages: by their names in DVC, such as `tallrec/dvc.yaml:tune@tallrec-movie-16-0`.
        gpus_a_worker: slots of each worker.

    Raises:
        ConfigError: a stage asks for more than one worker has.
    """
    without_a_gpu = {
        f"others@{model}-{prompt}"
        for model, section in params.icl.models.items()
        if isinstance(section, ServerParams)
        for prompt in params.grid.prompts
    }
    if params.llm.model != "tiny":
        without_a_gpu.add("tallrec/dvc.yaml:base")  # it looks a model up and trains none
    asked: dict[str, int] = {}
    for stage in stages:
        name = stage.rpartition(":")[2].split("@")[0]
        if name == "tune":
            asked[stage] = params.tune.n_processes
        elif name in ON_ONE_GPU and stage not in without_a_gpu:
            asked[stage] = 1
    if asked and max(asked.values()) > gpus_a_worker:
        raise ConfigError(
            f"--gpus {gpus_a_worker}: a cell of stage `tune` asks for {params.tune.n_processes} (tune.n_processes), "
            "and a worker must have as many"
        )
    return asked


def visible_gpus(worker: int, gpus_a_worker: int, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment that shows local worker number `worker`, from 0, the GPUs that are its own.

    Raises:
        ConfigError: `CUDA_VISIBLE_DEVICES` names too few.
    """
    if not gpus_a_worker:
        return {}
    first, end = worker * gpus_a_worker, (worker + 1) * gpus_a_worker
    named = environment.get(VISIBLE)
    listed = named.split(",") if named is not None else [str(number) for number in range(end)]
    if len(listed) < end:
        raise ConfigError(f"{VISIBLE}: {named or 'none'}, and {worker + 1} workers ask for {gpus_a_worker} GPUs each")
    return {VISIBLE: ",".join(listed[first:end])}
