"""The plan of a run on the screen: cells, stages, memory, time, questions and money, and how each is known."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmark.config.params import Params
from benchmark.config.values import Problem
from benchmark.methods.grid import cells
from benchmark.methods.pinning import is_gguf
from benchmark.planning.devices import CPU, TERA, Device
from benchmark.planning.foretold import Plan, Questions, foretold, other_dtype, runs_model
from benchmark.planning.plan import Planner
from benchmark.planning.rough import rough_device, times_float32
from benchmark.progress import spoken

GB = 2**30
WORTH_A_WORD = 1.25
"""Times as fast with another type of weights."""


def cells_line(params: Params) -> str:
    """How many cells the grid has, by family."""
    # The size of a training split names cells and does not change how many there are.
    families = Counter(cell.family for cell in cells(params, dict.fromkeys(params.grid.domains, 0)))
    told = ", ".join(f"{n:,} {family}" for family, n in families.items())
    return f"{families.total():,} cells: {told}"


def in_short(params: Params, unpinned: Sequence[Problem]) -> Iterator[str]:
    """Cells, time, and the command that comes next; nothing is measured and no address is asked.

    Args:
        params: the configuration.
        unpinned: what of the Hub it names without a commit, as `merge_presets` returns it.
    """
    yield cells_line(params)
    if unpinned:
        yield "next: tallrec-bench pin"
        return
    plan = foretold(params, tries=False)
    is_here = rough_device(params).name == CPU or not runs_model(params)
    where = "here if idle, perhaps half or twice that" if is_here else "on a card as the paper's, tested by no run"
    yield f"about {spoken(plan.seconds)} {where} (estimated; `tallrec-bench plan` measures this machine)"
    if is_here and runs_model(params) and (share := times_float32(params.llm.dtype)) < 1 / WORTH_A_WORD:
        yield (
            f"llm.dtype: this processor multiplies {params.llm.dtype} about {1 / share:.0f} times as slowly as "
            "float32; add the preset float32, which moves scores by rounding"
        )
    yield from map(_asked, plan.questions)
    loads = params.llm.model != "tiny" and not is_gguf(params.llm.model) and not Path(params.llm.model).is_dir()
    yield f"next: {'HF_HUB_OFFLINE=0 ' if loads and runs_model(params) else ''}make repro"


def show(params: Params, plan: Plan) -> None:
    """Print a plan."""
    console = Console(soft_wrap=True)
    table = Table("stage", "processes", "cells", "peak GB", "time", show_footer=True, box=None)
    table.columns[0].footer, table.columns[4].footer = "all", spoken(plan.seconds)
    table.columns[1].footer = str(sum(work.n_processes for work in plan.works))
    for column in table.columns[1:]:
        column.justify = "right"
    for work in plan.works:
        peak = f"{work.peak_bytes / GB:.2f}" if work.peak_bytes else ""
        if plan.device and not work.fits(plan.device):
            peak += " does not fit"
        table.add_row(
            work.stage, str(work.n_processes), f"{work.n_cells:,}" if work.n_cells else "", peak, spoken(work.seconds)
        )
    console.print(table)
    for line in (cells_line(params), *_remarks(params, plan)):
        console.print(line, markup=False, highlight=False)


def _remarks(params: Params, plan: Plan) -> Iterator[str]:
    found = plan.sizes
    if plan.planner and plan.device:
        yield from _of_model(params, plan, plan.planner, plan.device)
    if found.assumed:
        yield f"rows of {' and '.join(found.assumed)}: estimated, as in the released data, which are not at hand"
    else:
        yield "rows: of this configuration"
    for one in plan.questions:
        yield _asked(one)
    yield "time is for one process after the other on an idle machine, without early stopping and downloads"


def _asked(one: Questions) -> str:
    money = "price not known" if one.dollars is None else f"about {one.dollars:,.2f} dollars"
    return (
        f"{one.model}: {one.n_questions:,} questions, about {one.n_input_tokens:,} tokens, {money}; none is paid twice"
    )


def _of_model(params: Params, plan: Plan, planner: Planner, where: Device) -> Iterator[str]:
    tune, found = params.tune, plan.sizes
    yield f"device: {where.name}, {where.memory_bytes / GB:.1f} GB"
    if plan.speeds:
        scoring, tuning = plan.speeds.scoring / TERA, plan.speeds.tuning / TERA
        speed = f"{scoring:.3f} TFLOP/s while scoring and {tuning:.3f} while tuning"
        yield f"speed: measured here in {params.llm.dtype}, {speed}"
        if plan.other_speeds and plan.other_speeds.tuning > WORTH_A_WORD * plan.speeds.tuning:
            ratio = plan.other_speeds.tuning / plan.speeds.tuning
            yield f"llm.dtype: {other_dtype(params)} tunes {ratio:.1f} times as fast here; its scores are not the same"
    else:
        known = "measured here" if where.is_measured else "assumed; stage `efficiency` measures it"
        yield f"speed: estimated, {where.utilisation:.0%} ({known}) of {where.flops_per_second / TERA:.2f} TFLOP/s"
    batch_size = max(1, tune.batch_size // tune.n_processes)
    largest = planner.largest_micro_batch(where.memory_bytes, at_most=batch_size)
    asked = min(tune.micro_batch_size, batch_size)
    fits = f"{asked}; the largest that fits: {largest}" if largest else "not even one row fits"
    yield f"tune.micro_batch_size: {fits}"
    if tune.n_processes > 1:
        weights = "share the weights" if tune.sharded else "each hold the weights"
        yield f"tune.n_processes: {tune.n_processes} such devices a cell, which {weights}; what they send comes on top"
    lengths = ", ".join(f"{domain} {found.tokens_of(domain)}" for domain in found.n_valid)
    known = "measured" if found.prompts.are_measured else "estimated"
    yield f"tokens of a long prompt: {lengths} ({known})"
