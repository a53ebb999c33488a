"""The text encoder of GRU-BERT and DROS-BERT: a pretrained BERT, frozen; the vector of a text is its CLS output."""

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoModel, AutoTokenizer

from benchmark.errors import DataError

PACKAGED = "package:"


def encode_texts(
    texts: Sequence[str],
    model: str,
    revision: str | None,
    *,
    max_length: int,
    batch_size: int,
    n_threads: int,
    tell: Callable[[int, int], object],
) -> Tensor:
    """One vector a text, shape (n_texts, width), float32.

    Args:
        texts: what to encode.
        model: a Hub id, a local folder, or `package:NAME/FOLDER` for weights that an installed package carries.
        revision: commit of a Hub model.
        max_length: tokens of a text; longer ones are cut at the right.
        batch_size: texts at once; they are sorted by length.
        n_threads: threads of torch.
        tell: told the texts done and to do.

    Raises:
        DataError: the model cannot be loaded; the message says why.
    """
    torch.set_num_threads(n_threads)
    source = str(located(model))
    if Path(source).is_absolute() and not (Path(source) / "config.json").is_file():
        raise DataError(f"baselines.text_encoder.model: {model}: expected a folder with config.json and safetensors")
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, revision=revision, trust_remote_code=False)
        encoder = AutoModel.from_pretrained(source, revision=revision, trust_remote_code=False, use_safetensors=True)
    except (SafetensorError, OSError, RuntimeError, ValueError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(f"baselines.text_encoder.model: cannot load {model!r}: {reason}") from error
    encoder.eval()
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    vectors = torch.empty(len(texts), encoder.config.hidden_size)
    with torch.inference_mode():
        for first in range(0, len(order), batch_size):
            chosen = order[first : first + batch_size]
            batch = tokenizer(
                [texts[index] for index in chosen],
                padding=True,
                truncation=True,
                max_length=max_length,
                return_tensors="pt",
            )
            vectors[chosen] = encoder(**batch).last_hidden_state[:, 0]
            tell(first + len(chosen), len(order))
    return vectors


def located(model: str) -> str | Path:
    """`model`, or the folder that `package:NAME/FOLDER` stands for.

    Raises:
        DataError: no such package is installed.
    """
    if not model.startswith(PACKAGED):
        return model
    name, _, folder = model.removeprefix(PACKAGED).partition("/")
    found = importlib.util.find_spec(name) if name.isidentifier() else None
    if found is None or found.origin is None:
        raise DataError(f"baselines.text_encoder.model: no package {name!r} is installed, expected one with weights")
    return Path(found.origin).parent / folder
