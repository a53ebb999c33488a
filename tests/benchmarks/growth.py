"""What grows with the grid: stages `evaluate` and `report`, `tallrec-bench plan`, and DVC's look at what is up to date.

    OMP_NUM_THREADS=1 python tests/benchmarks/growth.py
    OMP_NUM_THREADS=1 python tests/benchmarks/growth.py --cells 300

The grid of the committed configuration on the embedded world, with as many seeds as give so many cells. Its rows are
those of the real stages; predictions are drawn with a seed, and every other output is a file that says nothing, so that
DVC has as many files to look after as after a run. Each command is a process of its own.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/pipeline")]

from toy import dvc, environment, new_repository, run  # noqa: E402

from benchmark.config.reading import read_yaml  # noqa: E402
from benchmark.methods.configuration import load_config  # noqa: E402
from benchmark.methods.grid import cells  # noqa: E402

FILL = """
import sys
import numpy as np
from benchmark.artifacts import files, paths
from benchmark.methods.configuration import load_config
from benchmark.methods.grid import cells
from benchmark.schema import Prediction
params, rng = load_config(), np.random.default_rng(0)
n_train = {domain: files.read_json(paths.prepared_folder(domain) / "stats.json")["splits"]["train"]["rows"]
           for domain in params.grid.domains}
ids = {name: [row.sample_id for row in files.read_samples(paths.test_file(name))]
       for domain in params.grid.domains for name in params.test_sets(domain)}
for cell in cells(params, n_train):
    scores = rng.random(len(ids[cell.test_domain])).tolist()
    files.write_predictions("predictions", cell, list(map(Prediction, ids[cell.test_domain], scores)))
from dvc.repo import Repo
from pathlib import Path
for out in Repo().index.outs:
    path = Path(out.fs_path)
    if not path.exists():
        (path if path.suffix else path / "nothing.txt").parent.mkdir(parents=True, exist_ok=True)
        (path if path.suffix else path / "nothing.txt").write_text("{}")
"""
COMMANDS = {
    "evaluate": ["-m", "benchmark.stages.evaluate"],
    "report": ["-m", "benchmark.stages.report"],
    "plan": ["-m", "benchmark.cli", "plan"],
    "dvc status": ["-m", "dvc", "status"],
    "dvc repro, nothing to do": ["-m", "dvc", "repro", "--dry"],
}


def n_cells(n_seeds: int) -> int:
    """Cells of the committed grid with so many seeds."""
    params = load_config(ROOT / "params.yaml")
    grid = params.grid.model_copy(update={"seeds": tuple(range(n_seeds)), "cheap_seeds": None})
    return sum(1 for _ in cells(params.model_copy(update={"grid": grid}), dict.fromkeys(grid.domains, 0)))


def timed(folder: Path, arguments: Sequence[str]) -> str:
    """Processor seconds and peak of a command, which must end well."""
    start = time.perf_counter()
    with (folder / "log").open("w") as log:
        command = [sys.executable, *arguments]
        child = subprocess.Popen(command, cwd=folder, env=environment(folder), stdout=log, stderr=log)
        _, status, used = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(arguments)}: {(folder / 'log').read_text()[-2000:]}")
    wall, processor = time.perf_counter() - start, used.ru_utime + used.ru_stime
    return f"{processor:6.1f} s ({wall:.1f} s), {used.ru_maxrss / 2**20:.2f} GiB"


def measure(n_wanted: int) -> None:
    """Print one line a command for the smallest grid with at least `n_wanted` cells."""
    n_seeds = next(n for n in range(1, n_wanted + 1) if n_cells(n) >= n_wanted)
    with tempfile.TemporaryDirectory() as temporary:
        changes = {"grid.seeds": list(range(n_seeds)), "grid.cheap_seeds": None, "efficiency.configurations": []}
        folder = new_repository(Path(temporary) / "repository", changes)
        dvc(folder, "init", "-q", "-f")
        domains = read_yaml(folder / "params.yaml")["grid"]["domains"]
        for stage in ("raw", "prepare"):
            for domain in domains:
                run(folder, sys.executable, "-m", f"benchmark.stages.{stage}", "--domain", domain)
        run(folder, sys.executable, "-m", "benchmark.stages.draw")
        run(folder, sys.executable, "-c", FILL)
        timed(folder, COMMANDS["evaluate"])  # what is timed below reads its outputs
        timed(folder, COMMANDS["report"])
        dvc(folder, "commit", "-q", "-f")
        n_stages = len(dvc(folder, "stage", "list", "--name-only").splitlines())
        print(f"{n_cells(n_seeds):,} cells, {n_seeds} seeds, {n_stages} stages", flush=True)
        for name, arguments in COMMANDS.items():
            print(f"  {name:25} {timed(folder, arguments)}", flush=True)


def main() -> None:
    """Print one line a command and size: processor seconds, seconds by the clock, and peak memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, nargs="+", default=[100, 300, 1000])
    for n_wanted in parser.parse_args().cells:
        measure(n_wanted)


if __name__ == "__main__":
    main()
