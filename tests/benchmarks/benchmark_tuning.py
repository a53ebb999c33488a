"""Time and memory of one K = 64 tuning cell with its validations: the released Trainer and TRL against ours, one core.

All start from a tiny LLaMA that has learned to answer, run the same updates on the same 64 real movie rows (rank 8 on
q and v) and validate on the same 1000 rows every 10 updates, each in a process of its own:

- `released`: transformers' Trainer with gradient checkpointing, rows padded to the longest, and a validation that
  computes the logits of every position, as finetune_rec.py;
- `trl`: SFTTrainer without checkpointing, in float32. Its own evaluation gives the loss of the validation rows and no
  AUC: to read logits, it would run every batch twice. Packing needs a flash attention, which a CPU does not have;
- `trl-labelled`: the same, with its output layer told to skip positions without a label, as it does on a GPU alone;
- `ours`: `tallrec.training.tuning.rec_tune`.

Without dropout, no random number enters, and losses and AUCs must agree. With the released dropout of 0.05 each draws
its own noise, so that only time and memory are compared; ours then computes the common beginning for every row.

The released cell has 200 updates; here there are 20, for all. Exit code 1: a loss or an AUC differs, a ratio is below
its claim, or ours takes more memory than the released procedure.

Usage: OMP_NUM_THREADS=1 TALLREC_BENCH_MIRROR=... python tests/benchmarks/benchmark_tuning.py [--loss all_tokens]
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from released_llm import (
    SCORING,
    encoded_rows,
    in_a_process_of_its_own,
    load,
    measured,
    movie_task,
    released_tuning,
    row,
    write_models,
)
from sklearn.metrics import roc_auc_score

from tallrec.models.adapters import Lora, trainable_adapter
from tallrec.scoring.samples import encode_samples, score_samples
from tallrec.training.schedule import Schedule
from tallrec.training.tuning import rec_tune

CLAIMS = {"released": 3.0, "trl": 1.2, "trl-labelled": 1.2}
"""Times that ours is faster."""
REFERENCES = ("released", "trl", "trl-labelled")


def schedule(n_updates: int, every: int) -> Schedule:
    """64 rows an update in two micro-batches, and a rate at which 20 updates move the adapter."""
    return Schedule(
        n_updates=n_updates,
        batch_size=64,
        micro_batch_size=32,
        learning_rate=0.003,
        warmup_updates=2,
        seed=0,
        eval_every=every,
        patience=100,
        keep_best=True,
    )


def sft_log(model: Any, tokenizer: Any, task: Any, plan: Schedule, loss: str, scratch: Path) -> list[dict[str, float]]:
    """The log of TRL's trainer."""
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    every = plan.eval_every or 10
    arguments = SFTConfig(
        output_dir=str(scratch),
        per_device_train_batch_size=plan.micro_batch_size,
        per_device_eval_batch_size=plan.micro_batch_size,
        gradient_accumulation_steps=plan.batch_size // plan.micro_batch_size,
        max_steps=plan.n_updates,
        warmup_steps=plan.warmup_updates,
        learning_rate=plan.learning_rate,
        max_length=512,
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=True,
        train_sampling_strategy="group_by_length",
        logging_steps=every,
        eval_strategy="steps" if plan.eval_every else "no",
        eval_steps=every,
        save_strategy="steps" if plan.eval_every else "no",
        save_steps=every,
        save_total_limit=1,
        prediction_loss_only=True,
        dataloader_pin_memory=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        report_to=[],
        disable_tqdm=True,
        log_level="error",
        seed=plan.seed,
    )
    trainer = SFTTrainer(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_list(encoded_rows(tokenizer, task.train, task, loss)),
        eval_dataset=Dataset.from_list(encoded_rows(tokenizer, task.valid, task, loss)),
        processing_class=tokenizer,
    )
    trainer.train()
    return trainer.state.log_history


