"""Time and memory of one K = 64 tuning cell with its validations: the released Trainer and TRL against ours, one core.

All start from a tiny LLaMA that has learned to answer, run the same updates on the same 64 real movie rows (rank 8 on
q and v, dropout 0, so that no random number enters) and validate on the same 1000 rows every 10 updates, each in a process of its own:

- `released`: transformers' Trainer with gradient checkpointing, rows padded to the longest, and a validation that
  computes the logits of every position, as finetune_rec.py;
- `trl`: SFTTrainer without checkpointing, in float32. Its own evaluation gives the loss of the validation rows and no
  AUC: to read logits, it would run every batch twice. Packing needs a flash attention, which a CPU does not have;
- `trl-labelled`: the same, with its output layer told to skip positions without a label, as it does on a GPU alone;
- `ours`: `tallrec.tuning.rec_tune`.

The released cell has 200 updates; here there are 20, for all. Exit code 1: a loss or an AUC differs, a ratio is below
its claim, or ours takes more memory than the released procedure.

Usage: OMP_NUM_THREADS=1 TALLREC_BENCH_MIRROR=... python tests/benchmarks/benchmark_tuning.py [--loss all_tokens]
"""

import argparse
import sys
import tempfile
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

from tallrec.language_model import Lora, trainable_adapter
from tallrec.scoring import encode_samples, score_samples
from tallrec.training import Schedule
from tallrec.tuning import rec_tune

CLAIMS = {"released": 3.0, "trl": 1.2}
"""Times that ours is faster."""
PROCEDURES = ("released", "trl", "trl-labelled", "ours")
LORA = Lora(rank=8, alpha=16, dropout=0.0, target_modules=("q_proj", "v_proj"))


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
        eval_strategy="steps",
        eval_steps=every,
        save_strategy="steps",
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


def run(procedure: str, folder: Path, loss: str, n_updates: int, n_valid: int) -> None:
    """Tune one cell with one procedure."""
    task, _ = movie_task(64, n_valid)
    model, tokenizer = load(folder, "tuned")
    adapted = trainable_adapter(model, folder / "start", LORA, seed=0)
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


def compare(folder: Path, loss: str, n_updates: int, n_valid: int) -> int:
    """Run all and print a table."""
    write_models(folder)
    options = ("--loss", loss, "--updates", n_updates, "--valid", n_valid)
    results = {name: in_a_process_of_its_own(__file__, "--run", name, folder, *options) for name in PROCEDURES}
    ours = results["ours"]
    print(f"K = 64, loss on {loss}, {n_updates} updates, a validation on {n_valid} rows every 10")
    failures: list[str] = []
    losses = [entry["loss"] for entry in ours["log"] if "loss" in entry]
    aucs = [entry["eval_auc"] for entry in ours["log"] if "eval_auc" in entry]
    for name, result in results.items():
        print(row(name, result), end="")
        if name == "ours":
            print()
            continue
        ratio = result["processor_seconds"] / ours["processor_seconds"]
        print(f"   ours {ratio:.1f} times faster")
        theirs = [entry["loss"] for entry in result["log"] if "loss" in entry]
        if any(abs(one - other) > 0.002 for one, other in zip(losses, theirs, strict=True)):
            failures.append(f"{name}: losses {theirs}, ours {losses}")
        found = [entry["eval_auc"] for entry in result["log"] if "eval_auc" in entry] or [result["last_auc"]]
        if any(abs(one - other) > 0.01 for one, other in zip(found, aucs[-len(found) :], strict=True)):
            failures.append(f"{name}: AUCs {found}, ours {aucs}")
        if ratio < CLAIMS.get(name, 0):
            failures.append(f"{name}: {ratio:.2f} times is less than {CLAIMS[name]}")
    print(f"  mean losses {losses}, validation AUCs {aucs}")
    if ours["peak_bytes"] >= results["released"]["peak_bytes"]:
        failures.append("ours takes more memory than the released procedure")
    print("\n".join(failures))
    return 1 if failures else 0


def main() -> int:
    """Run one procedure, or compare all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loss", choices=["answer", "all_tokens"], default="answer")
    parser.add_argument("--updates", type=int, default=20)
    parser.add_argument("--valid", type=int, default=1000, help="validation rows")
    parser.add_argument("--run", nargs=2, metavar=("PROCEDURE", "FOLDER"), help="one of those compared")
    arguments = parser.parse_args()
    if arguments.run:
        procedure, folder = arguments.run
        run(procedure, Path(folder), arguments.loss, arguments.updates, arguments.valid)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        return compare(Path(folder), arguments.loss, arguments.updates, arguments.valid)


if __name__ == "__main__":
    sys.exit(main())
