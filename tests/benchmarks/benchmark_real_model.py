"""Scoring and tuning of a real model on real movie rows, against what a user would take instead; one core.

The model is the one that stage `base` of a run has made, as with `tallrec-bench use real-cpu llm/gemma-3-270m`.

Scoring:

- `plain`: transformers, prompts from long to short in batches of as many tokens as ours, padded at the left,
  `logits_to_keep=1`;
- `lm-eval`: the Hugging Face model of EleutherAI's harness, the log-likelihood of both answers, batches of 8, since
  it holds the logits of every position. It is no dependency of this project: `pip install lm-eval` beside it;
- `logit-score`: sentence-transformers' CrossEncoder around a causal model, `LogitScore` of both answers, sorted batches
  of 32, its default: `pip install sentence-transformers` beside it;
- `llama.cpp`: its server on loopback (`llama-cpp-python[server]`) with the GGUF file that the model was unpacked from
  (`--gguf`), one request a prompt, in which the 10 likeliest first tokens come back; processor seconds of the server.
  Its weights have 4 bits, so that ranks are compared and no scores;
- `ours`: `tallrec.scoring.samples`.

Tuning, ten updates of 16 rows of a K = 64 draw without dropout, the loss on the answer, and no validation:

- `trl-labelled`: TRL's SFTTrainer, its output layer told to skip positions without a label (`benchmark_tuning.py`);
- `ours-tuning`: `tallrec.training.fitting.fit`.

In the same processes a product of two matrices of 2048 is timed in the same precision: the share of its rate that the
multiplications of ours reach is printed beside. Exit code 1: scores or losses differ, or a ratio is below its claim.

Usage: OMP_NUM_THREADS=1 TALLREC_BENCH_MIRROR=... python tests/benchmarks/benchmark_real_model.py models/base
"""

import argparse
import math
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import mean
from typing import Any

import httpx
import psutil
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

CLAIMS = {"plain": 1.4, "lm-eval": 5.0, "logit-score": 0.0, "llama.cpp": 0.0, "trl-labelled": 1.5}
"""Times that ours is faster; 0: nothing is claimed."""
BESIDE = {"lm-eval": "lm_eval", "logit-score": "sentence_transformers", "llama.cpp": "llama_cpp"}
"""Modules that are no dependency of this project."""
RANKS = {"logit-score": 0.95, "llama.cpp": 0.9}
"""Least rank correlation where scores are on another scale, or of other weights."""
SCORERS, TUNERS = ("plain", *BESIDE, "ours"), ("trl-labelled", "ours-tuning")
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


def logit_scores(folder: Path, dtype: str, prompts: list[str], encoded: EncodedSamples) -> list[float]:
    """Log-odds of both answers as sentence-transformers takes them, and their sigmoid: P(Yes) of the two."""
    from sentence_transformers import CrossEncoder  # pyright: ignore[reportMissingImports]
    from sentence_transformers.base.modules import Transformer  # pyright: ignore[reportMissingImports]
    from sentence_transformers.cross_encoder.modules import LogitScore  # pyright: ignore[reportMissingImports]

    model = Transformer(str(folder), transformer_task="text-generation", model_kwargs={"dtype": dtype})
    scorer: Any = CrossEncoder(modules=[model, LogitScore(encoded.tokens.yes, encoded.tokens.no)], device="cpu")
    odds = torch.zeros(len(prompts), dtype=torch.float64)
    order = sorted(range(len(prompts)), key=lambda place: -len(prompts[place]))
    for start in range(0, len(order), 32):
        places = order[start : start + 32]
        with torch.inference_mode():
            odds[places] = scorer(scorer.preprocess([prompts[place] for place in places]))["scores"].flatten().double()
    return odds.sigmoid().tolist()


