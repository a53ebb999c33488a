"""The sweep as SLURM job arrays, for sites that forbid a scheduler of one's own: one array a level of the graph."""

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from benchmark.sweep.cell import Order
from benchmark.sweep.graph import Graph

HEAD = """#!/bin/bash
# Submit the cells level by level: bash THIS FILE. Options of sbatch, such as --gres=gpu:1, come from SBATCH_OPTIONS.
# When the last array has ended: tallrec-bench sweep --collect
set -euo pipefail
after=()
"""


def slurm_script(graph: Graph, orders: Mapping[str, Order], clones: Path) -> str:
    """A script that submits one job array a level, each after the one before; each task makes one cell."""
    parts = [HEAD]
    for level in graph.levels():
        stages = [stage for stage in level if stage in orders]
        if not stages:
            continue
        order = orders[stages[0]]
        words = [sys.executable, "-m", "benchmark.sweep.cell"]
        words += ["--repository", order.repository, "--revision", order.revision]
        words += [word for override in order.overrides for word in ("-S", override)]
        listed = " ".join(map(shlex.quote, stages))
        clone = f'{shlex.quote(str(clones))}/"$SLURM_ARRAY_JOB_ID-$SLURM_ARRAY_TASK_ID"'
        task = f'stages=({listed}); {shlex.join(words)} --clone {clone} --stage "${{stages[$SLURM_ARRAY_TASK_ID]}}"'
        submit = f'sbatch --parsable ${{SBATCH_OPTIONS:-}} "${{after[@]}}" --array=0-{len(stages) - 1} --wrap'
        parts.append(
            f"job=$({submit} {shlex.quote(f'bash -c {shlex.quote(task)}')})\nafter=(--dependency=afterok:$job)\n"
        )
    return "".join(parts)
