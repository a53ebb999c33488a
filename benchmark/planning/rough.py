"""A plan in a second: operations from the number of parameters, at an assumed speed; nothing is loaded or measured."""

import shutil
from dataclasses import dataclass
from typing import Any

from benchmark.config.params import InstructParams, Params, TuneParams
from benchmark.planning.devices import CPU, TERA, UTILISATION, Device
from benchmark.planning.model import parameters_of
from benchmark.planning.plan import Planner
from benchmark.planning.sizes import Sizes

SPEED_OF_CPU = 0.15 * TERA
"""Products of matrices in single precision on a thread of a server."""
SPEED_OF_CARD = 71 * TERA
"""Of the paper's RTX 3090."""


@dataclass(frozen=True, slots=True)
class RoughStep:
    """As `tallrec.cost.simulation.Step`."""

    flops: float
    peak_bytes: int = 0


class RoughPlanner(Planner):
    """Two operations a parameter and token forward, twice as many backward."""

    def __init__(self, params: Params, found: Sizes) -> None:
        self.params, self.sizes = params, found
        self.n_parameters = parameters_of(params)

    def scoring(self, *, of_tuned: bool, domain: str | None = None) -> Any:
        """A batch."""
        del of_tuned
        n_tokens = self.rows_a_batch(domain) * self.sizes.tokens_of(domain)
        return RoughStep(2 * self.n_parameters * n_tokens)

    def _tuning(self, n_rows: int, loss: str, stage: TuneParams | InstructParams, domain: str | None = None) -> Any:
        del loss, stage
        return RoughStep(3 * 2 * self.n_parameters * n_rows * self.sizes.tokens_of(domain))

    def _in_shards(self, step: Any) -> Any:
        return step


def rough_device() -> Device:
    """A card of the paper's kind where this machine has any, else its CPU."""
    has_card = shutil.which("nvidia-smi") is not None
    speed = SPEED_OF_CARD if has_card else SPEED_OF_CPU
    return Device("card" if has_card else CPU, 0, speed, UTILISATION, is_measured=False)
