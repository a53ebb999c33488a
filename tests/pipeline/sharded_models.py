"""Loads models whole and in shards, in each of several processes; `test_sharded_models.py` starts it with `torchrun`.

Usage: sharded_models.py FOLDER, which holds a folder a model; what process r found goes to FOLDER/found-r.json.
"""

import json
import sys
from pathlib import Path

import torch

from benchmark.errors import ConfigError
from tallrec.models.adapters import Lora, trainable_adapter, write_fresh_start
from tallrec.models.loading import load_model
from tallrec.models.loading_settings import Loading
from tallrec.models.sharding import held_bytes, in_step
from tallrec.processes import joined, place
from tallrec.scoring.logits import last_logits
from tallrec.training.fitting import checkpointing_settings
from tallrec.training.loss import LabelledLoss
from tallrec.training.rows import IGNORED

N_TOKENS = 24
FUSED = {"phi3": ["qkv_proj"], "gpt2": ["c_attn"]}
"""Layers to adapt where queries and values have none of their own."""


def found(root, folder):
    """What a model gives in shards, each beside what it gives whole."""
    models = {}
    for sharded in (False, True):
        dtype = "bfloat16" if "bfloat16" in folder.name else "float32"
        model, _ = load_model(str(folder), None, Loading(dtype, "none", 1, sharded=sharded), key="llm.model")
        held = held_bytes(model)
        names = FUSED.get(folder.name.removeprefix("model-"), ["q_proj", "v_proj"])
        adapted = trainable_adapter(model, root / "start", Lora(4, 8, 0.0, tuple(names)), seed=3)
        with torch.no_grad():
            for name, parameter in adapted.named_parameters():
                if "lora_B" in name:
                    parameter.fill_(0.01)
        models[sharded] = held, adapted
    held, whole, parts = models[False][0], models[False][1], models[True][1]
    return {
        "held": models[True][0] / held,
        "score_error": error(scores(whole), scores(parts)),
        "is_linear": [LabelledLoss(adapted).is_linear for adapted in (whole, parts)],
        "gradient_error": error(gradient(whole), gradient(parts)),
        "gradient_error_with_checkpointing": error(gradient(whole), gradient(parts, checkpointing=True)),
    }


def error(expected, found):
    """Largest difference, relative to the largest value, which must not be zero."""
    return ((expected - found).abs().max() / expected.abs().max()).item()


def scores(model):
    """Logits of prompts, of which each process has another number and other lengths."""
    prompts = [list(range(5 + place(), 15 + place() + 3 * number)) for number in range(2 + 3 * place())]
    with in_step(model):
        return last_logits(model, prompts, batch_tokens=20)


def gradient(model, *, checkpointing=False):
    """Of the adapter; the first process has labels on the answer alone, the others everywhere, for another graph."""
    if checkpointing:
        model.activation_checkpointing_enable(checkpointing_settings(model))
        model.enable_input_require_grads()
    model.train()
    model.zero_grad()
    loss_of = LabelledLoss(model)
    for start in (0, 7):  # two micro-batches of an update
        input_ids = torch.arange(start, start + 2 * N_TOKENS).view(2, N_TOKENS)
        labels = input_ids.clone()
        if place() == 0:
            labels[:, :-2] = IGNORED
        loss_of(model, input_ids=input_ids, labels=labels).backward()
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters() if parameter.requires_grad])


def main():
    root = Path(sys.argv[1])
    answers = {}
    with joined():
        if place() == 0:
            write_fresh_start(root / "start")
        torch.distributed.barrier()
        for folder in sorted(root.glob("model-*")):
            try:
                answers[folder.name.removeprefix("model-")] = found(root, folder)
            except ConfigError as error:
                answers[folder.name.removeprefix("model-")] = str(error)
        (root / f"found-{place()}.json").write_text(json.dumps(answers))


if __name__ == "__main__":
    main()
