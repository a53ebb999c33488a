"""Prompts a second of a real model's scores: this repository beside what one would take instead; one core.

The model is the one that stage `base` of a run has made of a GGUF file, as with `tallrec-bench use real-cpu
llm/smollm2-135m-instruct`. Each scores the same rows of the movie test set, in a process of its own, by the log-odds of
the two answers, which all of them can give:

- `ours`: `tallrec.scoring.samples` with the rule `logit_difference`;
- `logit-score`: sentence-transformers' CrossEncoder around a causal model, its `LogitScore`, sorted batches of 32, its
  default. No dependency of this project: `pip install sentence-transformers` beside it;
- `llama.cpp`: its `llama-server` on loopback (`--llama-server`, built for this processor) with the same GGUF file as it
  is: one request a prompt, in which the likeliest first tokens come back. It goes on from what the prompt has in common
  with the one before, which Gemma's windows forbid without `--swa-full`. Seconds are the server's.

Exit code 1: log-odds of the same weights differ; those of llama.cpp, which rounds what it multiplies, rank otherwise.

Usage: OMP_NUM_THREADS=1 TALLREC_BENCH_MIRROR=... python tests/benchmarks/race_scorers.py models/base
"""

import argparse
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import psutil
import torch
from released_llm import SCORING, in_a_process_of_its_own, measured, movie_task, row
from scipy.stats import spearmanr

from tallrec.conversion.gguf import gguf_of
from tallrec.models.loading import load_base
from tallrec.models.loading_settings import Loading
from tallrec.models.origin import read_origin
from tallrec.prompts.chat import question_of
from tallrec.scoring.samples import EncodedSamples, encode_samples, score_encoded

SCORERS = ("ours", "logit-score", "llama.cpp")
CLOSE = {"float32": 1e-3, "bfloat16": 0.25}
"""Largest difference of two log-odds of the same weights; logits of 16 to 32 in bfloat16 are multiples of 1/8."""
LEAST_RANKS = 0.9
"""Rank correlation with llama.cpp, whose weights have 4 bits and are multiplied with activations of 8."""
N_LIKELIEST = 100
"""First tokens that llama.cpp's server names; an answer that is none of them would have no score."""


def logit_scores(folder: Path, dtype: str, prompts: list[str], encoded: EncodedSamples) -> list[float]:
    """Log-odds by sentence-transformers."""
    from sentence_transformers import CrossEncoder  # pyright: ignore[reportMissingImports]
    from sentence_transformers.base.modules import Transformer  # pyright: ignore[reportMissingImports]
    from sentence_transformers.cross_encoder.modules import LogitScore  # pyright: ignore[reportMissingImports]

    model = Transformer(str(folder), transformer_task="text-generation", model_kwargs={"dtype": dtype})
    scorer: Any = CrossEncoder(modules=[model, LogitScore(encoded.tokens.yes, encoded.tokens.no)], device="cpu")
    odds = torch.zeros(len(prompts))
    order = sorted(range(len(prompts)), key=lambda place: -len(prompts[place]))
    for start in range(0, len(order), 32):
        places = order[start : start + 32]
        with torch.inference_mode():
            odds[places] = scorer(scorer.preprocess([prompts[place] for place in places]))["scores"].flatten().float()
    return odds.tolist()


@contextmanager
def llama_cpp_server(program: Path, gguf: Path) -> Iterator[tuple[httpx.Client, psutil.Process]]:
    """llama.cpp's server on one thread, and a client of it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = [str(program), "--model", str(gguf), "--port", port]
    settings = ["--threads", "1", "--threads-batch", "1", "--ctx-size", "1024", "--parallel", "1", "--swa-full"]
    with subprocess.Popen([*command, *settings], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=600)
            while not is_ready(client):
                assert process.poll() is None, "llama.cpp's server ended before it answered"
                time.sleep(0.2)
            yield client, psutil.Process(process.pid)
        finally:
            process.terminate()


def is_ready(client: httpx.Client) -> bool:
    """Whether the server listens and has loaded its model."""
    try:
        return client.get("/health").is_success
    except httpx.TransportError:
        return False


def llama_cpp_scores(program: Path, gguf: Path, prompts: list[str]) -> dict[str, Any]:
    """Log-odds by llama.cpp's server, the processor seconds that it took for them, and its resident memory then."""
    with llama_cpp_server(program, gguf) as (client, server):
        start, before, scores = time.perf_counter(), sum(server.cpu_times()[:2]), list[float]()
        for prompt in prompts:
            body = {"prompt": prompt, "n_predict": 1, "n_probs": N_LIKELIEST, "temperature": 0, "cache_prompt": True}
            found = client.post("/completion", json=body).raise_for_status().json()["completion_probabilities"][0]
            likeliest: dict[str, float] = {entry["token"]: entry["logprob"] for entry in found["top_logprobs"]}
            scores.append(likeliest["Yes"] - likeliest["No"])
        return {
            "scores": scores,
            "seconds": time.perf_counter() - start,
            "processor_seconds": sum(server.cpu_times()[:2]) - before,
            "peak_bytes": server.memory_info().rss,
        }