def run(procedure: str, folder: Path, loss: str, n_updates: int, n_valid: int, dropout: float) -> None:
    """Tune one cell with one procedure."""
    task, _ = movie_task(64, n_valid)
    model, tokenizer = load(folder, "tuned")
    lora = Lora(rank=8, alpha=16, dropout=dropout, target_modules=("q_proj", "v_proj"))
    adapted = trainable_adapter(model, folder / "start", lora, seed=0)
    plan, scratch = schedule(n_updates, min(10, n_updates)), folder / "scratch" / procedure
    samples = [labelled.sample for labelled in task.valid]

    def tune() -> dict[str, Any]:
        if procedure == "ours":
            tuned = rec_tune(adapted, tokenizer, task, plan, SCORING, scratch, loss=loss, max_valid_samples=None)
            return {"log": tuned.log}
        if procedure == "released":
            tokens = encode_samples(tokenizer, samples[:1], task.items, SCORING).tokens
            return {"log": released_tuning(adapted, tokenizer, task, plan, tokens, loss, scratch)}
        if procedure == "trl-labelled":
            import trl.trainer.utils

            trl.trainer.utils._use_triton = lambda device: True  # decides there which positions are computed
        return {"log": sft_log(adapted, tokenizer, task, plan, loss, scratch)}

    def last_auc() -> float:
        predictions = score_samples(adapted, tokenizer, samples, task.items, SCORING)
        return float(roc_auc_score([one.liked for one in task.valid], [one.score for one in predictions]))

    # The Trainer ends with the best adapter and TRL with the last; the curve has both of their AUCs.
    measured(tune, lambda: {"last_auc": last_auc()} if procedure.startswith("trl") else {})


def compare(folder: Path, options: argparse.Namespace) -> int:
    """Run all and print a table."""
    write_models(folder)
    shared = [
        f"--{name}={value}" for name, value in vars(options).items() if name in {"loss", "updates", "valid", "dropout"}
    ]
    results = {
        name: in_a_process_of_its_own(__file__, "--run", name, folder, *shared) for name in [*options.against, "ours"]
    }
    ours = results["ours"]
    losses, aucs = curve(ours, "loss"), curve(ours, "eval_auc")
    print(f"K = 64: {' '.join(shared)}, a validation every 10 updates")
    failures: list[str] = []
    for name, result in results.items():
        ratio = result["processor_seconds"] / ours["processor_seconds"]
        print(row(name, result) + (f"   ours {ratio:.1f} times faster" if name != "ours" else ""))
        found = curve(result, "eval_auc") or [result.get("last_auc", aucs[-1])]
        if options.dropout == 0 and differ(curve(result, "loss"), losses, 0.002):
            failures.append(f"{name}: losses {curve(result, 'loss')}, ours {losses}")
        if options.dropout == 0 and differ(found, aucs[-len(found) :], 0.01):
            failures.append(f"{name}: AUCs {found}, ours {aucs}")
        if ratio < CLAIMS.get(name, 0) and not options.results_only:
            failures.append(f"{name}: {ratio:.2f} times is less than {CLAIMS[name]}")
        if name == "released" and ours["peak_bytes"] >= result["peak_bytes"] and not options.results_only:
            failures.append("ours takes more memory than the released procedure")
    print(f"  mean losses {losses}, validation AUCs {aucs}")
    print("\n".join(failures))
    return 1 if failures else 0


def curve(result: dict[str, Any], key: str) -> list[float]:
    """The values of `key` in a log."""
    return [entry[key] for entry in result["log"] if key in entry]


def differ(one: Sequence[float], other: Sequence[float], tolerance: float) -> bool:
    """Whether two curves differ anywhere by more than `tolerance`."""
    return any(abs(left - right) > tolerance for left, right in zip(one, other, strict=True))


def main() -> int:
    """Run one procedure, or compare all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loss", choices=["answer", "all_tokens"], default="answer")
    parser.add_argument("--updates", type=int, default=20)
    parser.add_argument("--valid", type=int, default=1000, help="validation rows")
    parser.add_argument("--dropout", type=float, default=0.0, help="of the adapter")
    parser.add_argument("--against", nargs="+", choices=REFERENCES, default=REFERENCES)
    parser.add_argument("--results-only", action="store_true", help="do not judge time and memory, as in a short run")
    parser.add_argument("--run", nargs=2, metavar=("PROCEDURE", "FOLDER"), help="one of those compared")
    options = parser.parse_args()
    if options.run:
        procedure, folder = options.run
        run(procedure, Path(folder), options.loss, options.updates, options.valid, options.dropout)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        return compare(Path(folder), options)


if __name__ == "__main__":
    sys.exit(main())
