"""How fast this machine takes a step of a model: a few layers of it with random weights, run and timed.

What a product of matrices reaches says little: a small model spends much of its time between products, and half
precision may be five times as fast as single precision on one machine and half as fast on another.
"""

import math
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from transformers import PreTrainedConfig

from benchmark.threads import threads_for
from tallrec.cost.products import now
from tallrec.cost.simulation import simulate_scoring, simulate_tuning
from tallrec.models.adapters import Lora, trainable_adapter, write_fresh_start
from tallrec.models.architecture import random_model
from tallrec.models.loading_settings import Loading
from tallrec.scoring.logits import last_logits
from tallrec.training.loss import LabelledLoss
from tallrec.training.rows import IGNORED

N_LAYERS = 2
MOST_REPETITIONS = 5
SECONDS = 2.0
"""After which a step is not repeated."""


@dataclass(frozen=True, slots=True)
class Speeds:
    """Operations a second, as `tallrec.cost.simulation` counts them."""

    scoring: float
    tuning: float


def measured_speeds(
    config: PreTrainedConfig,
    tuned: Loading,
    scored: Loading,
    lora: Lora,
    *,
    n_rows_tuned: int,
    n_rows_scored: int,
    n_tokens: int,
    loss: str,
) -> Speeds:
    """Score and tune with the first layers of an architecture.

    Args:
        config: the architecture.
        tuned: how its weights are held while it is tuned.
        scored: how while it is asked.
        lora: shape of the adapter.
        n_rows_tuned: of a micro-batch.
        n_rows_scored: of a batch of scoring.
        n_tokens: of a row.
        loss: `answer` or `all_tokens`.
    """
    few = deepcopy(config)
    few.get_text_config().num_hidden_layers = min(N_LAYERS, config.get_text_config().num_hidden_layers)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    before = torch.get_num_threads()
    torch.set_num_threads(threads_for(tuned.n_threads))
    generator = torch.Generator().manual_seed(0)
    shape = max(n_rows_tuned, n_rows_scored), n_tokens
    rows = torch.randint(few.get_text_config().vocab_size, shape, generator=generator)
    asked, taught = rows[:n_rows_scored].tolist(), rows[:n_rows_tuned].to(device)
    try:
        model = random_model(few, scored, seed=0, device=device)
        seconds = _seconds(lambda: last_logits(model, asked, rows.numel()))
        scoring = simulate_scoring(few, scored, n_rows=n_rows_scored, n_tokens=n_tokens).flops / seconds
        if tuned != scored:
            model = random_model(few, tuned, seed=0, device=device)
        with TemporaryDirectory() as folder:
            write_fresh_start(Path(folder))
            adapted = trainable_adapter(model, Path(folder), replace(lora, dropout=0.0), seed=0).train()
        labels = taught.clone()
        if loss == "answer":
            labels[:, :-3] = IGNORED
        loss_of = LabelledLoss(adapted)
        seconds = _seconds(lambda: loss_of(adapted, input_ids=taught, labels=labels).backward())
        step = simulate_tuning(
            few, tuned, lora, n_rows=n_rows_tuned, n_tokens=n_tokens, loss=loss, gradient_checkpointing=False
        )
    finally:
        torch.set_num_threads(before)
    return Speeds(scoring, step.flops / seconds)


def _seconds(work: Callable[[], object]) -> float:
    """Of the fastest of some repetitions; on a CPU processor seconds, since other programs only ever slow one down."""
    best = math.inf
    begin = time.perf_counter()
    for repetition in range(MOST_REPETITIONS):
        start = _clock()
        work()
        if repetition:  # the first one loads kernels
            best = min(best, _clock() - start)
        if repetition and time.perf_counter() - begin > SECONDS:
            break
    return best


def _clock() -> float:
    return now() if torch.cuda.is_available() else time.process_time() / torch.get_num_threads()
