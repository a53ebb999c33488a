"""Stage `tune`: base model, start adapter and one few-shot draw -> the rec-tuning adapter of one cell.

A killed run goes on from its last checkpoint. To watch one:
dvc plots show scratch/tune/tallrec-movie/k64/seed0/curve.tsv -x step -y auc

On several GPUs: `tune.n_processes`; docs/several-gpus.md.

Usage: python -m benchmark.stages.tune --recipe tallrec --train-domain movie --n-shots 64 --seed 0
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.arguments import stage_arguments
from benchmark.artifacts.files import replacing_folder, write_json
from benchmark.artifacts.paths import STARTS, adapter_folder
from benchmark.artifacts.provenance import recorded
from benchmark.config.names import refuse_unknown
from benchmark.data.tasks import training_task
from benchmark.errors import exit_code_of
from benchmark.methods import language_models, tuning
from benchmark.methods.configuration import load_config
from benchmark.methods.launching import run_on
from benchmark.progress import progress
from benchmark.schema import Cell
from benchmark.seeding import derive_seed

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedTokenizerBase

    from tallrec.training.tuning import Tuned


def run(recipe: str, train_domain: str, n_shots: int, seed: int) -> None:
    """Rec-tune one adapter and write it with its curve; of several processes, the first one writes."""
    from tallrec.models.adapters import save_adapter, trainable_adapter
    from tallrec.models.sharding import held_bytes
    from tallrec.processes import is_first
    from tallrec.reporting import reporting
    from tallrec.telling import silent
    from tallrec.training.checkpoints import scratch_folder
    from tallrec.training.tuning import rec_tune

    params = load_config()
    refuse_unknown("grid.recipes", recipe, params.grid.recipes)
    refuse_unknown("grid.train_domains", train_domain, params.grid.train_domains)
    variant = f"{recipe}-{train_domain}"
    cell = Cell("tuned", variant, train_domain, train_domain, n_shots, seed)
    task = training_task(train_domain, n_shots, seed)
    weights_seed = seed if params.grid.weights_seed is None else params.grid.weights_seed
    settings = {
        "tune": params.tune.model_dump(mode="json"),
        "fidelity": params.fidelity.model_dump(mode="json"),
        "weights_seed": weights_seed,
    }
    scratch = Path("scratch/tune") / variant / f"k{n_shots}" / f"seed{seed}"

    def tune(adapted: "PeftModel", tokenizer: "PreTrainedTokenizerBase", tell: Callable[[int, int], object]) -> "Tuned":
        return rec_tune(
            adapted,
            tokenizer,
            task,
            tuning.tuning_schedule(params, weights_seed, n_rows=len(task.train)),
            language_models.scoring(params),
            scratch,
            loss=params.fidelity.loss,
            max_valid_samples=params.tune.max_valid_samples,
            tell=tell,
            settings=tuning.decisive(params),
            callbacks=reporting(params.tune.report_to),
        )

    def start() -> "tuple[PeftModel, PreTrainedTokenizerBase]":
        model, tokenizer = language_models.load_base(params, sharded=params.tune.sharded)
        lora = tuning.lora(params)
        seed_of_lora = derive_seed("lora", variant, n_shots, weights_seed)
        return trainable_adapter(model, STARTS / recipe, lora, seed_of_lora), tokenizer

    if not is_first():
        tune(*start(), silent)
        return
    with scratch_folder(scratch), recorded(cell, settings, root="runs/tune") as record:
        adapted, tokenizer = start()
        record.update(n_processes=params.tune.n_processes, weights_bytes=held_bytes(adapted))
        with progress(f"tune {variant} k{n_shots} seed{seed}") as tell:
            tuned = tune(adapted, tokenizer, tell)
        curve = [{"step": entry["step"], "auc": entry["eval_auc"]} for entry in tuned.log if "eval_auc" in entry]
        with replacing_folder(adapter_folder(variant, n_shots, seed)) as folder:
            save_adapter(adapted, folder)
            write_json(
                folder / "curve.json",
                {
                    "best_step": tuned.best_step,
                    "n_steps": tuned.n_steps,
                    "chance_auc": tuned.chance_auc,
                    "is_at_chance": tuned.is_at_chance,
                    "curve": curve,
                },
            )
        record.update(
            n_train=len(task.train),
            n_valid=len(task.valid),
            n_steps=tuned.n_steps,
            n_resumed=tuned.n_resumed,
            best_step=tuned.best_step,
            best_auc=tuned.best_auc,
            chance_auc=tuned.chance_auc,
            is_at_chance=tuned.is_at_chance,
        )
    best = (
        "" if tuned.best_auc is None else f", best validation AUC x100 {100 * tuned.best_auc:.2f} at {tuned.best_step}"
    )
    if tuned.is_at_chance and tuned.chance_auc is not None:
        print(
            f"warning: {variant} k{n_shots} seed{seed}: no validation AUC x100 was above "
            f"{100 * tuned.chance_auc:.2f}, which scores without information reach too",
            file=sys.stderr,
        )
    print(f"tuned {variant} k{n_shots} seed{seed}: {tuned.n_steps} updates{best}", file=sys.stderr)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; exit code 0, or 2 with one line on stderr."""
    args = stage_arguments(__doc__, argv, "recipe", "train-domain", "n-shots", "seed")

    def start() -> None:
        run_on(
            load_config().tune.n_processes,
            "benchmark.stages.tune",
            sys.argv[1:] if argv is None else argv,
            lambda: run(args.recipe, args.train_domain, args.n_shots, args.seed),
            key="tune.n_processes",
        )

    return exit_code_of(start)


if __name__ == "__main__":
    sys.exit(main())
