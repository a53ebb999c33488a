"""Memory and throughput of tuning and scoring, measured in a process of its own under a hard memory limit.

Usage: python -m tallrec.cost.measuring SETTINGS.json   (prints one JSON object; exit code 0 also where it does not fit)
"""

import gc
import json
import resource
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmark.errors import exit_code_of
from benchmark.schema import DOES_NOT_FIT
from tallrec.cost.products import now, speed_of_products

N_UNTIMED = 1
"""Updates before the clock starts: the first one loads kernels and makes the state of the optimizer."""


def measure(settings: dict[str, Any]) -> dict[str, Any]:
    """Tune and score as `settings` say and return what it took.

    Args:
        settings: `base`, `start` (folders), `loading`, `lora`, `schedule`, `scoring` (fields of the classes of that
            name), `loss`, `prompts` and `answers` (texts), `n_tokens` (cut or repeat each row to this length; None: as
            it is), `memory_limit_bytes`.

    Returns:
        `peak_memory_bytes` (allocated on a GPU, resident on a CPU), `peak_reserved_bytes` (held by the caching
        allocator of a GPU; None on a CPU), `runtime_bytes` (resident before the model; None on a GPU),
        `foretold_bytes` (of the same step, by `tallrec.cost.simulation`), `tokens_per_second` and `samples_per_second`
        of tuning, `flops_per_second` that the task asked for and `products_flops_per_second` of the device,
        `joules_per_sample` (None where the driver tells none), `scored_samples_per_second`, `device`.
    """
    import torch

    from tallrec.cost.simulation import simulate_tuning
    from tallrec.models.adapters import Lora, trainable_adapter
    from tallrec.models.architecture import refuse_few_positions
    from tallrec.models.loading import load_base
    from tallrec.models.loading_settings import Loading
    from tallrec.scoring.logits import last_logits
    from tallrec.training.fitting import fit
    from tallrec.training.rows import encode_row
    from tallrec.training.schedule import Schedule

    on_gpu = torch.cuda.is_available()
    _limit(settings["memory_limit_bytes"])
    loading, lora, schedule = (
        Loading(**settings["loading"]),
        Lora(**settings["lora"]),
        Schedule(**settings["schedule"]),
    )
    speed = speed_of_products(loading.dtype)
    runtime = resident_bytes()
    model, tokenizer = load_base(Path(settings["base"]), loading)
    refuse_few_positions(model.config, settings["n_tokens"] or 0, "n_tokens")
    adapted = trainable_adapter(model, Path(settings["start"]), lora, seed=0)
    max_length = settings["scoring"]["max_length"]
    rows = [
        _of_length(row, settings["n_tokens"])
        for prompt, answer in zip(settings["prompts"], settings["answers"], strict=True)
        for row in [encode_row(tokenizer, prompt, answer, loss=settings["loss"], max_length=max_length)]
    ]
    n_rows = min(schedule.batch_size, len(rows))
    clock = _Clock()
    fit(adapted, rows, schedule, Path(settings["scratch"]), tell=clock.tell)
    seconds, joules = clock.read()
    peak = torch.cuda.max_memory_allocated() if on_gpu else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    reserved = torch.cuda.max_memory_reserved() if on_gpu else None
    n_timed = n_rows * (schedule.n_updates - N_UNTIMED)
    mean_tokens = sum(len(row["input_ids"]) for row in rows) / len(rows)
    prompts = [ids[-max_length:] for ids in tokenizer(settings["prompts"])["input_ids"]]
    start = time.perf_counter()
    last_logits(adapted, prompts, settings["scoring"]["batch_tokens"])
    scoring_seconds = time.perf_counter() - start
    n_micro = min(schedule.micro_batch_size, n_rows)
    foretold = simulate_tuning(
        model.config,
        loading,
        lora,
        n_rows=n_micro,
        n_tokens=max(len(row["input_ids"]) for row in rows),
        loss=settings["loss"],
        gradient_checkpointing=schedule.gradient_checkpointing,
    )
    # Operations that the task asks for: those of checkpointing's second forward pass are not among them.
    needed = simulate_tuning(
        model.config,
        replace(loading, quantization="none"),
        lora,
        n_rows=1,
        n_tokens=round(mean_tokens),
        loss=settings["loss"],
        gradient_checkpointing=False,
    )
    return {
        "status": "ok",
        "peak_memory_bytes": peak,
        "peak_reserved_bytes": reserved,
        "runtime_bytes": None if on_gpu else runtime,
        "foretold_bytes": foretold.peak_bytes + (0 if on_gpu else runtime),
        "samples_per_second": n_timed / seconds,
        "tokens_per_second": n_timed * mean_tokens / seconds,
        "flops_per_second": needed.flops * n_timed / seconds,
        "products_flops_per_second": speed,
        "joules_per_sample": None if joules is None else joules / n_timed,
        "scored_samples_per_second": len(prompts) / scoring_seconds,
        "device": device_name(),
    }


