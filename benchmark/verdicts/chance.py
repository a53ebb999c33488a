"""What the best of several validation AUCs reaches by chance, where the rows of one user hang together."""

import functools
import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np

from benchmark.artifacts.files import read_labelled
from benchmark.artifacts.paths import prepared_folder
from benchmark.config.params import Params
from benchmark.schema import LAST, SEARCHED, Cell, Labelled
from benchmark.seeding import derive_seed

ONE_SIDED = 0.025
"""How often the best look exceeds the bound, at most, of a score that knows nothing of what users like."""


def chance_auc(labels: Sequence[bool], users: Sequence[str], n_looks: int = 1) -> float:
    """The AUC that the best of `n_looks` looks exceeds in at most one of 40 runs, by scores that know nothing.

    Such a score may be the same for all rows of a user, whose order is then random: with few users that reaches further
    than random scores of single rows. Where each row has a user of its own, it is the variance of Mann and Whitney.

    Args:
        labels: of the validation rows; both are there.
        users: of the same rows.
        n_looks: validations of which the best is taken. They count as independent, so that the bound is high.

    Source:
        The variance of the share of pairs in order when whole users are permuted, in closed form; Bonferroni for looks.
    """
    numbers = np.unique(np.asarray(users), return_inverse=True)[1]
    is_liked = np.asarray(labels, dtype=np.bool_)
    liked, disliked = (np.bincount(numbers, one).astype(np.float64) for one in (is_liked, ~is_liked))
    n_pairs = liked.sum() * disliked.sum()
    # A pair of users adds half of d = liked_u disliked_v - liked_v disliked_u, with the sign of their order; the signs
    # of two pairs that share a user are correlated by 1/3.
    squares = ((liked**2).sum() * (disliked**2).sum() - (liked * disliked).sum() ** 2) / 2
    sums = ((liked * disliked.sum() - disliked * liked.sum()) ** 2).sum() / 4
    sd = math.sqrt((squares / 6 + sums / 3) / n_pairs**2)
    return min(1.0, 0.5 - NormalDist().inv_cdf(ONE_SIDED / n_looks) * sd)


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
