"""Time and memory of scoring real movie samples: released evaluate.py against `tallrec.scoring.samples`, on one core.

The released procedure decodes up to 128 tokens a prompt, in batches of 32 in file order, and reads the scores of the
first. An untuned model decodes all of them, a tuned one stops after its answer. Each runs in a process of its own.

Exit code 1: the scores or their ranking differ, a ratio is below its claim, or ours takes more memory.

Usage: OMP_NUM_THREADS=1 TALLREC_BENCH_MIRROR=... python tests/benchmarks/benchmark_scoring.py [--rows 1000]
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from released_llm import (
    SCORING,
    in_a_process_of_its_own,
    load,
    measured,
    movie_task,
    n_ranked_otherwise,
    released_scores,
    row,
    write_models,
)

from tallrec.prompts.chat import question_of
from tallrec.scoring.samples import encode_samples, score_samples

CLAIMS = {"untuned": 10.0, "tuned": 1.5}
"""Times that ours is faster."""


def run(procedure: str, name: str, folder: Path, n_rows: int) -> None:
    """Score the first `n_rows` test samples with one procedure."""
    task, _ = movie_task(64, 1)
    samples = task.test[:n_rows]
    model, tokenizer = load(folder, name)

    def released() -> dict[str, Any]:
        tokens = encode_samples(tokenizer, samples[:1], task.items, SCORING).tokens
        prompts = [
            question_of(tokenizer, "released", sample, task.items, stray_comment=True).text for sample in samples
        ]
        scores, n_decoded = released_scores(model, tokenizer, prompts, tokens)
        return {"scores": scores, "n_decoded": n_decoded}

    def ours() -> dict[str, Any]:
        predictions = score_samples(model, tokenizer, samples, task.items, SCORING)
        return {"scores": [prediction.score for prediction in predictions]}

    measured(released if procedure == "released" else ours)


def compare(folder: Path, n_rows: int, *, judges_cost: bool) -> int:
    """Run both on both models and print a table."""
    write_models(folder)
    failures: list[str] = []
    for name, claim in CLAIMS.items():
        released, ours = (
            in_a_process_of_its_own(__file__, "--run", procedure, name, folder, "--rows", n_rows)
            for procedure in ("released", "ours")
        )
        print(row(f"{name}, released ({released['n_decoded']:.0f} tokens decoded)", released))
        print(row(f"{name}, ours", ours, released))
        pairs = list(zip(released["scores"], ours["scores"], strict=True))
        difference = max(abs(one - other) for one, other in pairs)
        spread = max(ours["scores"]) - min(ours["scores"])
        n_swapped = n_ranked_otherwise(ours["scores"], released["scores"])
        print(f"  largest difference {difference:.1e} of a spread of {spread:.1e}, {n_swapped} pairs ranked otherwise")
        ratio = released["processor_seconds"] / ours["processor_seconds"]
        failures += [
            f"{name}: {text}"
            for text, holds in (
                ("scores differ", difference < 1e-3),
                (f"{n_swapped} pairs are ranked otherwise", n_swapped == 0),
                (f"{ratio:.2f} times is less than {claim}", ratio >= claim or not judges_cost),
                ("more memory than released", ours["peak_bytes"] < released["peak_bytes"] or not judges_cost),
            )
            if not holds
        ]
    print("\n".join(failures))
    return 1 if failures else 0


def main() -> int:
    """Run one procedure, or compare all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--results-only", action="store_true", help="do not judge time and memory, as in a short run")
    parser.add_argument("--run", nargs=3, metavar=("PROCEDURE", "MODEL", "FOLDER"), help="one of those compared")
    arguments = parser.parse_args()
    if arguments.run:
        procedure, name, folder = arguments.run
        run(procedure, name, Path(folder), arguments.rows)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        return compare(Path(folder), arguments.rows, judges_cost=not arguments.results_only)


if __name__ == "__main__":
    sys.exit(main())
