"""The stage `evaluate` on a million predictions, with the influence of each user: time and peak memory.

    OMP_NUM_THREADS=1 python tests/benchmarks/large_evaluation.py
    OMP_NUM_THREADS=1 python tests/benchmarks/large_evaluation.py --cells 1 --rows 1000000 --users 1000000

Twice by default: 100 cells of 10,000 rows, and one of 1,000,000. Predictions are generated with a seed and
written as the stages write them; each run is a process of its own. The audit of 100,000 training rows is part of it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from benchmark.artifacts import files, paths  # noqa: E402
from benchmark.config.params import Params  # noqa: E402
from benchmark.methods.configuration import load_config  # noqa: E402
from benchmark.methods.grid import cells  # noqa: E402
from benchmark.stages import evaluate  # noqa: E402

DOMAIN = "movie"
LENGTH, N_ITEMS, N_TRAIN, N_VALID = 10, 20_000, 100_000, 10_000
SHOTS = 256


def params_of(n_cells: int) -> Params:
    """A grid of `n_cells`: one control that hashes the seed, with as many seeds."""
    committed = load_config(ROOT / "params.yaml")
    grid = {"domains": (DOMAIN,), "n_shots": (SHOTS,), "seeds": tuple(range(n_cells)), "controls": ("random",)}
    movie = committed.domains[DOMAIN].model_copy(update={"extended_rows_per_user": 0})
    none = dict.fromkeys(("baselines", "recipes", "train_domains", "icl_models", "prompts"), ())
    return committed.model_copy(
        update={
            "domains": {DOMAIN: movie},
            "grid": committed.grid.model_copy(update=grid | none),
            "probe": committed.probe.model_copy(update={"variants": ()}),
        }
    )


def write(n_cells: int, n_rows: int, n_users: int) -> None:
    """Prepared samples, labels, draws and predictions, in the current folder."""
    rng = np.random.default_rng(0)
    sizes = {"train": N_TRAIN, "valid": N_VALID, "test": n_rows}
    items = pa.array([f"movie-{number}" for number in range(N_ITEMS)])
    for split, n in sizes.items():
        offsets = pa.array(np.arange(0, LENGTH * n + 1, LENGTH), pa.int32())
        liked = pa.array(rng.random(n) < 0.5)
        history = items.take(pa.array(rng.integers(0, N_ITEMS, LENGTH * n)))
        columns = {
            "sample_id": pa.array([f"{split}-{number:07d}" for number in range(n)]),
            "user_id": pa.array([f"user-{number}" for number in np.sort(rng.integers(0, n_users, n)).tolist()]),
            "history_item_ids": pa.ListArray.from_arrays(offsets, history),
            "history_liked": pa.ListArray.from_arrays(offsets, pa.array(rng.random(LENGTH * n) < 0.5)),
            "target_item_id": items.take(pa.array(rng.integers(0, N_ITEMS, n))),
        }
        path = paths.prepared_folder(DOMAIN) / f"{split}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns if split == "test" else columns | {"liked": liked}), path)
        if split == "test":
            labels = paths.labels_file(DOMAIN)
            labels.parent.mkdir(parents=True)
            pq.write_table(pa.table({"sample_id": columns["sample_id"], "liked": liked}), labels)
    files.write_json(
        paths.prepared_folder(DOMAIN) / "stats.json", {"splits": {"train": {"rows": N_TRAIN}}, "notes": {}}
    )
    params = params_of(n_cells)
    for seed in params.grid.seeds:
        ids = [f"train-{number:07d}" for number in rng.choice(N_TRAIN, SHOTS, replace=False).tolist()]
        files.write_json(
            paths.draw_folder(DOMAIN, SHOTS, seed) / "draw.json", {"ids": {"llm": ids, "conventional": ids}}
        )
    for cell in cells(params, {DOMAIN: N_TRAIN}):
        path = paths.cell_folder("predictions", cell) / "scores.parquet"
        path.parent.mkdir(parents=True)
        scores = np.round(rng.normal(size=n_rows) + 0.3 * np.asarray(liked), 3)  # some are equal
        pq.write_table(pa.table({"sample_id": columns["sample_id"], "score": scores}), path)


def evaluated(n_cells: int) -> dict[str, float | str]:
    """The stage in the current folder: seconds, peak of this process, and the first row of its table."""
    params = params_of(n_cells)
    evaluate.load_config = lambda: params
    start, before = time.perf_counter(), time.process_time()
    evaluate.run(partial=False)
    wall, processor = time.perf_counter() - start, time.process_time() - before
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    first = paths.METRICS_CSV.read_text().splitlines()[1]
    return {"wall": wall, "processor": processor, "peak_gib": int(status["VmHWM"].split()[0]) / 2**20, "first": first}


def main(argv: Sequence[str] | None = None) -> None:
    """Print one line a size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--users", type=int, help="default: a hundredth of the rows")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.here:
        print(json.dumps(evaluated(arguments.cells)))
        return
    sizes = [(arguments.cells, arguments.rows)] if arguments.cells else [(100, 10_000), (1, 1_000_000)]
    for n_cells, n_rows in sizes:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            n_users = arguments.users or n_rows // 100
            write(n_cells, n_rows, n_users)
            command = [sys.executable, str(Path(__file__).resolve()), "--here", "--cells", str(n_cells)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(done.stderr)
            found = json.loads(done.stdout.splitlines()[-1])
            os.chdir(ROOT)
        show = "{wall:6.1f} s, processor {processor:6.1f} s, peak {peak_gib:.2f} GiB, first row {first}".format(**found)
        print(f"{n_cells:>3} cells of {n_rows:>9,} rows by {n_users:,} users: {show}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
