"""The sweep as SLURM job arrays, for sites that forbid a scheduler of one's own: one array a level of the graph."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmark.sweep.cell import Order
from benchmark.sweep.graph import Graph

HEAD = """#!/bin/bash
# Submit the cells level by level: bash THIS FILE. Options of sbatch, such as --time=4:00:00, come from SBATCH_OPTIONS.
# When the last array has ended: tallrec-bench sweep --collect
set -euo pipefail
after=()
jobs=
"""


def slurm_script(graph: Graph, orders: Mapping[str, Order], clones: Path, gpus: Mapping[str, int]) -> str:
    """A script that submits the job arrays of a level after those of the one before; each task makes one cell.

    Cells of a level that ask for the same number of GPUs are one array.

    Args:
        graph: the pipeline.
        orders: by stage; stages of the graph without an order are up to date.
        clones: folder of the clones, one a task, on every machine the same path.
        gpus: that a stage asks for, by stage; a stage that is not there asks for none.
    """
    parts = [HEAD]
    for level in graph.levels():
        wanted = [stage for stage in level if stage in orders]
        numbers = sorted({gpus.get(stage, 0) for stage in wanted})
        arrays = [[stage for stage in wanted if gpus.get(stage, 0) == number] for number in numbers]
        parts += [_array(stages, number, orders, clones) for stages, number in zip(arrays, numbers, strict=True)]
        if arrays:
            parts.append("after=(--kill-on-invalid-dep=yes --dependency=afterok$jobs)\njobs=\n")
    return "".join(parts)


def _array(stages: Sequence[str], n_gpus: int, orders: Mapping[str, Order], clones: Path) -> str:
    order = orders[stages[0]]
    words = [sys.executable, "-m", "benchmark.sweep.cell"]
    words += ["--repository", order.repository, "--revision", order.revision]
    words += [word for override in order.overrides for word in ("-S", override)]
    listed = " ".join(map(shlex.quote, stages))
    clone = f'{shlex.quote(str(clones))}/"$SLURM_ARRAY_JOB_ID-$SLURM_ARRAY_TASK_ID"'
    task = f'stages=({listed}); {shlex.join(words)} --clone {clone} --stage "${{stages[$SLURM_ARRAY_TASK_ID]}}"'
    asks = f" --gpus-per-task={n_gpus} --ntasks=1" if n_gpus else ""
    submit = f'sbatch --parsable ${{SBATCH_OPTIONS:-}}{asks} "${{after[@]}}" --array=0-{len(stages) - 1} --wrap'
    return f"jobs+=:$({submit} {shlex.quote(f'bash -c {shlex.quote(task)}')})\n"
