"""The pretraining of the tiny LLaMA."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import LlamaForCausalLM, PreTrainedTokenizerFast, set_seed
from transformers.utils import logging

from tallrec.telling import Tell, silent
from tallrec.tiny.exact import RoundedWeights, in_double_precision
from tallrec.tiny.shape import TinyModel, tiny_config
from tallrec.training.fitting import fit
from tallrec.training.schedule import Schedule


def new_model(tokenizer: PreTrainedTokenizerFast, shape: TinyModel, seed: int) -> LlamaForCausalLM:
    """A LLaMA of `shape` with random weights drawn by `seed`, for the tokens of `tokenizer`."""
    set_seed(seed)
    special: dict[str, Any] = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    return LlamaForCausalLM(tiny_config(shape, len(tokenizer), **special))


def pretrain(
    tokenizer: PreTrainedTokenizerFast,
    texts: Sequence[str],
    shape: TinyModel,
    schedule: Schedule,
    sequence_length: int,
    scratch: Path,
    tell: Tell = silent,
) -> LlamaForCausalLM:
    """A LLaMA of `shape`, trained from scratch to continue `texts`, which are packed into rows of equal length.

    Its weights are the same on every processor (`tallrec.tiny.exact`). A killed run is taken up again; `scratch` stays
    for the caller to remove (`tallrec.training.fitting.fit`).
    """
    model = new_model(tokenizer, shape, schedule.seed)
    exact = in_double_precision(model, schedule.seed)
    ids = [token for text in texts for token in [*tokenizer(text)["input_ids"], tokenizer.eos_token_id]]
    starts = range(0, len(ids) - sequence_length + 1, sequence_length)
    packed = [ids[start : start + sequence_length] for start in starts]
    logging.disable_progress_bar()  # each checkpoint would draw one
    rows = [{"input_ids": row, "labels": row} for row in packed]
    fit(exact, rows, schedule, scratch, tell=tell, settings={}, callbacks=[RoundedWeights()])
    model.load_state_dict(exact.state_dict())
    return model
