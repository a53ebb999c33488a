"""Stage `instruct`: base model + instruction data -> models/start/tallrec/, the adapter that rec-tuning goes on from.

Usage: python -m benchmark.stages.instruct
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmark import language_models
from benchmark.config import load_config
from benchmark.domains import texts
from benchmark.errors import exit_code_of
from benchmark.files import replacing_folder, write_json
from benchmark.language_models import STARTS
from benchmark.progress import progress
from benchmark.seeding import derive_seed


def run() -> None:
    """Instruction-tune new LoRA weights, or take over a published adapter."""
    from tallrec.instructions import read_instructions
    from tallrec.language_model import load_adapter, save_adapter, trainable_adapter
    from tallrec.training import Schedule
    from tallrec.tuning import instruction_tune

    params = load_config()
    settings = params.instruct
    model, tokenizer = language_models.load_base(params)
    with replacing_folder(STARTS / "tallrec") as folder:
        if settings.adapter is not None:
            load_adapter(model, Path(settings.adapter))
            for name in ("adapter_model.safetensors", "adapter_config.json"):
                shutil.copy(Path(settings.adapter) / name, folder / name)
            return
        is_embedded = settings.data == "embedded"
        rows = texts.instructions(params.world) if is_embedded else read_instructions(settings.data)
        seed = derive_seed("instruct", settings.seed)
        adapted = trainable_adapter(model, STARTS / "rt", language_models.lora(params), seed)
        schedule = Schedule(
            n_updates=settings.n_updates,
            batch_size=settings.batch_size,
            micro_batch_size=settings.micro_batch_size,
            learning_rate=settings.learning_rate,
            warmup_updates=settings.warmup_updates,
            seed=seed,
            adam_beta2=settings.adam_beta2,
        )
        with progress("instruction tuning") as tell:
            tuned = instruction_tune(
                adapted,
                tokenizer,
                rows,
                schedule,
                Path("scratch/instruct"),
                loss=settings.loss,
                stray_comment=params.fidelity.prompt == "released",
                max_length=params.llm.max_length,
                tell=tell,
            )
        save_adapter(adapted, folder)
        losses = [{"step": entry["step"], "loss": entry["loss"]} for entry in tuned.log if "loss" in entry]
        write_json(folder / "curve.json", {"n_rows": len(rows), "n_steps": tuned.n_steps, "curve": losses})


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; exit code 0, or 2 with one line on stderr."""
    argparse.ArgumentParser(description=__doc__).parse_args(argv)
    return exit_code_of(run)


if __name__ == "__main__":
    sys.exit(main())
