"""Memory and throughput of tuning and scoring, measured in a process of its own under a hard memory limit.

Usage: python -m tallrec.efficiency SETTINGS.json   (prints one JSON object; exit code 0 also where it does not fit)
"""

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

DOES_NOT_FIT = "does not fit"


def measure(settings: dict[str, Any]) -> dict[str, Any]:
    """Tune and score as `settings` say and return what it took.

    Args:
        settings: `base`, `start` (folders), `loading`, `lora`, `schedule`, `scoring` (fields of the classes of that
            name), `loss`, `prompts` and `answers` (texts), `memory_limit_bytes`.

    Returns:
        `peak_memory_bytes` (device memory on a GPU, resident memory on a CPU), `tokens_per_second` and
        `samples_per_second` of tuning, `scored_samples_per_second`, `device`.
    """
    import torch

    from tallrec.encoding import encode_prompts, encode_row
    from tallrec.language_model import Loading, Lora, load_base, trainable_adapter
    from tallrec.logits import last_logits
    from tallrec.training import Schedule, fit

    on_gpu = torch.cuda.is_available()
    limit = settings["memory_limit_bytes"]
    if on_gpu:
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, limit / total))
    else:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    model, tokenizer = load_base(Path(settings["base"]), Loading(**settings["loading"]))
    adapted = trainable_adapter(model, Path(settings["start"]), Lora(**settings["lora"]), seed=0)
    max_length = settings["scoring"]["max_length"]
    rows = [
        encode_row(tokenizer, prompt, answer, loss=settings["loss"], max_length=max_length)
        for prompt, answer in zip(settings["prompts"], settings["answers"], strict=True)
    ]
    schedule = Schedule(**settings["schedule"])
    start = time.perf_counter()
    fit(adapted, rows, schedule, Path(settings["scratch"]))
    tuned = time.perf_counter()
    prompts = [ids[-max_length:] for ids in encode_prompts(tokenizer, settings["prompts"])]
    last_logits(adapted, prompts, settings["scoring"]["batch_tokens"])
    scored = time.perf_counter()
    n_rows = schedule.n_updates * min(schedule.batch_size, len(rows))
    mean_tokens = sum(len(row["input_ids"]) for row in rows) / len(rows)
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "status": "ok",
        "peak_memory_bytes": torch.cuda.max_memory_reserved() if on_gpu else resident,
        "samples_per_second": n_rows / (tuned - start),
        "tokens_per_second": n_rows * mean_tokens / (tuned - start),
        "scored_samples_per_second": len(prompts) / (scored - tuned),
        "device": torch.cuda.get_device_name() if on_gpu else "CPU",
    }


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error is the memory limit speaking."""
    return isinstance(error, MemoryError) or any(
        text in str(error) for text in ("out of memory", "can't allocate memory", "Cannot allocate memory")
    )


def main() -> int:
    """Measure what the settings file says."""
    settings = json.loads(Path(sys.argv[1]).read_text())
    try:
        measured = measure(settings)
    except (MemoryError, RuntimeError, OSError, ImportError) as error:
        if not is_out_of_memory(error):
            raise
        measured = {"status": DOES_NOT_FIT}
    finally:
        # To say how it went needs memory too.
        hard_limit = resource.getrlimit(resource.RLIMIT_DATA)[1]
        resource.setrlimit(resource.RLIMIT_DATA, (hard_limit, hard_limit))
    print(json.dumps(measured))
    return 0


if __name__ == "__main__":
    sys.exit(main())
