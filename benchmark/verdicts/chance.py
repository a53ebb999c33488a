"""What the best of several validation AUCs reaches by chance, where the rows of one user hang together."""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from benchmark.artifacts.files import read_labelled
from benchmark.artifacts.paths import prepared_folder
from benchmark.config.params import Params
from benchmark.schema import LAST, SEARCHED, Cell, Labelled
from benchmark.seeding import derive_seed
from benchmark.statistics.auc import chance_auc


class ChanceBounds:
    """The bound of each cell that chose a checkpoint on validation rows of its own domain."""

    def __init__(self, params: Params) -> None:
        self.params = params
        self._bound = functools.cache(self._bound_of)

    def __call__(self, cell: Cell, record: Mapping[str, Any]) -> float:
        """The bound for a cell.

        Args:
            cell: a baseline or a tuned model.
            record: of its tuning, which says how long that was.

        Raises:
            MissingArtifactError: the domain is not prepared.
        """
        training, tune = self.params.baselines.training, self.params.tune
        if cell.family == "tuned":
            n_looks, limit = math.ceil(record["n_steps"] / tune.eval_every), tune.max_valid_samples
        else:
            n_looks, limit = math.ceil(record["n_updates"] / training.eval_every), None
            if cell.method.endswith(f"-{SEARCHED}"):  # the best of several decays
                n_looks *= len(training.weight_decay_grid)
            elif cell.method.endswith(f"-{LAST}"):  # it chose nothing
                n_looks = 1
        return self._bound(cell.train_domain, limit, max(1, n_looks))

    def _bound_of(self, domain: str, limit: int | None, n_looks: int) -> float:
        # The rows that `tallrec.training.tuning.rec_tune` looks at, in its order.
        rows = sorted(_valid_rows(domain), key=lambda row: derive_seed("valid", row.sample.sample_id))[:limit]
        return chance_auc([row.liked for row in rows], [row.sample.user_id for row in rows], n_looks)


def _valid_rows(domain: str) -> Sequence[Labelled]:
    return read_labelled(prepared_folder(domain) / "valid.parquet")
