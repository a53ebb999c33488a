"""The text encoder of GRU-BERT and DROS-BERT: a pretrained BERT, frozen; the vector of a text is its CLS output."""

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModel, AutoTokenizer
from transformers.utils import CONFIG_NAME, logging
from transformers.utils.hub import cached_file
from transformers.utils.peft_utils import find_adapter_config_file

from benchmark.errors import BenchmarkError, DataError, reason_of, refuse_pointer
from benchmark.threads import threads_for
from benchmark.weights import refuse_broken_files, refuse_impossible_weights

PACKAGED = "package:"
ALIKE = 1e-5
"""Most that two vectors of one text differ by, since batches of other shapes round otherwise."""


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
        DataError: the model cannot be loaded, or tells no two texts apart; the message says why.
    """
    torch.set_num_threads(threads_for(n_threads))
    source = str(located(model))
    if Path(source).is_absolute() and not (Path(source) / "config.json").is_file():
        raise DataError(f"baselines.text_encoder.model: {model}: expected a folder with config.json and safetensors")
    where = f"baselines.text_encoder.model: cannot load {model!r}"
    if Path(source).is_dir():
        for path in Path(source).iterdir():
            refuse_pointer(path)
        refuse_broken_files(Path(source), where)
    former = logging.get_verbosity()
    logging.set_verbosity_error()  # else transformers prints a table of weights; what is wrong with them is one line
    try:
        tokenizer, encoder = _loaded(source, revision, where)
    except BenchmarkError:
        raise
    except Exception as error:  # there is no list of what the many classes of transformers raise
        raise DataError(f"{where}: {reason_of(error)}") from error
    finally:
        logging.set_verbosity(former)
    encoder.eval()
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    vectors = torch.empty(len(texts), encoder.config.hidden_size)
    kinds: set[tuple[int, ...]] = set()  # of texts, as far as they are read
    with torch.inference_mode():
        for first in range(0, len(order), batch_size):
            chosen = order[first : first + batch_size]
            try:
                batch = tokenizer(
                    [texts[index] for index in chosen],
                    padding=True,
                    truncation=True,
                    max_length=max_length,
                    return_tensors="pt",
                )
            except Exception as error:  # of Rust or Python, of any kind
                raise DataError(f"{where}: its tokenizer cannot be used: {reason_of(error)}") from error
            try:
                vectors[chosen] = encoder(**batch).last_hidden_state[:, 0]
            except (IndexError, RuntimeError) as error:
                advice = "fewer baselines.text_encoder.max_length, or the tokenizer of these weights"
                told = f"it takes no text of {batch['input_ids'].shape[1]} tokens; expected {advice}"
                raise DataError(f"{where}: {told}: {reason_of(error)}") from error
            pairs = zip(batch["input_ids"], batch["attention_mask"].bool(), strict=True)
            kinds.update(tuple(ids[is_read].tolist()) for ids, is_read in pairs)
            tell(first + len(chosen), len(order))
    if not vectors.isfinite().all():
        raise DataError(f"{where}: its vectors hold numbers that are not finite")
    if len(kinds) > 1 and (vectors - vectors[0]).abs().max() <= ALIKE:
        raise DataError(
            f"{where}: all {len(texts)} texts have one vector; expected an encoder as BERT is, whose first output has "
            "seen the whole text"
        )
    return vectors


def _loaded(source: str, revision: str | None, where: str) -> tuple[Any, Any]:
    """Tokenizer and encoder, which has the weights of its files and nothing on top."""
    pinned: dict[str, Any] = {"revision": revision, "trust_remote_code": False}
    if find_adapter_config_file(source, revision=revision) is not None:
        raise DataError(f"{where}: it holds adapter_config.json, and transformers would put that adapter on top")
    if getattr(AutoConfig.from_pretrained(source, **pinned), "quantization_config", None):
        raise DataError(f"{where}: its config.json has a quantization_config; expected weights as they are")
    tokenizer = AutoTokenizer.from_pretrained(source, **pinned)
    if not tokenizer.pad_token:
        raise DataError(f"{where}: its tokenizer has no pad_token, which texts of unequal lengths need")
    encoder, told = AutoModel.from_pretrained(
        source, use_safetensors=True, output_loading_info=True, ignore_mismatched_sizes=True, **pinned
    )
    missing = {*told["missing_keys"], *(key for key, *_ in told["mismatched_keys"])}
    layers = {name for name, _ in encoder.named_modules()} - {"", encoder.base_model_prefix}
    extra = {key for key in told["unexpected_keys"] if any(key.startswith(f"{layer}.") for layer in layers)}
    for keys, what in (
        (missing, "it has no weights {}, which would be drawn at random"),
        (extra, "its files hold {}, for which its config.json has no place"),
    ):
        lost = sorted(key for key in keys if "pooler" not in key)  # which no vector is of
        if lost:
            raise DataError(f"{where}: {what.format(f'{lost[0]} ({len(lost)} in all)')}")
    if config := cached_file(source, CONFIG_NAME, revision=revision):  # beside which the weights lie
        refuse_impossible_weights(Path(config).parent, where)
    return tokenizer, encoder


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