class _Clock:
    """Seconds, and joules where the driver counts them, after the first updates."""

    def __init__(self) -> None:
        self.start, self.joules, self.end, self.joules_at_end = 0.0, None, 0.0, None

    def tell(self, done: int, total: int) -> None:
        """Told of each update."""
        if done == N_UNTIMED:
            self.start, self.joules = now(), _joules()
        if done == total:
            self.end, self.joules_at_end = now(), _joules()

    def read(self) -> tuple[float, float | None]:
        """Seconds and joules between the first updates and the last."""
        if self.joules is None or self.joules_at_end is None:
            return self.end - self.start, None
        return self.end - self.start, self.joules_at_end - self.joules


def _joules() -> float | None:
    """What the GPU has used since its driver was loaded; None without one or without NVML."""
    try:
        import pynvml

        pynvml.nvmlInit()
        return pynvml.nvmlDeviceGetTotalEnergyConsumption(pynvml.nvmlDeviceGetHandleByIndex(0)) / 1000
    except Exception:  # noqa: BLE001  # the library, the driver or the counter is not there: the figure is missing
        return None


def _limit(n_bytes: int) -> None:
    import torch

    if torch.cuda.is_available():
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, n_bytes / total))
    else:
        resource.setrlimit(resource.RLIMIT_DATA, (n_bytes, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def resident_bytes() -> int:
    """Memory of this process, without garbage."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _of_length(row: dict[str, list[int]], n_tokens: int | None) -> dict[str, list[int]]:
    """A row cut or repeated at its beginning, so that its answer stays."""
    if n_tokens is None:
        return row
    n_missing = max(0, n_tokens - len(row["input_ids"]))
    added = (row["input_ids"] * (1 + n_missing // len(row["input_ids"])))[:n_missing]
    labels = added if row["labels"][0] != -100 else [-100] * n_missing
    return {"input_ids": (added + row["input_ids"])[-n_tokens:], "labels": (labels + row["labels"])[-n_tokens:]}


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error is the memory limit speaking."""
    return isinstance(error, MemoryError) or any(
        text in str(error) for text in ("out of memory", "can't allocate memory", "Cannot allocate memory")
    )


def device_name() -> str:
    """Of the device that a process of this machine measures on."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"


def main() -> int:
    """Measure what the settings file says; exit code 0, or 2 with one line on stderr."""
    return exit_code_of(_main)


def _main() -> None:
    settings = json.loads(Path(sys.argv[1]).read_text())
    try:
        measured = measure(settings)
    except (MemoryError, RuntimeError, OSError, ImportError) as error:
        if not is_out_of_memory(error):
            raise
        measured = {"status": DOES_NOT_FIT, "device": device_name()}
    finally:
        # To say how it went needs memory too.
        hard_limit = resource.getrlimit(resource.RLIMIT_DATA)[1]
        resource.setrlimit(resource.RLIMIT_DATA, (hard_limit, hard_limit))
    print(json.dumps(measured))


if __name__ == "__main__":
    sys.exit(main())
