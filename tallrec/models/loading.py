"""Load a base model and store one: safetensors only, no remote code, revision pinned."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import CONFIG_NAME, logging
from transformers.utils.hub import cached_file

from benchmark.errors import BenchmarkError, DataError, reason_of, refuse_pointer
from benchmark.threads import threads_for
from benchmark.weights import refuse_broken_files, refuse_impossible_weights
from tallrec.models.architecture import config_of, random_model
from tallrec.models.foreign import (
    refuse_adapter_beside,
    refuse_lost_weights,
    refuse_other_tokens,
    refuse_stored_quantization,
    refuse_unusable,
    usable,
)
from tallrec.models.loading_settings import Loading, quantization_config
from tallrec.models.origin import RANDOM, read_origin
from tallrec.models.quantized_layers import leave_unpacked
from tallrec.models.sharding import refuse_whole_layers, sharding


def save_base(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write a model that was trained here, as safetensors, and its tokenizer."""
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)


def load_base(folder: Path, loading: Loading) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The base model that `folder` holds or refers to, in evaluation mode, and its tokenizer.

    Raises:
        MissingArtifactError: there is no `origin.json` in `folder`.
        DataError: the weights cannot be loaded: not there, not safetensors, or their code is not in transformers; or
            they are not those that stage `base` has read.
    """
    origin = read_origin(folder)
    if origin.get("weights") == RANDOM:
        return _load_random(folder, loading)
    source = str(folder) if origin["holds_weights"] else origin["model"]
    return load_model(source, origin["revision"], loading, key="llm.model")


def _load_random(folder: Path, loading: Loading) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The architecture and the tokenizer in `folder`, with random weights: the same ones each time on one device."""
    torch.set_num_threads(threads_for(loading.n_threads))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:
        raise DataError(f"llm.model: no tokenizer in {folder}: {reason_of(error)}") from error
    tokenizer = usable(tokenizer, "llm.model")
    return random_model(config_of(str(folder)), loading, seed=0, device=device), tokenizer


def load_model(
    source: str, revision: str | None, loading: Loading, key: str
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A model in evaluation mode, and its tokenizer, from a folder or from the Hub at a commit.

    Args:
        source: the folder or the Hub id.
        revision: the commit of a Hub id.
        loading: how it is loaded.
        key: where `params.yaml` names the model, for errors.

    Raises:
        DataError: the weights cannot be loaded: not there, not safetensors, or their code is not in transformers; or
            they would not be those of the files (`tallrec.models.foreign`).
        ConfigError: they cannot be sharded as `loading` wants.
    """
    torch.set_num_threads(threads_for(loading.n_threads))
    if not sys.stderr.isatty():
        logging.disable_progress_bar()  # a bar in a log is one long line
    pinned: dict[str, Any] = {"revision": revision, "trust_remote_code": False}
    quantization = quantization_config(loading)
    if quantization is not None:
        pinned["quantization_config"] = quantization
    if loading.sharded:
        pinned["distributed_config"] = sharding()
    elif torch.cuda.is_available() and quantization is None:
        pinned["device_map"] = {"": torch.cuda.current_device()}  # from the file to the GPU, not by way of the memory
    where = f"{key}: cannot load {source!r}"
    if Path(source).is_dir():
        for path in Path(source).iterdir():
            refuse_pointer(path)
        refuse_broken_files(Path(source), where)
    try:
        refuse_adapter_beside(source, revision, key)
        config = AutoConfig.from_pretrained(source, revision=revision, trust_remote_code=False)
        refuse_stored_quantization(config, loading.quantization, key)
        tokenizer = AutoTokenizer.from_pretrained(source, revision=revision, trust_remote_code=False)
        with _silent_loading():
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                source,
                dtype=getattr(torch, loading.dtype),
                attn_implementation=loading.attention,
                use_safetensors=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # else the error does not say which
                **pinned,
            )
    except BenchmarkError:
        raise
    except Exception as error:  # there is no list of what the many classes of transformers raise
        raise DataError(f"{where}: {reason_of(error)}") from error
    model, told = loaded
    is_packed = bool(getattr(config, "quantization_config", None))
    refuse_lost_weights(model, told, where, is_packed=is_packed)
    files = _folder_of(source, revision)
    if not is_packed:
        refuse_impossible_weights(files, where)
    tokenizer = usable(tokenizer, where)
    refuse_other_tokens(tokenizer, files / "tokenizer.json", where)
    leave_unpacked(model)
    if loading.sharded:
        refuse_whole_layers(model)
    else:  # shards are fixed by the first call, before an adapter is there
        refuse_unusable(model, where)
    return model.eval(), tokenizer


def _folder_of(source: str, revision: str | None) -> Path:
    """Where the files of a model lie that was loaded: the folder, or that of the Hub's cache."""
    if Path(source).is_dir():
        return Path(source)
    path = cached_file(source, CONFIG_NAME, revision=revision)
    assert path is not None, "it was loaded from there"
    return Path(path).parent


@contextmanager
def _silent_loading() -> Generator[None]:
    """Without the table of weights that transformers prints: what is wrong with them is one line here."""
    former = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(former)
