"""A plan in a second: operations from the shape of the model, at an assumed speed; nothing is loaded or measured."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.config.params import InstructParams, Params, TuneParams
from benchmark.planning.devices import CPU, TERA, UTILISATION, Device
from benchmark.planning.model import shape_of
from benchmark.planning.plan import Planner
from benchmark.planning.sizes import Sizes
from benchmark.threads import threads_for

SPEEDS = {
    "bfloat16": {
        "amx_bf16": 1.2 * TERA,
        "avx512_bf16": 0.45 * TERA,
        "avx512bw": 0.03 * TERA,
        "avx2": 0.006 * TERA,
    },
    "float32": {"avx512f": 0.15 * TERA, "avx2": 0.08 * TERA},
}
"""Products of matrices on a thread in operations a second, by an instruction of the processor, the fastest first.

Where nothing multiplies bfloat16, torch converts it, 0.030e12 both ways beside 0.13e12 in float32 on an Intel Xeon with
`avx512bw`, or adds in plain loops, 0.009e12 forward and 0.003e12 with the way back, beside 0.08e12, on an AMD EPYC with
`avx2`.
"""
ELSEWHERE = 0.15 * TERA
"""The same where the processor says nothing that is known here."""
BETWEEN = 0.4e9
"""What products would reach for each unit of width if only the work between them took time: norms, attention, copies.

Products grow with the square of the width and that work with the width. From Gemma 3 270M, SmolLM2-135M and the tiny
model, scored and tuned on a thread: 0.15e9 to 0.7e9.
"""
CPU_INFO = Path("/proc/cpuinfo")
"""Where Linux tells what the processor has."""
SPEED_OF_CARD = 71 * TERA
"""Of the paper's RTX 3090."""


@dataclass(frozen=True, slots=True)
class RoughStep:
    """As `tallrec.cost.simulation.Step`."""

    flops: float
    peak_bytes: int = 0


class RoughPlanner(Planner):
    """Two operations a weight and token forward and two backward, since frozen weights get no gradient.

    Only tokens that are answered go through the output layer. What attention multiplies is left out.
    """

    def __init__(self, params: Params, found: Sizes) -> None:
        self.params, self.sizes = params, found
        self.shape = shape_of(params)

    def scoring(self, *, of_tuned: bool, domain: str | None = None) -> Any:
        """A batch."""
        del of_tuned
        n_rows, n_tokens = self.rows_a_batch(domain), self.sizes.tokens_of(domain)
        return RoughStep(2 * n_rows * (self.shape.in_layers * n_tokens + self.shape.in_output))

    def _tuning(self, n_rows: int, loss: str, stage: TuneParams | InstructParams, domain: str | None = None) -> Any:
        n_tokens = self.sizes.tokens_of(domain)
        n_answered = n_tokens if loss == "all_tokens" else 1
        n_passes = 3 if stage.gradient_checkpointing else 2
        a_row = n_passes * self.shape.in_layers * n_tokens + 2 * self.shape.in_output * n_answered
        return RoughStep(2 * n_rows * a_row)

    def _in_shards(self, step: Any) -> Any:
        return step


def rough_device(params: Params) -> Device:
    """A card of the paper's kind where this machine has any, else the threads of its CPU that are asked for."""
    if shutil.which("nvidia-smi") is not None:
        return Device("card", 0, SPEED_OF_CARD, UTILISATION, is_measured=False)
    products, between = _products(params.llm.dtype), BETWEEN * shape_of(params).width
    n_threads = min(threads_for(params.llm.n_threads), os.cpu_count() or 1)
    # Seconds in products and seconds between them add up.
    return Device(CPU, 0, products * n_threads, between / (between + products), is_measured=False)


def times_float32(dtype: str) -> float:
    """How many times the products of this machine's CPU in `dtype` are as many as in float32."""
    return _products(dtype) / _products("float32")


def _products(dtype: str) -> float:
    """Operations a second of products of matrices on a thread of this machine."""
    known = CPU_INFO.read_text(encoding="utf-8").split() if CPU_INFO.exists() else ()
    speeds = SPEEDS.get(dtype, SPEEDS["float32"])
    return next((speed for instruction, speed in speeds.items() if instruction in known), ELSEWHERE)
