"""How much sooner a sweep over two workers ends than `dvc repro`, on cells that only sleep.

Both make the same results; the cells take no processor, so what is measured is what git, DVC and Dask cost.

Usage: python tests/benchmarks/sweep_speedup.py [--cells 12] [--seconds 10]     (exit code 1 below 1.6 times)
"""

import argparse
import importlib.util
import sys
import tempfile
import time
from pathlib import Path

LEAST = 1.6
CONFTEST = Path(__file__).parents[1] / "sweep/conftest.py"


def main() -> int:
    """Run both and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=10)
    arguments = parser.parse_args()
    spec = importlib.util.spec_from_file_location("sweep_conftest", CONFTEST)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with tempfile.TemporaryDirectory() as folder:
        times: dict[str, float] = {}
        metrics: dict[str, bytes] = {}
        for way in ("dvc repro", "sweep"):
            (Path(folder) / way).mkdir()
            repository = module.Repository(Path(folder) / way, arguments.cells, arguments.seconds, 0)
            start = time.perf_counter()
            if way == "sweep":
                done = repository.sweep("--workers", "2")
                assert done.returncode == 0, done.stderr
            else:
                repository.run("dvc", "repro")
            times[way] = time.perf_counter() - start
            metrics[way] = repository.metrics.read_bytes()
            print(f"{way}: {times[way]:.1f} s for {arguments.cells} cells of {arguments.seconds:g} s", flush=True)
    assert metrics["sweep"] == metrics["dvc repro"]
    ratio = times["dvc repro"] / times["sweep"]
    print(f"{ratio:.2f} times sooner with two workers")
    return int(ratio < LEAST)


if __name__ == "__main__":
    sys.exit(main())
