"""The plan of a run as data: what each stage takes, and how each figure is known.

Usage: python -m benchmark.planning.foretold   (prints what stages are expected to take, as JSON; measures nothing)
"""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.config.params import Params
from benchmark.planning import light
from benchmark.planning.devices import CPU, Device, chosen_device
from benchmark.planning.plan import Planner, Work
from benchmark.planning.questions import Questions, questions
from benchmark.planning.rough import RoughPlanner, rough_device
from benchmark.planning.sizes import Sizes, sizes

if TYPE_CHECKING:
    from tallrec.cost.trial import Speeds


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run takes."""

    works: tuple[Work, ...]
    """By stage, in the order of the pipeline."""
    sizes: Sizes
    questions: tuple[Questions, ...]
    planner: Planner | None
    """None where no language model runs, or nothing was tried."""
    device: Device | None
    speeds: "Speeds | None"
    """What a few layers reach on this machine; None where nothing was tried."""

    @property
    def seconds(self) -> float:
        """Of all stages, one process after the other; questions to others not counted."""
        return sum(work.seconds for work in self.works)

    @property
    def expected(self) -> dict[str, tuple[int, float]]:
        """By stage, how many processes it has and the seconds of one, as `benchmark.progress.OfAll` takes them."""
        return {work.stage: (work.n_processes, work.seconds / work.n_processes) for work in self.works}


def foretold(
    params: Params,
    *,
    tries: bool = True,
    memory: str = "",
    device: str = "",
    tflops: float | None = None,
    n_tokens: int | None = None,
) -> Plan:
    """What a run of `params` takes.

    Args:
        params: the configuration.
        tries: whether the machine is measured, by some updates of the baselines and some layers of the model, which
            takes half a minute; else all is estimated at once, without memory.
        memory: of the device, e.g. `24GB`; empty: that of this machine.
        device: a card by name; empty: this machine's.
        tflops: its dense half-precision speed; None: as listed, or measured here.
        n_tokens: of a prompt; None: of some rows.

    Raises:
        ConfigError: the device or its memory is not understood.
        DataError: the architecture of `llm.model` is nowhere to be had.
    """
    found = sizes(params, n_tokens, tokenizes=tries)
    works = list(light.works(params, found.prompts.rows, found.n_test, tries=tries))
    asked = tuple(questions(params, found))
    if not runs_model(params):
        return Plan(tuple(works), found, asked, None, None, None)
    if not tries:
        works[-2:-2] = RoughPlanner(params, found).works(rough_device())
        return Plan(tuple(works), found, asked, None, None, None)
    planner = Planner(params, found)
    where = chosen_device(params.llm.dtype, name=device, memory=memory, tflops=tflops)
    speeds = planner.speeds() if where.name == CPU and tflops is None else None
    works[-2:-2] = planner.works(where, speeds)  # before `evaluate` and `report`
    return Plan(tuple(works), found, asked, planner, where, speeds)


def runs_model(params: Params) -> bool:
    """Whether a stage of this configuration uses the model of section `llm`."""
    grid = params.grid
    return bool(grid.recipes or grid.icl_models or params.memory.domains or params.efficiency.configurations)


if __name__ == "__main__":
    from benchmark.methods.configuration import load_config

    print(json.dumps(foretold(load_config(), tries=False).expected))
