"""Stage `instruct`: base model + instruction data -> models/start/tallrec/, the adapter that rec-tuning goes on from.

The same is written to models/start/alpaca/, for in-context learning: a stage depends on the folder of its own name.

Usage: python -m benchmark.stages.instruct
"""

import shutil
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmark.arguments import stage_arguments
from benchmark.artifacts.files import replacing_folder, write_json
from benchmark.artifacts.paths import STARTS
from benchmark.config.params import Params
from benchmark.data.instructions import INSTRUCTIONS
from benchmark.data.sources import chosen_mirror, describe_outside, fetch
from benchmark.data.world import texts
from benchmark.errors import exit_code_of
from benchmark.methods import language_models, tuning
from benchmark.methods.configuration import load_config
from benchmark.progress import progress
from benchmark.seeding import derive_seed


def run() -> None:
    """Instruction-tune new LoRA weights, or take over a published adapter."""
    params = load_config()
    if params.instruct.adapter is None:
        tune(params)
    else:
        take_over(params, Path(params.instruct.adapter))


@contextmanager
def _start() -> Generator[Path]:
    """A folder to write the adapter into: at the end what recipe `tallrec` starts from, and what `alpaca` is asked."""
    with replacing_folder(STARTS / "alpaca") as asked:
        with replacing_folder(STARTS / "tallrec") as folder:
            yield folder
        shutil.copytree(STARTS / "tallrec", asked, dirs_exist_ok=True)


def take_over(params: Params, adapter: Path) -> None:
    """Write the adapter of a folder from elsewhere, as safetensors, once the base model has taken it.

    Raises:
        DataError: it is not one of section `lora` and of this base model, or damaged.
    """
    from tallrec.conversion.pickled_adapter import convert
    from tallrec.models.adapters import CONFIG, PICKLED, WEIGHTS, load_adapter, refuse_other_adapter

    refuse_other_adapter(adapter, tuning.lora(params))
    is_pickled = not (adapter / WEIGHTS).exists()
    with _start() as folder:
        if is_pickled:
            convert(adapter, folder)
        else:
            for name in (WEIGHTS, CONFIG):
                shutil.copy(adapter / name, folder / name)
        model, _ = language_models.load_base(params)
        load_adapter(model, folder, source=adapter)
        describe_outside(folder, (adapter / name for name in (PICKLED if is_pickled else WEIGHTS, CONFIG)))


def tune(params: Params) -> None:
    """Instruction-tune new LoRA weights and write them with the curve of their loss."""
    from tallrec.models.adapters import save_adapter, trainable_adapter
    from tallrec.training.checkpoints import scratch_folder
    from tallrec.training.schedule import Schedule
    from tallrec.training.tuning import instruction_tune

    settings = params.instruct
    rows, local = _rows(params)
    model, tokenizer = language_models.load_base(params)
    seed = derive_seed("instruct", settings.seed)
    adapted = trainable_adapter(model, STARTS / "rt", tuning.lora(params), seed)
    schedule = Schedule(
        n_updates=settings.n_updates,
        batch_size=settings.batch_size,
        micro_batch_size=settings.micro_batch_size,
        learning_rate=settings.learning_rate,
        warmup_updates=settings.warmup_updates,
        seed=seed,
        adam_beta2=settings.adam_beta2,
        gradient_checkpointing=settings.gradient_checkpointing,
    )
    with scratch_folder(Path("scratch/instruct")) as scratch:
        with progress("instruction tuning") as tell:
            tuned = instruction_tune(
                adapted,
                tokenizer,
                rows,
                schedule,
                scratch,
                loss=settings.loss,
                stray_comment=params.fidelity.prompt == "released",
                max_length=params.llm.max_length,
                tell=tell,
                settings=tuning.decisive(params),
            )
        losses = [{"step": entry["step"], "loss": entry["loss"]} for entry in tuned.log if "loss" in entry]
        with _start() as folder:
            save_adapter(adapted, folder)
            write_json(folder / "curve.json", {"n_rows": len(rows), "n_steps": tuned.n_steps, "curve": losses})
            describe_outside(folder, local)


def _rows(params: Params) -> tuple[list[dict[str, str]], list[Path]]:
    """The instructions, and the file of the user that they are from, if they are."""
    from tallrec.prompts.instructions import HUB, read_instructions

    data = params.instruct.data
    if data == "embedded":
        return texts.instructions(params.world), []
    if data in INSTRUCTIONS:
        with tempfile.TemporaryDirectory() as temporary:
            fetch([INSTRUCTIONS[data]], Path(temporary) / "raw", chosen_mirror(params.data.mirror))
            return read_instructions(str(Path(temporary) / "raw" / INSTRUCTIONS[data].name)), []
    return read_instructions(data), [] if data.startswith(HUB) else [Path(data)]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; exit code 0, or 2 with one line on stderr."""
    stage_arguments(__doc__, argv)
    return exit_code_of(run)


if __name__ == "__main__":
    sys.exit(main())
