"""Which cells of a sweep ask for GPUs, and how a script of SLURM and local workers pass that on."""

from pathlib import Path

import pytest

from benchmark.config.in_context import ApiModelParams
from benchmark.config.params import Params
from benchmark.errors import ConfigError
from benchmark.methods.configuration import load_config
from benchmark.sweep.array import slurm_script
from benchmark.sweep.cell import Order
from benchmark.sweep.gpus import gpus_asked_for, visible_gpus
from benchmark.sweep.graph import Graph

STAGES = [
    "raw@movie",
    "tallrec/dvc.yaml:base",
    "baselines@caser-movie",
    "tallrec/dvc.yaml:tune@tallrec-movie-16-0",
    "score@rt-book",
    "icl@base-released",
]


@pytest.fixture
def params() -> Params:
    return load_config()


def test_stages_with_a_language_model_ask_for_what_they_run_on(params: Params) -> None:
    several = params.model_copy(update={"tune": params.tune.model_copy(update={"n_processes": 4})})
    asked = gpus_asked_for(several, STAGES, 4)
    assert asked == {
        "tallrec/dvc.yaml:base": 1,
        "tallrec/dvc.yaml:tune@tallrec-movie-16-0": 4,
        "score@rt-book": 1,
        "icl@base-released": 1,
    }
    with pytest.raises(ConfigError, match=r"--gpus 2: a cell of stage `tune` asks for 4 \(tune.n_processes\)"):
        gpus_asked_for(several, STAGES, 2)


def test_models_behind_an_address_and_bases_of_the_hub_ask_for_none(params: Params) -> None:
    served = ApiModelParams.model_construct()
    icl = params.icl.model_copy(update={"models": {"served": served}})
    hub = params.llm.model_copy(update={"model": "huggyllama/llama-7b"})
    changed = params.model_copy(update={"icl": icl, "llm": hub})
    stages = ["tallrec/dvc.yaml:base", "others@served-released", "icl@alpaca-released"]
    assert gpus_asked_for(changed, stages, 1) == {"icl@alpaca-released": 1}


def test_local_workers_see_gpus_of_their_own() -> None:
    assert visible_gpus(1, 0, {}) == {}
    assert visible_gpus(1, 2, {}) == {"CUDA_VISIBLE_DEVICES": "2,3"}
    assert visible_gpus(1, 1, {"CUDA_VISIBLE_DEVICES": "5,7"}) == {"CUDA_VISIBLE_DEVICES": "7"}
    with pytest.raises(ConfigError, match="CUDA_VISIBLE_DEVICES: 5, and 2 workers ask for 1 GPUs each"):
        visible_gpus(1, 1, {"CUDA_VISIBLE_DEVICES": "5"})


def test_cells_of_a_level_are_one_array_for_each_number_of_gpus() -> None:
    upstream = {"base": frozenset[str](), "draw": frozenset[str](), "tune@a": frozenset({"base", "draw"})}
    orders = {stage: Order("address", "revision", stage) for stage in upstream}
    script = slurm_script(Graph(upstream, {}), orders, Path("/clones"), {"base": 1, "tune@a": 4})
    lines = [line.split(" --wrap")[0] for line in script.splitlines() if line.startswith(("jobs", "after"))]
    submit = "sbatch --parsable ${SBATCH_OPTIONS:-}"
    assert lines == [
        *("after=()", "jobs="),
        f'jobs+=:$({submit} "${{after[@]}}" --array=0-0',
        f'jobs+=:$({submit} --gpus-per-task=1 --ntasks=1 "${{after[@]}}" --array=0-0',
        *("after=(--kill-on-invalid-dep=yes --dependency=afterok$jobs)", "jobs="),
        f'jobs+=:$({submit} --gpus-per-task=4 --ntasks=1 "${{after[@]}}" --array=0-0',
        *("after=(--kill-on-invalid-dep=yes --dependency=afterok$jobs)", "jobs="),
    ]
