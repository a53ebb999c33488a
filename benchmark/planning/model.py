"""The language model before a run: its architecture and tokenizer, from this machine where it has them."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from benchmark.artifacts.files import read_json
from benchmark.artifacts.paths import BASE_MODEL
from benchmark.config.params import Params
from benchmark.errors import BenchmarkError, DataError
from benchmark.methods.pinning import is_gguf

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerBase

ARCHITECTURES = Path(__file__).parent / "architectures"
"""A folder for each model that a plan knows without its files; called as the model, or its file, without a path."""

SIZE = re.compile(r"(\d+(?:\.\d+)?)([bm])\b", re.IGNORECASE)
"""In the name of a model, e.g. `SmolLM2-135M`."""
UNKNOWN, UNKNOWN_WIDTH = 1e9, 1024
"""Weights of a model whose name says none, and the width of one that is known by its name alone."""

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Shape:
    """Weights of a language model by what they cost; an embedding that is only looked up costs nothing."""

    width: int
    in_layers: float
    """Multiplied with every token."""
    in_output: float
    """Of the output layer, multiplied with tokens that are answered."""

    @property
    def n_weights(self) -> float:
        """All of them."""
        return self.in_layers + self.in_output


def architecture(params: Params) -> "PreTrainedConfig":
    """The architecture of `llm.model`; no weight is read, and the Hub is asked for what this machine has not.

    Raises:
        DataError: it is nowhere to be had, or its weights are stored quantized and the keys do not say so.
        ConfigError: it has fewer positions than `llm.max_length`.
    """
    from tallrec.models.architecture import config_of, refuse_few_positions
    from tallrec.models.foreign import refuse_stored_quantization
    from tallrec.tiny.shape import shape_in, tiny_config

    model, revision = params.llm.model, params.llm.revision
    if model == "tiny":
        return tiny_config(shape_in(params.base), params.base.vocabulary_size)
    folder = _folder(model)
    if folder is None and is_gguf(model):
        from tallrec.conversion.gguf import architecture_in, gguf_of

        return architecture_in(gguf_of(model))
    found = config_of(str(folder)) if folder else _without_network(lambda: config_of(model, revision))
    if found is None and os.environ.get("HF_HUB_OFFLINE", "0") != "0":
        raise DataError(f"llm.model: no architecture of {model!r} on this machine, and HF_HUB_OFFLINE forbids to ask")
    found = found or config_of(model, revision)
    refuse_few_positions(found, params.llm.max_length)
    if params.llm.weights == "pretrained":
        refuse_stored_quantization(found, params.llm.quantization, "llm.model")
    return found


def tokenizer(params: Params) -> "PreTrainedTokenizerBase | None":
    """The tokenizer of `llm.model`, if this machine has it; the Hub is not asked."""
    import transformers

    model = params.llm.model
    if (model == "tiny" or is_gguf(model)) and not is_made(model):
        return None  # a GGUF file has it, and takes as long to read as to count tokens otherwise
    source = str(BASE_MODEL) if is_made(model) and (BASE_MODEL / "tokenizer.json").exists() else model
    kind: Any = transformers.AutoTokenizer
    return _without_network(lambda: kind.from_pretrained(source, revision=params.llm.revision, trust_remote_code=False))


def is_made(model: str) -> bool:
    """Whether stage `base` has made `models/base` of this model, and not of another one."""
    origin = BASE_MODEL / "origin.json"
    return origin.exists() and (BASE_MODEL / "config.json").exists() and read_json(origin).get("model") == model


def shape_of(params: Params) -> Shape:
    """The shape of the language model, by its configuration if that is at hand, else by its name alone."""
    model, base = params.llm.model, params.base
    if model == "tiny":
        return Shape(
            base.hidden_size,
            base.n_layers * (4 * base.hidden_size**2 + 3 * base.hidden_size * base.intermediate_size),
            base.vocabulary_size * base.hidden_size,
        )
    folder = _folder(model)
    return (_shape_in(folder / "config.json") if folder else None) or _shape_by_name(model)


def _shape_in(file: Path) -> Shape | None:
    """Of a decoder with a gated layer, as LLaMA, Gemma and Qwen are; None where the file has other keys."""
    try:
        config = read_json(file)
        config = config.get("text_config", config)
        width, n_heads = config["hidden_size"], config["num_attention_heads"]
        head = config.get("head_dim") or width // n_heads
        attention = 2 * width * head * (n_heads + config.get("num_key_value_heads", n_heads))
        a_layer = attention + 3 * width * config["intermediate_size"]
        return Shape(width, config["num_hidden_layers"] * a_layer, config["vocab_size"] * width)
    except (BenchmarkError, AttributeError, KeyError, TypeError):
        return None  # what needs the architecture itself will say what is wrong


def _shape_by_name(model: str) -> Shape:
    found = SIZE.findall(model)
    n_weights = float(found[-1][0]) * (1e9 if found[-1][1].lower() == "b" else 1e6) if found else UNKNOWN
    return Shape(UNKNOWN_WIDTH, n_weights, 0)


def _folder(model: str) -> Path | None:
    """Where the architecture of `model` lies as `config.json`: as stage `base` made it, in its folder, or here."""
    if is_made(model):
        return BASE_MODEL
    places = (Path(model), ARCHITECTURES / Path(model).name)
    return next(filter(Path.is_dir, places), None)


def _without_network(find: Callable[[], Found]) -> Found | None:
    """What `find` gets from files of this machine; None where it would need the Hub."""
    from huggingface_hub import constants

    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        return find()
    except (DataError, OSError, ValueError):
        return None
    finally:
        constants.HF_HUB_OFFLINE = before
