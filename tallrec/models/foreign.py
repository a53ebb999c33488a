"""What transformers does on its own account with the files of a model from outside, and the keys do not say: refused.

It puts an adapter on top of the weights that it lies beside, takes another precision than the one asked for, draws
weights that are not there, leaves out those that it has no place for, and cuts texts by the rule of a class and not by
that of the tokenizer's file.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast
from transformers.utils.peft_utils import find_adapter_config_file

from benchmark.errors import DataError, reason_of
from tallrec.models.output_layer import evaluating
from tallrec.models.quantized_layers import is_left_whole
from tallrec.token_sequences import n_shared

SPECIAL = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token")
TRIED = '### Yes.\n"No", \u00e9 <s> 12'
"""Any text: letters, digits, signs, what looks like a special token, and what is not ASCII."""
PROMPT = (
    '### Instruction:\nIdentify whether the user will like the target movie by answering "Yes." or "No.".\n\n'
    '### Input:\nUser Preference: "Heat (1995)", "Am\u00e9lie (2001)"\nThe user\'s target: "Up"\n\n### Response:\n'
)
"""A text as it is asked."""
N_FIRST = 4
"""Tokens at the front of a text that may differ: settings of a tokenizer put a space there or none."""
ROUNDED, EXACT = 0.05, 1e-3
"""Of the change that other tokens make to logits: rounding changes those before them less, in half precision or
quantized, and in single precision. In dense layers it changes nothing, but experts get their tokens in other groups."""


def refuse_adapter_beside(source: str, revision: str | None, key: str) -> None:
    """Refuse a folder, or a repository of the Hub, that holds an adapter.

    Args:
        source: the folder or the Hub id.
        revision: the commit of a Hub id.
        key: where `params.yaml` names the model, for errors.

    Raises:
        DataError: it holds `adapter_config.json`.
    """
    if find_adapter_config_file(source, revision=revision) is not None:
        raise DataError(
            f"{key}: {source!r} holds adapter_config.json, and transformers would put that adapter on top; name the "
            "base model alone here, and an adapter in instruct.adapter"
        )


def refuse_stored_quantization(config: PreTrainedConfig, quantization: str, key: str) -> None:
    """Refuse weights that are stored in another precision than `quantization`, which would be overridden in silence.

    Raises:
        DataError: they are.
    """
    stored: Any = getattr(config, "quantization_config", None)
    if not stored:
        return
    settings = stored if isinstance(stored, Mapping) else stored.to_dict()
    method = str(settings.get("quant_method", "")).rpartition(".")[2].lower()
    bits = "4bit" if settings.get("load_in_4bit") else "8bit" if settings.get("load_in_8bit") else None
    if bits is None or bits != quantization:
        same = f", or {bits} in llm.quantization and score.quantization" if bits else ""
        held = " ".join(filter(None, (method, bits))) or "of no method"
        raise DataError(
            f"{key}: its config.json has a quantization_config ({held}), "
            f"and it is loaded with quantization {quantization!r}; expected weights that are not quantized{same}"
        )


def refuse_lost_weights(model: PreTrainedModel, told: Mapping[str, Any], where: str, *, is_packed: bool) -> None:
    """Refuse a model that is not the one of its files.

    Args:
        model: as transformers has loaded it.
        told: what it tells of the loading (`output_loading_info`).
        where: begins the error.
        is_packed: whether its config.json says that its weights are stored quantized, with scales beside them.

    Raises:
        DataError: a weight is not in the files, has another shape there, is not quantized although it should be, or
            belongs to a layer of the model that has no place for it. What belongs to no layer, such as the other half
            of a model for images, may be there.
    """
    for key, there, here in told["mismatched_keys"]:
        raise DataError(f"{where}: {key} has the shape {list(there)} in its files, and {list(here)} by its config.json")
    if missing := set(told["missing_keys"]):
        raise DataError(f"{where}: it has no weights {_first(missing)}, which would be drawn at random")
    layers = {name for name, _ in model.named_modules()} - {"", model.base_model_prefix}
    lost = {key for key in told["unexpected_keys"] if any(key.startswith(f"{layer}.") for layer in layers)}
    if lost and not is_packed:
        raise DataError(f"{where}: its files hold {_first(lost)}, for which its config.json has no place")
    whole = {f"{name}.weight" for name, layer in model.named_modules() if is_left_whole(layer)}
    if whole:
        raise DataError(
            f"{where}: its config.json has a quantization_config, and its files hold {_first(whole)} as it is"
        )


def _first(keys: set[str]) -> str:
    return f"{min(keys)} ({len(keys)} in all)"


def usable(tokenizer: PreTrainedTokenizerBase, where: str) -> PreTrainedTokenizerBase:
    """`tokenizer`, whose special tokens that are empty texts are none, once it has read a text and written it.

    Raises:
        DataError: it raises an error where it is used, or draws the tokens of a text at random.
    """
    model = getattr(getattr(tokenizer, "backend_tokenizer", None), "model", None)
    if dropout := getattr(model, "dropout", None):
        told = f"its tokenizer.json has dropout {dropout:g}, so one text has other tokens each time; expected null"
        raise DataError(f"{where}: {told}")
    try:
        for name in SPECIAL:
            if getattr(tokenizer, name, None) == "":
                setattr(tokenizer, name, None)
            getattr(tokenizer, f"{name}_id")
        tokenizer.decode(tokenizer(TRIED)["input_ids"])
    except Exception as error:  # of Rust or Python, of any kind
        raise DataError(f"{where}: its tokenizer cannot be used: {reason_of(error)}") from error
    return tokenizer


def refuse_other_tokens(tokenizer: PreTrainedTokenizerBase, file: Path, where: str) -> None:
    """Refuse a tokenizer whose class cuts texts otherwise than its tokenizer.json, which the model was trained with.

    Args:
        tokenizer: as transformers has loaded it.
        file: its tokenizer.json, which need not be there.
        where: begins the error.

    Raises:
        DataError: it gives other tokens of a prompt.
    """
    if type(tokenizer) is PreTrainedTokenizerFast or not file.is_file():  # that one takes the file as it is
        return
    stored = Tokenizer.from_file(str(file))
    stored.no_truncation()
    stored.no_padding()
    expected = stored.encode(PROMPT, add_special_tokens=False).ids[::-1]
    found = tokenizer(PROMPT, add_special_tokens=False)["input_ids"][::-1]
    same = n_shared(found, expected)
    if same < max(len(found), len(expected)) - N_FIRST:
        kind = type(tokenizer).__name__
        got, wanted = (ids[same : same + 1] for ids in (found, expected))
        raise DataError(
            f"{where}: {kind}, the class of its tokenizer, makes {len(found)} tokens of a prompt where its "
            f"tokenizer.json makes {len(expected)}, and {got} in the place of {wanted}; expected the same: with "
            "PreTrainedTokenizerFast as tokenizer_class in tokenizer_config.json the file counts (except with qwen2)"
        )


def refuse_unusable(model: PreTrainedModel, where: str) -> None:
    """Refuse a model that does not read from left to right, or cannot be computed as it was loaded.

    The logits of a token must depend on it and on those before it: prompts are padded on the right, and what they begin
    with alike is computed once.

    Args:
        model: as it was loaded.
        where: begins the error.

    Raises:
        DataError: it fails on a few tokens, gives logits that are no numbers, or looks at the tokens that follow.
    """
    rows = torch.tensor([[0, 1, 2, 3, 4, 5, 6, 7], [0, 1, 2, 3, 8, 9, 10, 11]], device=model.device)
    try:
        with evaluating(model):
            logits = model(input_ids=rows, use_cache=False).logits.float()
    except Exception as error:  # whatever a class of transformers raises of a value that it does not check
        raise DataError(f"{where}: cannot be computed as its config.json says: {reason_of(error)}") from error
    if logits.isnan().any():
        raise DataError(
            f"{where}: its logits are no numbers as {model.dtype}; expected another dtype, or other weights"
        )
    is_exact = model.dtype == torch.float32 and not getattr(model, "is_quantized", False)
    change = (logits[0] - logits[1]).abs().nan_to_num()
    if change[:4].max() > (EXACT if is_exact else ROUNDED) * change[4:].max():
        raise DataError(
            f"{where}: its logits of a token change with the tokens that follow; expected a model that reads from left "
            "to right"
        )
