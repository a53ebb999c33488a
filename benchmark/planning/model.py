"""The language model before a run: its architecture and tokenizer, from this machine where it has them."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from benchmark.artifacts.files import read_json
from benchmark.artifacts.paths import BASE_MODEL
from benchmark.config.params import Params
from benchmark.errors import DataError
from benchmark.methods.pinning import is_gguf

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerBase

ARCHITECTURES = Path(__file__).parent / "architectures"
"""A folder for each model of the Hub that a plan knows without asking it; called as the model, without its owner."""

SIZE = re.compile(r"(\d+(?:\.\d+)?)([bm])\b", re.IGNORECASE)
"""In the name of a model, e.g. `SmolLM2-135M`."""
UNKNOWN = 1e9
"""Parameters of a model whose name says none."""

Found = TypeVar("Found")


def architecture(params: Params) -> "PreTrainedConfig":
    """The architecture of `llm.model`; no weight is read, and the Hub is asked for what this machine has not.

    Raises:
        DataError: it is nowhere to be had.
    """
    from tallrec.models.architecture import config_of
    from tallrec.tiny.shape import shape_in, tiny_config

    model, revision = params.llm.model, params.llm.revision
    if model == "tiny":
        return tiny_config(shape_in(params.base), params.base.vocabulary_size)
    if is_gguf(model) and not is_made(model):
        from tallrec.models.gguf import architecture_in, gguf_of

        return architecture_in(gguf_of(model))
    here = [path for path in (Path(model), ARCHITECTURES / Path(model).name) if path.is_dir()]
    if is_made(model):
        here = [BASE_MODEL]
    found = config_of(str(here[0])) if here else _without_network(lambda: config_of(model, revision))
    if found is None and os.environ.get("HF_HUB_OFFLINE", "0") != "0":
        raise DataError(f"llm.model: no architecture of {model!r} on this machine, and HF_HUB_OFFLINE forbids to ask")
    return found or config_of(model, revision)


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


def parameters_of(params: Params) -> float:
    """Weights of the language model: of the tiny one by its shape, of others as their names say."""
    base = params.base
    if params.llm.model == "tiny":
        a_layer = 4 * base.hidden_size**2 + 3 * base.hidden_size * base.intermediate_size
        return base.n_layers * a_layer + base.vocabulary_size * base.hidden_size
    found = SIZE.findall(params.llm.model)
    return float(found[-1][0]) * (1e9 if found[-1][1].lower() == "b" else 1e6) if found else UNKNOWN


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
