"""The plan of a run as data: what each stage takes, and what models behind an address are asked and cost.

Usage: python -m benchmark.planning.foretold   (prints what stages are expected to take, as JSON; measures nothing)
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.config.in_context import ApiModelParams, ServerParams
from benchmark.config.params import Params
from benchmark.methods.language_model_cells import icl_cells
from benchmark.planning import light
from benchmark.planning.devices import CPU, Device, chosen_device
from benchmark.planning.plan import Planner, Work
from benchmark.planning.rough import RoughPlanner, rough_device
from benchmark.planning.sizes import Sizes, sizes

if TYPE_CHECKING:
    from tallrec.cost.trial import Speeds


OUTPUT_TOKENS = 1
"""Of an answer where `parameters` name no limit."""
LIMITS = ("max_tokens", "max_completion_tokens")


@dataclass(frozen=True, slots=True)
class Questions:
    """Of one model, in all prompt styles."""

    model: str
    n_questions: int
    n_input_tokens: int
    dollars: float | None
    """None where a price is not known."""


def questions(params: Params, found: Sizes) -> Iterator[Questions]:
    """For each model of `grid.other_models` that is behind an address; answers that are kept already count too."""
    for name in params.grid.other_models:
        section = params.icl.models[name]
        if not isinstance(section, ServerParams):
            continue
        n_questions, n_tokens = 0, 0.0
        for prompt in params.grid.prompts:
            for domain in params.grid.domains:
                for cell in icl_cells(params, name, prompt, domain):
                    n_rows = found.n_test[cell.test_domain]
                    n_questions += n_rows
                    n_tokens += n_rows * found.prompts.of(domain, prompt, cell.n_shots).mean
        dollars = _dollars(section, n_questions, n_tokens) if isinstance(section, ApiModelParams) else None
        yield Questions(name, n_questions, round(n_tokens), dollars)


def _dollars(section: ApiModelParams, n_questions: int, n_tokens: float) -> float | None:
    of_answer = next((section.parameters[key] for key in LIMITS if key in section.parameters), OUTPUT_TOKENS)
    prices = section.dollars_per_million_input_tokens, section.dollars_per_million_output_tokens
    if prices[0] is None or prices[1] is None:
        return None
    return (n_tokens * prices[0] + n_questions * of_answer * prices[1]) / 1e6


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
    other_speeds: "Speeds | None" = None
    """The same with weights of `other_dtype`."""

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
        works[-2:-2] = RoughPlanner(params, found).works(rough_device(params))
        return Plan(tuple(works), found, asked, None, None, None)
    planner = Planner(params, found)
    where = chosen_device(params.llm.dtype, name=device, memory=memory, tflops=tflops)
    speeds = other_speeds = None
    if where.name == CPU and tflops is None:
        speeds = planner.speeds(params.llm.dtype)
        other_speeds = planner.speeds(other_dtype(params)) if params.llm.quantization == "none" else None
    works[-2:-2] = planner.works(where, speeds)  # before `evaluate` and `report`
    return Plan(tuple(works), found, asked, planner, where, speeds, other_speeds)


def other_dtype(params: Params) -> str:
    """The type of weights that a CPU may be faster with than with `llm.dtype`."""
    return "bfloat16" if params.llm.dtype == "float32" else "float32"


def runs_model(params: Params) -> bool:
    """Whether a stage of this configuration uses the model of section `llm`."""
    grid = params.grid
    return bool(grid.recipes or grid.icl_models or params.memory.domains or params.efficiency.configurations)


if __name__ == "__main__":
    from benchmark.methods.configuration import load_config

    print(json.dumps(foretold(load_config(), tries=False).expected))
