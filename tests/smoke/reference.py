"""Prints the path of the metrics of `make smoke` that were kept for processors like this one.

`tallrec-bench check --against $(python tests/smoke/reference.py)`. The tiny model that the pipeline pretrains is
another one where the processor rounds otherwise, and so are its results. Where neither file fits, add `--by-mean`.
"""

from pathlib import Path

import torch

FOLDER = Path(__file__).parent
NAMES = {"AVX2": "metrics-avx2.csv"}
"""By what torch calls the instructions that it uses; all others: `metrics.csv`, of a processor with AVX-512."""

if __name__ == "__main__":
    print(FOLDER / NAMES.get(torch.backends.cpu.get_cpu_capability(), "metrics.csv"))