def whole_gguf(folder: Path, into: Path) -> Path:
    """The GGUF file that the model was made of, its parts joined."""
    whole = into / "whole.gguf"
    with whole.open("wb") as written:
        for part in gguf_of(read_origin(folder)["model"]).parts:
            with part.path.open("rb") as read:
                shutil.copyfileobj(read, written)
    return whole


def run(procedure: str, folder: Path, dtype: str, n_rows: int, program: Path | None) -> None:
    """Score the first rows with one of them."""
    task, _ = movie_task(64, 1)
    samples, scoring = task.test[:n_rows], replace(SCORING, rule="logit_difference")
    model, tokenizer = load_base(folder, Loading(dtype, "none", n_threads=1))
    encoded = encode_samples(tokenizer, samples, task.items, scoring)
    asked = [question_of(tokenizer, "released", sample, task.items, stray_comment=True).text for sample in samples]
    if procedure == "ours":
        measured(lambda: {"scores": [prediction.score for prediction in score_encoded(model, encoded, scoring)]})
    elif procedure == "logit-score":
        del model  # it loads the same weights
        measured(lambda: {"scores": logit_scores(folder, dtype, asked, encoded)})
    else:
        assert program is not None
        del model
        with tempfile.TemporaryDirectory() as temporary:
            served: dict[str, Any] = {}
            work = partial(llama_cpp_scores, program, whole_gguf(folder, Path(temporary)), asked)
            measured(lambda: served.update(work()) or {}, lambda: served)


def compare(folder: Path, dtype: str, n_rows: int, program: Path | None) -> int:
    """Run all that are there and print a table."""
    results: dict[str, dict[str, Any]] = {}
    failures: list[str] = []
    is_there = {"logit-score": find_spec("sentence_transformers") is not None, "llama.cpp": program is not None}
    chosen = ["--dtype", dtype, "--rows", n_rows, *(("--llama-server", program) if program else ())]
    for name in SCORERS:
        if not is_there.get(name, True):
            print(f"not here, so not compared: {name}")
            continue
        results[name] = in_a_process_of_its_own(__file__, folder, *chosen, "--run", name)
        result, ours = results[name], results["ours"]
        pace = [n_rows / each["processor_seconds"] for each in (result, ours)]
        print(f"{row(name, result)} {pace[0]:.1f} prompts a second, ours {pace[1] / pace[0]:.2f} times", flush=True)
        furthest = max(abs(one - other) for one, other in zip(result["scores"], ours["scores"], strict=True))
        ranks = float(spearmanr(result["scores"], ours["scores"])[0])
        print(f"  largest difference of log-odds {furthest:.1e}, rank correlation {ranks:.4f}")
        if name == "llama.cpp":
            failures += [f"{name}: ranks correlate with {ranks:.3f}"] * (ranks < LEAST_RANKS)
        else:
            failures += [f"{name}: log-odds differ by {furthest}"] * (furthest > CLOSE[dtype])
    print("\n".join(failures))
    return 1 if failures else 0


def main() -> int:
    """Run one of them, or compare all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="what stage `base` has made of a GGUF file: models/base of a run")
    parser.add_argument("--dtype", choices=list(CLOSE), default="bfloat16")
    parser.add_argument("--rows", type=int, default=200, help="test samples that are scored")
    parser.add_argument("--llama-server", type=Path, help="the program")
    parser.add_argument("--run", choices=SCORERS, help="one of those compared")
    options = parser.parse_args()
    if options.run:
        run(options.run, options.folder, options.dtype, options.rows, options.llama_server)
        return 0
    return compare(options.folder, options.dtype, options.rows, options.llama_server)


if __name__ == "__main__":
    sys.exit(main())
