"""What a run will cost, before it runs: memory and time of the stages that use the language model.

Memory and operations come from `tallrec.cost.simulation`, which needs the architecture and no weight; the time from the
operations, the speed of the device and the share of it that is reached.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from benchmark.artifacts.paths import BASE_MODEL
from benchmark.config.params import InstructParams, Params, TuneParams
from benchmark.errors import DataError
from benchmark.methods import language_models, tuning
from benchmark.methods.grid import baseline_cells, control_cells
from benchmark.methods.pinning import is_gguf
from benchmark.planning.devices import CPU, TERA, Device, chosen_device
from benchmark.planning.sizes import Sizes, sizes
from benchmark.schema import domain_of

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

GB = 2**30
RUNTIME_BYTES = 600 * 2**20
"""CUDA context or torch with its companions on a CPU: held before the first weight is loaded."""
START_SECONDS = 7.0
"""A process that imports torch, transformers and PEFT, and DVC around it."""


@dataclass(frozen=True, slots=True)
class Work:
    """All processes of one stage."""

    stage: str
    n_processes: int
    n_cells: int
    peak_bytes: int
    """Of one process, runtime included; where several tune one adapter, of each of them."""
    seconds: float
    """Of all processes one after the other; several that tune one adapter count as one."""

    def fits(self, device: Device) -> bool:
        """Whether one process finds room."""
        return self.peak_bytes <= device.memory_bytes


def architecture(params: Params) -> "PreTrainedConfig":
    """The architecture of `llm.model`; no weight is read.

    Raises:
        DataError: it is not on this machine.
    """
    from tallrec.models.architecture import config_of
    from tallrec.tiny.shape import shape_in, tiny_config

    if is_gguf(params.llm.model):
        if not (BASE_MODEL / "config.json").exists():
            raise DataError("llm.model: what a GGUF file holds is known after `dvc repro tallrec/dvc.yaml:base`")
        return config_of(str(BASE_MODEL))
    if params.llm.model != "tiny":
        return config_of(params.llm.model, params.llm.revision)
    return tiny_config(shape_in(params.base), params.base.vocabulary_size)


class Planner:
    """Simulated steps of one configuration; each shape is simulated once."""

    def __init__(self, params: Params, found: Sizes) -> None:
        self.params = params
        self.sizes = found
        self.config = architecture(params)
        self.loading = language_models.loading(params)
        self.lora = tuning.lora(params)
        self._known: dict[tuple[Any, ...], Any] = {}

    def tuning(self, n_rows: int, domain: str | None = None) -> Any:
        """The `tallrec.cost.simulation.Step` of a micro-batch of rec-tuning, in one of its processes.

        Its prompts are those of `domain`, or of the domain with the longest.
        """
        return self._in_shards(self._tuning(n_rows, self.params.fidelity.loss, self.params.tune, domain))

    def instructing(self, n_rows: int) -> Any:
        """The `tallrec.cost.simulation.Step` of a micro-batch of instruction tuning."""
        return self._tuning(n_rows, self.params.instruct.loss, self.params.instruct)

    def validating(self) -> Any:
        """The `tallrec.cost.simulation.Step` of a batch of validation, in one of the processes of rec-tuning."""
        return self._in_shards(self.scoring(of_tuned=False))

    def _in_shards(self, step: Any) -> Any:
        from tallrec.cost.simulation import in_shards

        tune = self.params.tune
        if not tune.sharded:
            return step
        return in_shards(step, self.config, self.loading, tune.n_processes)

    def _tuning(self, n_rows: int, loss: str, stage: TuneParams | InstructParams, domain: str | None = None) -> Any:
        from tallrec.cost.simulation import simulate_tuning

        n_tokens = self.sizes.tokens_of(domain)
        return self._once(
            ("tuning", n_rows, loss, n_tokens, stage.gradient_checkpointing),
            lambda: simulate_tuning(
                self.config,
                self.loading,
                self.lora,
                n_rows=n_rows,
                n_tokens=n_tokens,
                loss=loss,
                gradient_checkpointing=stage.gradient_checkpointing,
            ),
        )

    def scoring(self, *, of_tuned: bool, domain: str | None = None) -> Any:
        """The `tallrec.cost.simulation.Step` of a batch of scoring, with tuned adapters or in context.

        Its prompts are those of `domain`, or of the domain with the longest.
        """
        from tallrec.cost.simulation import simulate_scoring

        n_rows, n_tokens = self.rows_a_batch(domain), self.sizes.tokens_of(domain)
        loading = language_models.loading(self.params, to_score=of_tuned)
        return self._once(
            ("scoring", n_rows, n_tokens, loading),
            lambda: simulate_scoring(self.config, loading, n_rows=n_rows, n_tokens=n_tokens),
        )

    def rows_a_batch(self, domain: str | None = None) -> int:
        """Rows of a batch of scoring."""
        return max(1, self.params.score.batch_tokens // self.sizes.tokens_of(domain))

    def flops_a_sample(self, domain: str, *, of_tuned: bool) -> float:
        """Operations of scoring one sample of `domain`."""
        return self.scoring(of_tuned=of_tuned, domain=domain).flops / self.rows_a_batch(domain)

    def largest_micro_batch(self, memory_bytes: int, *, at_most: int = 256) -> int:
        """Most rows that a tuning step may hold at a time; 0 where not even one fits."""
        fits, fails = 0, at_most + 1
        while fails - fits > 1:
            middle = (fits + fails) // 2
            if self.tuning(middle).peak_bytes + RUNTIME_BYTES <= memory_bytes:
                fits = middle
            else:
                fails = middle
        return fits

    def _once(self, key: tuple[Any, ...], simulate: Callable[[], Any]) -> Any:
        if key not in self._known:
            self._known[key] = simulate()
        return self._known[key]

    def works(self, device: Device) -> Iterator[Work]:
        """The stages that run the language model, in the order of the pipeline."""
        params, grid = self.params, self.params.grid
        tune = params.tune

        def seconds(flops: float) -> float:
            return flops / (device.flops_per_second * device.utilisation)

        scored = self.scoring(of_tuned=True)
        micro = min(params.instruct.micro_batch_size, params.instruct.batch_size)
        if params.instruct.adapter is None and ("tallrec" in grid.recipes or "alpaca" in grid.icl_models):
            step = self.instructing(micro)
            flops = step.flops / micro * params.instruct.batch_size * params.instruct.n_updates
            yield Work("instruct", 1, 0, step.peak_bytes + RUNTIME_BYTES, START_SECONDS + seconds(flops))
        shots = [
            (grid.domains if train == "both" else (train,), n_shots)
            for train in grid.train_domains
            for n_shots in grid.n_shots
        ]
        n_variants = len(grid.recipes) * len(grid.seeds)
        if shots and n_variants:
            validated_step = self.validating()
            peak, total = 0, 0.0
            n_devices = 1 if device.name == CPU else tune.n_processes  # processes on a CPU share its cores
            for train_domains, n_shots in shots:
                n_rows = n_shots * len(train_domains)
                n_updates, batch = tuning.n_updates(tune, n_rows), min(tune.batch_size, n_rows)
                micro = min(tune.micro_batch_size, batch // tune.n_processes)
                steps = [self.tuning(micro, domain) for domain in train_domains]
                peak = max(peak, self.tuning(micro).peak_bytes, validated_step.peak_bytes)
                validated = train_domains[0]
                flops = fmean(step.flops for step in steps) / micro * batch * n_updates
                n_validations = n_updates // tune.eval_every
                flops_a_sample = self.flops_a_sample(validated, of_tuned=True)
                flops += n_validations * self.sizes.n_valid[validated] * flops_a_sample
                total += n_variants * (START_SECONDS + seconds(flops) / n_devices)
            n_cells = n_variants * len(shots)
            yield Work("tune", n_cells, n_cells, peak + RUNTIME_BYTES, total)
            n_processes = len(grid.recipes) * len(grid.train_domains)
            tested = self.sizes.n_test.items()
            flops = n_cells * sum(n * self.flops_a_sample(domain_of(name), of_tuned=True) for name, n in tested)
            time = START_SECONDS * n_processes + seconds(flops)
            yield Work("score", n_processes, n_cells * len(tested), scored.peak_bytes + RUNTIME_BYTES, time)
        yield from self._in_context(seconds)

    def _in_context(self, seconds: Callable[[float], float]) -> Iterator[Work]:
        from benchmark.methods.language_model_cells import icl_cells

        grid = self.params.grid
        scored = self.scoring(of_tuned=True)
        local: Sequence[str] = [model for model in grid.icl_models if model in ("base", "alpaca")]
        flops, n_cells = 0.0, 0
        for model in local:
            for prompt in grid.prompts:
                for domain in grid.domains:
                    flops_a_sample = self.flops_a_sample(domain, of_tuned=False)
                    for cell in icl_cells(self.params, model, prompt, domain):
                        # A demonstration is as long as the question that it stands before.
                        flops += (1 + cell.n_shots) * self.sizes.n_test[cell.test_domain] * flops_a_sample
                        n_cells += 1
        if n_cells:
            n_processes = len(local) * len(grid.prompts)
            yield Work(
                "icl",
                n_processes,
                n_cells,
                scored.peak_bytes + RUNTIME_BYTES,
                START_SECONDS * n_processes + seconds(flops),
            )


def show(params: Params, *, memory: str, device: str, tflops: float | None, n_tokens: int | None) -> None:
    """Print memory and time of the stages that run the language model.

    Args:
        params: the configuration.
        memory: of the device, e.g. `24GB`; empty: that of this machine.
        device: a card by name; empty: this machine's.
        tflops: its dense half-precision speed; None: as listed, or measured here.
        n_tokens: of a prompt; None: measured, or `llm.max_length`.

    Raises:
        ConfigError: the device or its memory is not understood.
        DataError: the architecture of `llm.model` is not on this machine.
    """
    from rich.console import Console
    from rich.table import Table

    where = chosen_device(params.llm.dtype, name=device, memory=memory, tflops=tflops)
    planner = Planner(params, sizes(params, n_tokens))
    table = Table("language model", "cells", "processes", "peak GB", "", "hours", box=None, show_footer=True)
    total = 0.0
    for work in planner.works(where):
        total += work.seconds
        fit = "fits" if work.fits(where) else "does not fit"
        table.add_row(
            work.stage,
            str(work.n_cells),
            str(work.n_processes),
            f"{work.peak_bytes / GB:.2f}",
            fit,
            f"{work.seconds / 3600:.2f}",
        )
    table.columns[0].footer, table.columns[5].footer = "all", f"{total / 3600:.2f}"
    for column in (1, 2, 3, 5):
        table.columns[column].justify = "right"
    console = Console(soft_wrap=True)
    console.print(table)
    for line in _remarks(params, planner, where):
        console.print(line, markup=False, highlight=False)


def _remarks(params: Params, planner: "Planner", where: Device) -> Iterator[str]:
    tune = params.tune
    batch_size = max(1, tune.batch_size // tune.n_processes)
    asked = min(tune.micro_batch_size, batch_size)
    largest = planner.largest_micro_batch(where.memory_bytes, at_most=batch_size)
    yield f"device: {where.name}, {where.memory_bytes / GB:.1f} GB, {where.flops_per_second / TERA:.2f} TFLOP/s"
    if largest:
        yield f"tune.micro_batch_size: {asked}; the largest that fits: {largest}"
    else:
        yield "tune.micro_batch_size: not even one row fits"
    known = "measured here" if where.is_measured else "assumed; stage `efficiency` measures it"
    if tune.n_processes > 1:
        weights = "share the weights" if tune.sharded else "each hold the weights"
        yield f"tune.n_processes: {tune.n_processes} such devices a cell, which {weights}; what they send comes on top"
    yield f"share of the peak: {where.utilisation:.0%} ({known})"
    bound = "" if planner.sizes.tokens_are_measured else " (llm.max_length, an upper bound)"
    lengths = planner.sizes.n_tokens
    told = ", ".join(f"{domain} {n_tokens}" for domain, n_tokens in lengths.items())
    yield f"tokens of a prompt: {told if len(set(lengths.values())) > 1 else planner.sizes.tokens_of()}{bound}"
    if planner.sizes.assumed:
        domains = " and ".join(planner.sizes.assumed)
        yield f"rows of {domains}: as in the released data, until `dvc repro prepare` counts them"
    yield "time is for one process after the other, without early stopping"
    grid = params.grid
    found = [control_cells(params, domain, 0) for domain in grid.domains]
    found += [baseline_cells(params, model, domain) for model in grid.baselines for domain in grid.domains]
    n_cells = sum(len(list(cells)) for cells in found)
    yield f"controls and baselines: {n_cells} cells of {len(grid.every_seed)} seeds, minutes more"
