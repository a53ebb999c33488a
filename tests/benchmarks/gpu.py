"""What needs a GPU: memory under a limit, utilisation, and the released procedures against ours, at LLaMA-7B's shape.

The weights are random, since memory and time do not depend on them; the prompts are real movie rows.

- `memory`: tuning steps in 8 bits, 4 bits and half precision under the limit, by `tallrec.cost.measuring`, with the
  peaks that `tallrec.cost.simulation` foretells beside them, and the utilisation.
- `tuning`: one K = 64 cell. `released` is the Trainer in 8 bits with checkpointing and all logits in validation, `ours`
  is `tallrec.training.tuning.rec_tune` in half precision. Updates and a validation are timed apart, and the cell of 200
  updates and 20 validations is extrapolated from them.
- `scoring`: test samples; `released` decodes up to 128 tokens.

Each is measured in a process of its own, and the rows are written as JSON.

Usage: make gpu      (TALLREC_BENCH_MIRROR names the real files; the rows are written to docs/gpu.json)
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from released_llm import SCORING, in_a_process_of_its_own, movie_task, released_scores, released_tuning
from released_llm import tokenizer_of_titles as new_tokenizer
from transformers import AutoTokenizer

from benchmark.planning.devices import utilisation
from benchmark.stages.efficiency import GIVE_BACK_FREED_MEMORY
from tallrec.models.adapters import Lora, trainable_adapter, write_fresh_start
from tallrec.models.architecture import config_of
from tallrec.models.loading import load_base
from tallrec.models.loading_settings import Loading
from tallrec.models.origin import RANDOM, write_origin
from tallrec.prompts.chat import question_of
from tallrec.prompts.layouts import ANSWER_TEXTS
from tallrec.scoring.samples import encode_samples, score_samples
from tallrec.training.schedule import Schedule
from tallrec.training.tuning import rec_tune

LLAMA_7B = Path(__file__).parents[2] / "benchmark" / "planning" / "architectures" / "llama-7b"
LORA = Lora(rank=8, alpha=16, dropout=0.05, target_modules=("q_proj", "v_proj"))
N_UPDATES, N_VALIDATIONS = 200, 20
"""Of a released cell at K = 64."""
RELEASED = ("float16", "8bit")
HALF = "bfloat16" if torch.cuda.is_available() else "float32"
MEMORY = (
    # name, type, quantization, micro-batch, checkpointing, under the limit
    ("8bit", "float16", "8bit", 32, True, True),
    ("4bit", HALF, "4bit", 32, True, True),
    ("half", HALF, "none", 32, True, True),
    ("half, no checkpointing", HALF, "none", 8, False, True),
    ("half, no checkpointing, no limit", HALF, "none", 16, False, False),
)


def write_base(folder: Path, architecture: Path) -> None:
    """Write a model of random weights to `folder`/base, and fresh LoRA weights to `folder`/start."""
    (folder / "base").mkdir()
    config_of(str(architecture)).save_pretrained(folder / "base")
    new_tokenizer().save_pretrained(folder / "base")
    write_origin(folder / "base", str(architecture), None, {}, RANDOM)
    write_fresh_start(folder / "start")


def memory_row(folder: Path, case: tuple[Any, ...], memory_gb: float, n_updates: int) -> dict[str, Any]:
    """What `tallrec.cost.measuring` measures of one case."""
    name, dtype, quantization, micro_batch_size, checkpointing, is_limited = case
    task, _ = movie_task(64, 1)
    tokenizer = AutoTokenizer.from_pretrained(folder / "base")
    schedule = Schedule(n_updates + 1, 64, micro_batch_size, 1e-4, 0, 0, gradient_checkpointing=checkpointing)
    settings = {
        "base": str(folder / "base"),
        "start": str(folder / "start"),
        "scratch": str(folder / "scratch"),
        "loading": asdict(Loading(dtype, quantization, torch.get_num_threads())),
        "lora": asdict(LORA),
        "schedule": asdict(schedule),
        "scoring": asdict(SCORING),
        "loss": "answer",
        "n_tokens": None,
        "prompts": [
            question_of(tokenizer, "released", one.sample, task.items, stray_comment=True).text for one in task.train
        ],
        "answers": [ANSWER_TEXTS[one.liked] for one in task.train],
        "memory_limit_bytes": int((memory_gb if is_limited else 1024) * 2**30),
    }
    file = folder / "settings.json"
    file.write_text(json.dumps(settings))
    command = [sys.executable, "-m", "tallrec.cost.measuring", str(file)]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=False, env={**os.environ, **GIVE_BACK_FREED_MEMORY}
    )
    measured = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else {"status": "failed"}
    limit = memory_gb if is_limited else None
    return {
        "what": "memory",
        "name": name,
        "micro_batch_size": micro_batch_size,
        "limit_gb": limit,
        **measured,
        "utilisation": utilisation(measured),
    }


def _loading(procedure: str) -> Loading:
    dtype, quantization = RELEASED if procedure == "released" else (HALF, "none")
    return Loading(dtype, quantization, torch.get_num_threads())


def tune(folder: Path, procedure: str, n_updates: int, n_valid: int) -> dict[str, float]:
    """Seconds of an update and of a validation of 1000 rows."""
    task, _ = movie_task(64, n_valid)
    model, tokenizer = load_base(folder / "base", _loading(procedure))
    adapted = trainable_adapter(model, folder / "start", LORA, seed=0)
    few = replace(task, valid=_with_both_labels(task.valid))
    tokens = encode_samples(tokenizer, [task.train[0].sample], task.items, SCORING).tokens

    def timed(this: Any, updates: int) -> float:
        # The validation comes last, once; what a run without its rows takes is that of the updates.
        schedule = Schedule(updates, 64, 32, 1e-4, 0, 0, eval_every=updates, patience=10, keep_best=True)
        start = time.perf_counter()
        if procedure == "released":
            released_tuning(adapted, tokenizer, this, schedule, tokens, "all_tokens", folder / "scratch")
        else:
            rec_tune(
                adapted,
                tokenizer,
                this,
                schedule,
                SCORING,
                folder / "scratch",
                loss="all_tokens",
                max_valid_samples=None,
            )
        return time.perf_counter() - start

    timed(few, 1)
    short, long = timed(few, 1), timed(few, 1 + n_updates)
    whole = timed(task, 1)
    return {"update_seconds": (long - short) / n_updates, "validation_seconds": (whole - short) * 1000 / n_valid}


def _with_both_labels(rows: Any) -> Any:
    return tuple(next(row for row in rows if row.liked is liked) for liked in (True, False))


def score(folder: Path, procedure: str, n_rows: int) -> dict[str, float]:
    """Samples a second."""
    task, _ = movie_task(64, 1)
    samples = task.test[:n_rows]
    dtype = _loading("ours")
    model, tokenizer = load_base(folder / "base", dtype)
    score_samples(model, tokenizer, samples[:32], task.items, SCORING)
    start = time.perf_counter()
    if procedure == "released":
        tokens = encode_samples(tokenizer, samples[:1], task.items, SCORING).tokens
        prompts = [
            question_of(tokenizer, "released", sample, task.items, stray_comment=True).text for sample in samples
        ]
        released_scores(model, tokenizer, prompts, tokens)
    else:
        score_samples(model, tokenizer, samples, task.items, SCORING)
    return {"samples_per_second": len(samples) / (time.perf_counter() - start)}


def compare(folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """All rows."""
    write_base(folder, options.architecture)
    common = {
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU",
        "architecture": options.architecture.name,
        "versions": {name: version(name) for name in ("torch", "transformers", "peft", "bitsandbytes")},
    }
    rows = [memory_row(folder, case, options.memory_gb, options.updates) for case in MEMORY]
    for what, arguments in (("tuning", (options.updates, options.valid)), ("scoring", (options.rows,))):
        for procedure in ("released", "ours"):
            found = in_a_process_of_its_own(__file__, "--run", what, procedure, folder, *arguments)
            if what == "tuning":
                seconds = N_UPDATES * found["update_seconds"] + N_VALIDATIONS * found["validation_seconds"]
                found["cell_seconds_extrapolated"] = seconds
            rows.append({"what": what, "name": procedure, **found})
    return [{**row, **common} for row in rows]


def main() -> int:
    """Measure one thing, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/gpu.json"))
    parser.add_argument("--architecture", type=Path, default=LLAMA_7B, help="a folder with config.json")
    parser.add_argument("--memory-gb", type=float, default=24)
    parser.add_argument("--updates", type=int, default=5)
    parser.add_argument("--valid", type=int, default=200, help="validation rows that are timed")
    parser.add_argument("--rows", type=int, default=1000, help="samples that are scored")
    parser.add_argument("--run", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        what, procedure, folder, *counts = options.run
        work = tune if what == "tuning" else score
        print(json.dumps(work(Path(folder), procedure, *map(int, counts))))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        rows = compare(Path(folder), options)
    options.out.write_text(json.dumps(rows, indent=2) + "\n")
    for row in rows:
        print({key: value for key, value in row.items() if key != "versions"})
    return 0


if __name__ == "__main__":
    sys.exit(main())
