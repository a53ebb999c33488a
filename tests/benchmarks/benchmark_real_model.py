"""Scoring and tuning of a real model on real movie rows, against what a user would take instead; one core.

The model is the one that stage `base` of a run has made, as with `tallrec-bench use real-cpu llm/gemma-3-270m`.

Scoring:

- `plain`: transformers, prompts from long to short in batches of as many tokens as ours, padded at the left,
  `logits_to_keep=1`;
- `lm-eval`: the Hugging Face model of EleutherAI's harness, the log-likelihood of both answers, batches of 8, since
  it holds the logits of every position. It is no dependency of this project: `pip install lm-eval` beside it;
- `ours`: `tallrec.scoring.samples`.

Tuning, ten updates of 16 rows of a K = 64 draw without dropout, the loss on the answer, and no validation:

- `trl-labelled`: TRL's SFTTrainer, its output layer told to skip positions without a label (`benchmark_tuning.py`);
- `ours-tuning`: `tallrec.training.fitting.fit`.

In the same processes a product of two matrices of 2048 is timed in the same precision: the share of its rate that the
multiplications of ours reach is printed beside. Exit code 1: scores or losses differ, or a ratio is below its claim.

Usage: OMP_NUM_THREADS=1 TALLREC_BENCH_MIRROR=... python tests/benchmarks/benchmark_real_model.py models/base
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from benchmark_tuning import sft_log
from released_llm import SCORING, encoded_rows, in_a_process_of_its_own, measured, movie_task, row
from scipy.stats import spearmanr
from torch.utils.flop_counter import FlopCounterMode

from tallrec.models.adapters import Lora, trainable_adapter, write_fresh_start
from tallrec.models.loading import load_base
from tallrec.models.loading_settings import Loading
from tallrec.prompts.chat import question_of
from tallrec.scoring.batches import batches_by_tokens
from tallrec.scoring.samples import EncodedSamples, encode_samples, score_encoded
from tallrec.training.fitting import fit
from tallrec.training.schedule import Schedule

CLAIMS = {"plain": 1.4, "lm-eval": 5.0, "trl-labelled": 1.5}
"""Times that ours is faster."""
SCORERS, TUNERS = ("plain", "lm-eval", "ours"), ("trl-labelled", "ours-tuning")
CLOSE = {"float32": 1e-4, "bfloat16": 0.02}
"""Largest difference of two scores; log-probabilities from logits in bfloat16 are multiples of 1/16 or coarser."""
SCHEDULE = Schedule(10, batch_size=16, micro_batch_size=4, learning_rate=0.001, warmup_updates=4, seed=0)
LORA = Lora(rank=8, alpha=16, dropout=0.0, target_modules=("q_proj", "v_proj"))


def plain_scores(model: Any, encoded: EncodedSamples) -> list[float]:
    """What the documentation of transformers leads to: batches of about one length and the last position alone."""
    scores = [0.0] * len(encoded.prompts)
    for batch in batches_by_tokens([len(prompt) for prompt in encoded.prompts], SCORING.batch_tokens):
        longest = len(encoded.prompts[batch[0]])
        rows = [[0] * (longest - len(encoded.prompts[place])) + list(encoded.prompts[place]) for place in batch]
        mask = [[0] * (longest - len(encoded.prompts[place])) + [1] * len(encoded.prompts[place]) for place in batch]
        with torch.inference_mode():
            logits = model(
                input_ids=torch.tensor(rows), attention_mask=torch.tensor(mask), use_cache=False, logits_to_keep=1
            ).logits[:, -1]
        for place, score in zip(batch, doubly(logits.double().softmax(dim=-1), encoded), strict=True):
            scores[place] = score
    return scores


def doubly(probabilities: torch.Tensor, encoded: EncodedSamples) -> list[float]:
    """The released score of probabilities over the vocabulary, or of those of both answers alone."""
    if probabilities.shape[1] != 2:
        probabilities = probabilities[:, [encoded.tokens.yes, encoded.tokens.no]]
    return probabilities.softmax(dim=-1)[:, 0].tolist()


def lm_eval_scores(model: Any, tokenizer: Any, prompts: list[str], encoded: EncodedSamples) -> list[float]:
    """Log-likelihoods of both answers as lm-eval takes them."""
    from lm_eval.api.instance import Instance  # pyright: ignore[reportMissingImports]
    from lm_eval.models.huggingface import HFLM  # pyright: ignore[reportMissingImports]

    scorer = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=8, max_length=1024)
    asked = [
        Instance("loglikelihood", {}, (prompt, answer), number)
        for number, prompt in enumerate(prompts)
        for answer in ("Yes", "No")
    ]
    found = torch.tensor([value for value, _ in scorer.loglikelihood(asked, disable_tqdm=True)]).double()
    return doubly(found.view(-1, 2).exp(), encoded)


def rate_of_products(dtype: torch.dtype) -> float:
    """Operations a second of processor time of products of two square matrices of 2048."""
    left, right = (torch.randn(2048, 2048, dtype=dtype) for _ in range(2))
    left @ right
    start, n_products = time.process_time(), 0
    while time.process_time() - start < 2:
        left @ right
        n_products += 1
    return 2 * 2048**3 * n_products / (time.process_time() - start)


def run(procedure: str, folder: Path, dtype: str, n_rows: int) -> None:
    """Score or tune with one procedure."""
    task, _ = movie_task(64, 1)
    model, tokenizer = load_base(folder, Loading(dtype, "none", n_threads=1))
    samples = task.test[:n_rows]
    encoded = encode_samples(tokenizer, samples, task.items, SCORING)
    asked = [question_of(tokenizer, "released", sample, task.items, stray_comment=True).text for sample in samples]
    works: dict[str, Callable[[], Any]] = {
        "plain": partial(plain_scores, model, encoded),
        "lm-eval": partial(lm_eval_scores, model, tokenizer, asked, encoded),
        "ours": lambda: [prediction.score for prediction in score_encoded(model, encoded, SCORING)],
    }
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        if procedure in TUNERS:
            write_fresh_start(scratch / "start")
            adapted = trainable_adapter(model, scratch / "start", LORA, seed=0)
            rows = encoded_rows(tokenizer, task.train, task, "answer")

            def with_trl() -> list[dict[str, float]]:
                import trl.trainer.utils

                trl.trainer.utils._use_triton = lambda device: True  # decides there which positions are computed
                return sft_log(adapted, tokenizer, task, SCHEDULE, "answer", scratch)

            works |= {"trl-labelled": with_trl, "ours-tuning": lambda: fit(adapted, rows, SCHEDULE, scratch).log}
        work, name = works[procedure], "log" if procedure in TUNERS else "scores"

        def share() -> dict[str, float]:
            if not procedure.startswith("ours"):
                return {}
            with FlopCounterMode(display=False) as counter:  # counts what a second run of the same work multiplies
                work()
            return {"operations": counter.get_total_flops(), "rate": rate_of_products(getattr(torch, dtype))}

        measured(lambda: {name: work()}, share)


def compare(folder: Path, dtype: str, n_rows: int, procedures: list[str]) -> int:
    """Run all and print a table."""
    failures: list[str] = []
    for ours, others in (("ours", SCORERS[:-1]), ("ours-tuning", TUNERS[:-1])):
        compared = [name for name in others if name in procedures]
        if not compared:
            continue
        results = {
            name: in_a_process_of_its_own(__file__, folder, "--dtype", dtype, "--rows", n_rows, "--run", name)
            for name in [ours, *compared]
        }
        reference = results[ours]
        reached = reference["operations"] / reference["processor_seconds"] / reference["rate"]
        print(row(ours, reference) + f" {reached:6.0%} of {reference['rate'] / 1e9:.0f} GFLOP/s")
        for name in compared:
            result = results[name]
            ratio = result["processor_seconds"] / reference["processor_seconds"]
            print(row(name, result) + f" ours {ratio:.2f} times faster")
            if "scores" in result:
                furthest = max(abs(a - b) for a, b in zip(result["scores"], reference["scores"], strict=True))
                ranks = float(spearmanr(result["scores"], reference["scores"])[0])
                print(f"  largest difference of a score {furthest:.1e}, rank correlation {ranks:.4f}")
                failures += [f"{name}: scores differ by {furthest}"] * (furthest > CLOSE[dtype])
            else:
                theirs, own = (  # one logs each update, the other the mean of all
                    mean(entry["loss"] for entry in log if "loss" in entry) for log in (result["log"], reference["log"])
                )
                print(f"  mean loss {theirs:.4f}, ours {own:.4f}")
                failures += [f"{name}: losses differ"] * (abs(theirs - own) > 0.05 * own)
            failures += [f"{name}: {ratio:.2f} times is less than {CLAIMS[name]}"] * (ratio < CLAIMS[name])
    print("\n".join(failures))
    return 1 if failures else 0


def main() -> int:
    """Run one procedure, or compare all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="what stage `base` has made: models/base of a run")
    parser.add_argument("--dtype", choices=list(CLOSE), default="bfloat16")
    parser.add_argument("--rows", type=int, default=200, help="test samples that are scored")
    parser.add_argument("--against", nargs="+", choices=list(CLAIMS), default=list(CLAIMS))
    parser.add_argument("--run", choices=[*SCORERS, *TUNERS], help="one of those compared")
    options = parser.parse_args()
    if options.run:
        run(options.run, options.folder, options.dtype, options.rows)
        return 0
    procedures = list(options.against)
    if "lm-eval" in procedures and find_spec("lm_eval") is None:
        print("not installed, so not compared: lm-eval")
        procedures.remove("lm-eval")
    return compare(options.folder, options.dtype, options.rows, procedures)


if __name__ == "__main__":
    sys.exit(main())
