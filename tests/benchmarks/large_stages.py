"""Stages `prepare`, `draw`, `controls` and `baselines` on all samples of a large table of ratings: time and memory.

    OMP_NUM_THREADS=1 python tests/benchmarks/large_stages.py
    OMP_NUM_THREADS=1 python tests/benchmarks/large_stages.py --samples 1000000 10000000 --baseline caser

Ratings are generated with a seed, in the format of MovieLens-32M. A tenth of the samples are test samples, a
hundredth validation rows. Each stage is the real command in a process of its own, so that its peak is its own; all
draws of the grid are trained in one.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
RATINGS_A_SAMPLE = 1.2
"""The first ten ratings of a user have no history of ten."""


def write_params(folder: Path, n_samples: int, baseline: str) -> None:
    """The committed configuration, on one domain of generated ratings and with one baseline."""
    yaml: Any = YAML()
    content: Any = yaml.load((ROOT / "params.yaml").read_text())
    section = {"format": "ratings-table", "source": "official", "noun": "movie", "release": "generated"}
    section |= {"layout": "csv", "history_length": 10, "liked_above": 3.5, "selection": "described"}
    content["domains"] = {"movie": {**section, "n_samples": n_samples, "split": [0.89, 0.01, 0.1]}}
    content["grid"] |= {"domains": ["movie"], "n_shots": [16, 64, 256], "seeds": [0, 1, 2, 3, 4]}
    content["grid"] |= {"baselines": [baseline], "recipes": [], "train_domains": ["movie"], "icl_models": []}
    content["probe"]["variants"], content["efficiency"]["configurations"] = [], []
    content["baselines"]["n_updates"] = {}
    with (folder / "params.yaml").open("w") as stream:
        yaml.dump(content, stream)


def run(folder: Path, stage: str, *arguments: str) -> None:
    """Run a stage in `folder` and print its seconds and peak."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    start = time.perf_counter()
    with (folder / f"{stage}.log").open("w") as log:
        command = [sys.executable, "-m", f"benchmark.stages.{stage}", *arguments]
        child = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        _, status, used = os.wait4(child.pid, 0)
    wall, processor = time.perf_counter() - start, used.ru_utime + used.ru_stime
    if status:
        raise SystemExit(f"{stage}: {(folder / f'{stage}.log').read_text()[-2000:]}")
    print(
        f"  {stage:9}: {wall:7.1f} s, processor {processor:7.1f} s, peak {used.ru_maxrss / 2**20:.2f} GiB", flush=True
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Print one line a stage and size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--baseline", default="caser")
    arguments = parser.parse_args(argv)
    for n_samples in arguments.samples:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            raw = folder / "data/raw/movie"
            generate = (
                "import sys; from pathlib import Path; from large_data import generate;"
                "generate(Path(sys.argv[1]), int(sys.argv[2]))"
            )
            n_ratings = str(int(n_samples * RATINGS_A_SAMPLE))
            subprocess.run([sys.executable, "-c", generate, str(raw), n_ratings], cwd=Path(__file__).parent, check=True)
            write_params(folder, n_samples, arguments.baseline)
            print(f"{n_samples:,} samples, {n_samples // 10:,} of them for the test", flush=True)
            run(folder, "prepare", "--domain", "movie")
            run(folder, "draw")
            run(folder, "controls", "--domain", "movie")
            run(folder, "baselines", "--baseline", arguments.baseline, "--domain", "movie")


if __name__ == "__main__":
    main()
