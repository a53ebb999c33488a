"""What a score is made of: its rank correlation with the score of each rule, on the same rows."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import scipy.stats  # pyright: ignore[reportMissingTypeStubs]

from benchmark.methods.controls import NEUTRAL
from benchmark.schema import Cell, group_of
from benchmark.statistics.auc import Floats
from benchmark.statistics.labels import TestRows
from benchmark.statistics.results import GROUP_COLUMNS

CORRELATIONS_CSV = Path("results/correlations.csv")
CORRELATIONS_COLUMNS = (
    *GROUP_COLUMNS,
    *("rule", "rank_correlation", "n_seeds"),
)

# scipy has no types. Whatever passes through this name is `Any`.
_stats: Any = scipy.stats


def standard_ranks(scores: Floats) -> Floats | None:
    """Ranks with mean 0 and length 1, equal scores sharing theirs; None where all scores are equal.

    The product of two such is Spearman's rank correlation.
    """
    ranks = _centred_ranks(scores)
    length = float(np.sqrt(ranks @ ranks))
    return ranks / length if length > 0 else None


def _centred_ranks(scores: Floats) -> Floats:
    """Ranks with mean 0: multiples of a half, so that a sum of their products is exact in any order."""
    ranks = np.asarray(_stats.rankdata(scores), dtype=np.float64)
    return ranks - (len(ranks) + 1) / 2


def share_correlation(rows: TestRows, scores: Floats) -> float | None:
    """Spearman's rank correlation of scores with the share of likes in the histories, as the rule scores them.

    Args:
        rows: of the test set.
        scores: shape (n_rows,), in their order.

    Returns:
        In [-1, 1]; None where all scores or all shares are equal.
    """
    shares = np.array(rows.shares)
    ranks, of_rule = _centred_ranks(scores), _centred_ranks(np.where(shares < 0, NEUTRAL, shares))
    lengths = float(np.sqrt((ranks @ ranks) * (of_rule @ of_rule)))
    return float(ranks @ of_rule) / lengths if lengths > 0 else None


def correlation_rows(
    scores: Mapping[Cell, Floats], rules: Mapping[str, Mapping[str, Cell]]
) -> Iterator[tuple[object, ...]]:
    """The lines of `results/correlations.csv`: every group with every rule, the mean over the seeds of the group.

    Args:
        scores: of every cell that was run, in the order of the rows of its test set.
        rules: by test set, the cell of each rule by its name; those that were not run are left out.
    """
    ranks_of_rules = {
        (test_domain, name): standard_ranks(scores[cell])
        for test_domain, of_names in rules.items()
        for name, cell in of_names.items()
        if cell in scores
    }
    groups: dict[Cell, list[Floats | None]] = defaultdict(list)
    for cell, values in scores.items():
        groups[group_of(cell)].append(standard_ranks(values))
    for group, of_seeds in groups.items():
        for (test_domain, name), rule in ranks_of_rules.items():
            if test_domain == group.test_domain:
                found = [float(ranks @ rule) for ranks in of_seeds if ranks is not None and rule is not None]
                yield *astuple(group)[:-1], name, float(np.mean(found)) if found else None, len(found)
