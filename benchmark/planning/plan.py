"""What the language model of a run will cost: memory and time of the stages that use it.

Memory and operations come from `tallrec.cost.simulation`, which needs the architecture and no weight; the time from the
operations and from what a few layers of the architecture reach on this machine.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING, Any

from benchmark.config.params import InstructParams, Params, TuneParams
from benchmark.methods import language_models, tuning
from benchmark.methods.language_model_cells import icl_cells, probe_cells
from benchmark.methods.pinning import is_gguf
from benchmark.planning.devices import CPU, Device
from benchmark.planning.model import architecture, shape_of
from benchmark.planning.sizes import Sizes
from benchmark.schema import domain_of

if TYPE_CHECKING:
    from tallrec.cost.trial import Speeds

RUNTIME_BYTES = 600 * 2**20
"""CUDA context or torch with its companions on a CPU: held before the first weight is loaded."""
START_SECONDS = 2.0
"""A process that `tallrec-bench repro` forks from one with its imports done, and DVC around it.

With a GPU nothing is forked and it is 7 s, which are little there.
"""
INSTRUCTION_TOKENS = {"embedded": (130, 3), "alpaca-demo": (200, 148)}
"""Of a row of instruction tuning on average, and of its answer, by `instruct.data`; in Gemma 3's."""
ALPACA_TOKENS = 130, 60
"""The same of other data: assumed, for rows like those of Alpaca."""
MEMORY_TOKENS = 100
"""Of a question of stage `memorised`: five lines, or ten ratings."""
UNPACKED_A_SECOND = 2**25
"""Bytes of weights in single precision that stage `base` makes of a GGUF file in a second."""


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

    def flops_a_sample(
        self, domain: str, style: str = "released", n_demonstrations: int = 0, *, of_tuned: bool
    ) -> float:
        """Operations of scoring one sample of `domain`, without those that a batch shares."""
        n_rows = self.rows_a_batch(domain)
        of_whole = self.scoring(of_tuned=of_tuned, domain=domain).flops / n_rows / self.sizes.tokens_of(domain)
        prompts = self.sizes.prompts.of(domain, style, n_demonstrations)
        rows_a_batch = max(1, self.params.score.batch_tokens // prompts.longest)
        return of_whole * prompts.computed(rows_a_batch, of_all=True)

    def flops_a_row(self, domain: str, n_rows: int) -> float:
        """Operations of tuning on one row of `domain` in micro-batches of `n_rows`, forward and backward."""
        prompts, of_whole = self.sizes.prompts.of(domain), self.tuning(n_rows, domain).flops / n_rows
        computed = prompts.computed(n_rows, shares_beginning=self.params.lora.dropout == 0)
        return of_whole * computed / self.sizes.tokens_of(domain)

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

    def speeds(self, dtype: str) -> "Speeds":
        """What a few layers of the model reach on this machine, in batches as they will be.

        Args:
            dtype: of the weights, as `llm.dtype` names it.
        """
        from tallrec.cost.trial import measured_speeds

        return measured_speeds(
            self.config,
            replace(self.loading, dtype=dtype),
            replace(language_models.loading(self.params, to_score=True), dtype=dtype),
            self.lora,
            n_rows_tuned=min(self.params.tune.micro_batch_size, self.params.tune.batch_size),
            n_rows_scored=self.rows_a_batch(),
            n_tokens=self.sizes.tokens_of(),
            loss=self.params.fidelity.loss,
        )

    def works(self, device: Device, speeds: "Speeds | None" = None) -> Iterator[Work]:
        """The stages that run the language model, in the order of the pipeline.

        Args:
            device: where.
            speeds: what scoring and tuning reach there; None: the share of its peak that is assumed or was measured.
        """
        scored = tuned = device.flops_per_second * device.utilisation
        if speeds is not None:
            scored, tuned = speeds.scoring, speeds.tuning
        yield from self._base(tuned)
        yield from self._instruct(tuned)
        yield from self._tune(device, scored, tuned)
        yield from self._probe(scored)
        yield from self._in_context(scored)
        yield from self._memorised(scored)
        yield from self._efficiency(tuned)

    def _base(self, speed: float) -> Iterator[Work]:
        seconds, base = START_SECONDS, self.params.base
        if self.params.llm.model == "tiny":
            n_tokens = base.n_updates * base.batch_size * base.sequence_length
            # Two operations a weight forward, four backward. In double precision, which takes about as much longer as
            # the second thread saves.
            seconds += 6 * shape_of(self.params).n_weights * n_tokens / speed
        elif is_gguf(self.params.llm.model):
            seconds += 4 * shape_of(self.params).n_weights / UNPACKED_A_SECOND
        yield Work("base", 1, 0, self.scoring(of_tuned=True).peak_bytes + RUNTIME_BYTES, seconds)

    def _instruct(self, speed: float) -> Iterator[Work]:
        params, instruct = self.params, self.params.instruct
        if "tallrec" not in params.grid.recipes and "alpaca" not in params.grid.icl_models:
            return
        micro = min(instruct.micro_batch_size, instruct.batch_size)
        step = self.instructing(micro)
        n_tokens, n_answered = INSTRUCTION_TOKENS.get(instruct.data, ALPACA_TOKENS)
        a_row = step.flops / micro * min(1.0, n_tokens / self.sizes.tokens_of())
        if instruct.loss == "answer":  # which the step takes for one word
            a_row += 4 * shape_of(params).in_output * n_answered
        flops = a_row * instruct.batch_size * instruct.n_updates
        seconds = START_SECONDS + (0.0 if instruct.adapter else flops / speed)
        yield Work("instruct", 1, 0, step.peak_bytes + RUNTIME_BYTES, seconds)

    def _tune(self, device: Device, scoring: float, speed: float) -> Iterator[Work]:
        grid, tune = self.params.grid, self.params.tune
        shots = [
            (grid.domains if train == "both" else (train,), n_shots)
            for train in grid.train_domains
            for n_shots in grid.n_shots
        ]
        n_variants = len(grid.recipes) * len(grid.seeds)
        if not shots or not n_variants:
            return
        peak, total = self.validating().peak_bytes, 0.0
        n_devices = 1 if device.name == CPU else tune.n_processes  # processes on a CPU share its cores
        for train_domains, n_shots in shots:
            n_rows = n_shots * len(train_domains)
            n_updates, batch = tuning.n_updates(tune, n_rows), min(tune.batch_size, n_rows)
            micro = min(tune.micro_batch_size, batch // tune.n_processes)
            peak = max(peak, self.tuning(micro).peak_bytes)
            seconds = fmean(self.flops_a_row(domain, micro) for domain in train_domains) * batch * n_updates / speed
            validated = train_domains[0]
            n_validated = n_updates // tune.eval_every * self.sizes.n_valid[validated]
            seconds += n_validated * self.flops_a_sample(validated, of_tuned=True) / scoring
            total += n_variants * (START_SECONDS + seconds / n_devices)
        n_cells = n_variants * len(shots)
        yield Work("tune", n_cells, n_cells, peak + RUNTIME_BYTES, total)
        tested = self.sizes.n_test.items()
        flops = n_cells * sum(n * self.flops_a_sample(domain_of(name), of_tuned=True) for name, n in tested)
        yield self._scored("score", len(grid.recipes) * len(grid.train_domains), n_cells * len(tested), flops / scoring)

    def _scored(self, stage: str, n_processes: int, n_cells: int, seconds: float, *, of_tuned: bool = True) -> Work:
        peak = self.scoring(of_tuned=of_tuned).peak_bytes + RUNTIME_BYTES
        return Work(stage, n_processes, n_cells, peak, START_SECONDS * n_processes + seconds)

    def _probe(self, speed: float) -> Iterator[Work]:
        variants, n_inputs = self.params.probe.variants, len(self.params.probe.inputs)
        cells = [cell for variant in variants for cell in probe_cells(self.params, variant)]
        if cells and n_inputs:
            asked = (
                self.sizes.n_test[cell.test_domain] * self.flops_a_sample(cell.test_domain, of_tuned=True)
                for cell in cells
            )
            yield self._scored("probe", len(variants), n_inputs * len(cells), n_inputs * sum(asked) / speed)

    def _in_context(self, speed: float) -> Iterator[Work]:
        grid = self.params.grid
        flops, n_cells = 0.0, 0
        for model in grid.icl_models:
            for prompt in grid.prompts:
                for domain in grid.domains:
                    for cell in icl_cells(self.params, model, prompt, domain):
                        a_sample = self.flops_a_sample(domain, prompt, cell.n_shots, of_tuned=True)
                        flops += self.sizes.n_test[cell.test_domain] * a_sample
                        n_cells += 1
        if n_cells:
            yield self._scored("icl", len(grid.icl_models) * len(grid.prompts), n_cells, flops / speed)

    def _memorised(self, speed: float) -> Iterator[Work]:
        memory = self.params.memory
        if memory.domains:
            # Two completions and a rating, each beside a control.
            n_tokens = len(memory.domains) * memory.n_prompts * 3 * 2 * MEMORY_TOKENS
            a_token = self.scoring(of_tuned=True).flops / self.rows_a_batch() / self.sizes.tokens_of()
            yield self._scored("memorised", len(memory.domains), 0, n_tokens * a_token / speed)

    def _efficiency(self, speed: float) -> Iterator[Work]:
        efficiency, batch = self.params.efficiency, self.params.tune.batch_size
        if not efficiency.configurations:
            return
        peak, total = 0, 0.0
        for one in efficiency.configurations:
            step = self._tuning(
                min(one.micro_batch_size, batch), self.params.fidelity.loss, self.params.tune
            )  # in one process
            peak = max(peak, step.peak_bytes)
            flops = step.flops / min(one.micro_batch_size, batch) * batch * efficiency.n_updates
            total += 2 * START_SECONDS + flops / speed  # a process that measures in one of its own
        n = len(efficiency.configurations)
        yield Work("efficiency", n, 0, peak + RUNTIME_BYTES, total)