def llama_cpp_scores(gguf: Path, prompts: list[str]) -> tuple[list[float], float]:
    """P(Yes) of both answers by llama.cpp's server, and the processor seconds that it took for them."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = [sys.executable, "-m", "llama_cpp.server", "--model", str(gguf), "--port", port]
    settings = ["--n_threads", "1", "--n_threads_batch", "1", "--n_ctx", "1024", "--logits_all", "true"]
    with subprocess.Popen([*command, *settings], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            client = httpx.Client(base_url=f"http://127.0.0.1:{port}/v1", timeout=600)
            while True:
                with suppress(httpx.TransportError):
                    client.get("/models")
                    break
                time.sleep(0.2)
            used = psutil.Process(process.pid)
            before, scores = sum(used.cpu_times()[:2]), list[float]()
            for prompt in prompts:
                body = {"prompt": prompt, "max_tokens": 1, "logprobs": 10, "temperature": 0}
                found = client.post("/completions", json=body).raise_for_status().json()["choices"][0]["logprobs"]
                likely: dict[str, float] = found["top_logprobs"][0]
                yes, no = (math.exp(likely.get(answer, -math.inf)) for answer in ("Yes", "No"))
                scores.append(yes / (yes + no) if yes + no else 0.5)
            return scores, sum(used.cpu_times()[:2]) - before
        finally:
            process.terminate()


def rate_of_products(dtype: torch.dtype) -> float:
    """Operations a second of processor time of products of two square matrices of 2048."""
    left, right = (torch.randn(2048, 2048, dtype=dtype) for _ in range(2))
    left @ right
    start, n_products = time.process_time(), 0
    while time.process_time() - start < 2:
        left @ right
        n_products += 1
    return 2 * 2048**3 * n_products / (time.process_time() - start)


def run(procedure: str, folder: Path, dtype: str, n_rows: int, gguf: Path | None) -> None:
    """Score or tune with one procedure."""
    task, _ = movie_task(64, 1)
    model, tokenizer = load_base(folder, Loading(dtype, "none", n_threads=1))
    samples = task.test[:n_rows]
    encoded = encode_samples(tokenizer, samples, task.items, SCORING)
    asked = [question_of(tokenizer, "released", sample, task.items, stray_comment=True).text for sample in samples]
    served: list[Any] = []  # scores, and the seconds of the server
    works: dict[str, Callable[[], Any]] = {
        "plain": partial(plain_scores, model, encoded),
        "lm-eval": partial(lm_eval_scores, model, tokenizer, asked, encoded),
        "logit-score": partial(logit_scores, folder, dtype, asked, encoded),
        "llama.cpp": lambda: served.extend(llama_cpp_scores(gguf or Path(), asked)) or served[0],
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
            if served:
                return {"processor_seconds": served[1]}
            if not procedure.startswith("ours"):
                return {}
            with FlopCounterMode(display=False) as counter:  # counts what a second run of the same work multiplies
                work()
            return {"operations": counter.get_total_flops(), "rate": rate_of_products(getattr(torch, dtype))}

        measured(lambda: {name: work()}, share)


def compare(folder: Path, dtype: str, n_rows: int, gguf: Path | None, procedures: list[str]) -> int:
    """Run all and print a table."""
    failures: list[str] = []
    options = ("--dtype", dtype, "--rows", n_rows, *(() if gguf is None else ("--gguf", gguf)))
    for ours, others in (("ours", SCORERS[:-1]), ("ours-tuning", TUNERS[:-1])):
        compared = [name for name in others if name in procedures]
        if not compared:
            continue
        results = {
            name: in_a_process_of_its_own(__file__, folder, *options, "--run", name) for name in [ours, *compared]
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
                is_alike = ranks >= RANKS[name] if name in RANKS else furthest <= CLOSE[dtype]
                failures += [f"{name}: scores differ by {furthest}, ranks correlate by {ranks}"] * (not is_alike)
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
    parser.add_argument("--gguf", type=Path, help="file that the model was unpacked from, for llama.cpp")
    parser.add_argument("--against", nargs="+", choices=list(CLAIMS), default=list(CLAIMS))
    parser.add_argument("--run", choices=[*SCORERS, *TUNERS], help="one of those compared")
    options = parser.parse_args()
    if options.run:
        run(options.run, options.folder, options.dtype, options.rows, options.gguf)
        return 0
    absent = {name for name, module in BESIDE.items() if find_spec(module) is None}
    absent |= {"llama.cpp"} if options.gguf is None else set()
    for name in absent & {*options.against}:
        print(f"not installed, or without a file, so not compared: {name}")
    procedures = [name for name in options.against if name not in absent]
    return compare(options.folder, options.dtype, options.rows, options.gguf, procedures)


if __name__ == "__main__":
    sys.exit(main())
