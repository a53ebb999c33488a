"""Differences between two methods on the same test rows, their intervals and p-values, and Holm's correction.

Both methods are scored on the same resamples of users, so what users have in common cancels. Two things make a
difference uncertain: which users are in the test set (the bootstrap), and which draws and initial weights were
used (the seeds). Their variances add, and the degrees of freedom follow Welch and Satterthwaite: with two
seeds that disagree, hardly anything is certain.
"""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import scipy.special  # pyright: ignore[reportMissingTypeStubs]

from benchmark.artifacts.files import require
from benchmark.errors import SchemaError
from benchmark.schema import EXTENDED, Cell
from benchmark.seeding import derive_seed
from benchmark.statistics.auc import Floats, roc_auc, user_aucs
from benchmark.statistics.labels import TrueLabels
from benchmark.statistics.resampling import percentile_interval, resampled_auc, resampled_user_auc
from benchmark.statistics.results import csv_bytes, group_of

# scipy has no types. Whatever passes through this name is `Any`.
_special: Any = scipy.special

SIDE_COLUMNS = ("family", "method", "train_domain", "n_shots")
NUMBER_COLUMNS = ("difference", "low", "high", "standard_error", "dof")
COLUMNS = (
    *("metric", "test_domain"),
    *(f"{side}_{name}" for side in ("left", "right") for name in SIDE_COLUMNS),
    *(*NUMBER_COLUMNS, "p_value", "p_holm"),
)
Pair = tuple[Cell, Cell, str]
"""Left group, right group and metric (`auc` or `uauc`)."""


@dataclass(frozen=True, slots=True)
class CellMetric:
    """A metric of one cell, on its test rows and on resamples of their users."""

    value: float
    resampled: Floats
    """Shape (n_resamples,); NaN where it is not defined. Resample i is the same for all cells of a test domain."""
    n_users: int
    """Users that the metric is about: all, or those with both labels for UAUC."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How uncertain a difference is."""

    variance: float
    dof: float
    """Degrees of freedom of the variance; infinite where it is taken as known."""

    @property
    def standard_error(self) -> float:
        """Square root of the variance."""
        return math.sqrt(self.variance)


@dataclass(frozen=True, slots=True)
class Difference:
    """Left minus right, the mean over seeds of each."""

    value: float
    low: float
    """Percentile interval over users, as the intervals of the tables; it holds no seed noise."""
    high: float
    spread: Spread
    """Over users and seeds together; margins and p-values come from it."""


def cell_metrics(
    metric: str, scores: Mapping[Cell, Floats], truth: TrueLabels, n_resamples: int
) -> dict[Cell, CellMetric]:
    """AUC or UAUC of cells of one test domain, on the same resamples; empty where UAUC is of one user or none.

    Args:
        metric: `auc` or `uauc`.
        scores: of each cell, shape (n_samples,), in the order of `truth`.
        truth: of the test domain.
        n_resamples: resamples of users.

    Raises:
        MetricError: as `metrics.resampled_auc`.
    """
    if not scores:
        return {}
    resample = resampled_auc if metric == "auc" else resampled_user_auc
    seed = derive_seed("bootstrap", next(iter(scores)).test_domain)
    drawn = resample(truth.liked, list(scores.values()), truth.users, n_resamples=n_resamples, seed=seed)
    if drawn is None:
        return {}
    found: dict[Cell, CellMetric] = {}
    for (cell, values), resampled in zip(scores.items(), drawn, strict=True):
        if metric == "auc":
            value, n_users = roc_auc(truth.liked, values), len(set(truth.users))
        else:
            within = user_aucs(truth.liked, values, truth.users)
            value, n_users = float(np.nanmean(within)), int(np.isfinite(within).sum())
            if n_users < 2:
                return {}  # one user has no spread
        found[cell] = CellMetric(value, resampled, n_users)
    return found


def by_group(cells: Mapping[Cell, CellMetric]) -> dict[Cell, dict[int, CellMetric]]:
    """The cells of each group (`results.group_of`) by their seed."""
    groups: dict[Cell, dict[int, CellMetric]] = {}
    for cell, found in cells.items():
        groups.setdefault(group_of(cell), {})[cell.seed] = found
    return groups


def share_draws(left: Cell, right: Cell, draw: str) -> bool:
    """Whether two groups read the same drawn rows where their seeds are the same.

    Args:
        left: a group.
        right: another.
        draw: `fidelity.draw`: with `released`, language models and other methods draw differently.
    """
    kinds = [cell.family in ("icl", "tuned") for cell in (left, right)]
    is_same = (left.train_domain, left.n_shots) == (right.train_domain, right.n_shots) and left.n_shots > 0
    return is_same and (draw == "shared" or kinds[0] == kinds[1])


def difference(
    left: Mapping[int, CellMetric], right: Mapping[int, CellMetric], confidence: float, *, is_paired: bool = True
) -> Difference:
    """Left minus right; each the mean over its seeds, on the same resamples.

    Seeds are compared one by one where both sides have the same and share the draws, else as independent.
    A side of one seed adds no seed noise: nothing is known of it.

    Args:
        left: the cells of one group by seed.
        right: of another, on the same test domain.
        confidence: of the percentile interval, in (0, 1).
        is_paired: whether the same seed means the same draw (`share_draws`).

    Raises:
        MetricError: fewer than half of the resamples are defined.
    """
    resampled = mean_over_seeds(left) - mean_over_seeds(right)
    values = [np.array([cell.value for cell in side.values()]) for side in (left, right)]
    n_users = min(cell.n_users for side in (left, right) for cell in side.values())
    seeds = [values[0] - [right[seed].value for seed in left]] if is_paired and left.keys() == right.keys() else values
    spreads = [over_users(resampled, n_users), *(over_seeds(one) for one in seeds if len(one) > 1)]
    low, high = percentile_interval(resampled, confidence)
    return Difference(float(values[0].mean() - values[1].mean()), low, high, joined(spreads))


def mean_over_seeds(group: Mapping[int, CellMetric]) -> Floats:
    """The metric of a group on each resample, shape (n_resamples,)."""
    return np.mean(np.stack([cell.resampled for cell in group.values()]), axis=0)


def over_users(resampled: Floats, n_users: int) -> Spread:
    """The spread of a metric from its resamples.

    The bootstrap takes the users at hand for all users, which makes its variance too small by (n - 1) / n.
    """
    variance = float(np.nanvar(resampled, ddof=1)) * n_users / (n_users - 1)
    return Spread(variance, n_users - 1)


def of_interval(low: float, high: float, n_users: int, confidence: float) -> Spread:
    """The spread that a percentile interval over users stands for, where its resamples are not at hand."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    return Spread(((high - low) / 2 / z) ** 2, max(1, n_users - 1))


def over_seeds(values: Floats) -> Spread:
    """The spread of the mean of at least two seeds."""
    return Spread(float(values.var(ddof=1)) / len(values), len(values) - 1)


def joined(spreads: Sequence[Spread]) -> Spread:
    """The spread of a sum of independent parts.

    Source:
        Satterthwaite 1946, Welch 1947 for the degrees of freedom.
    """
    variance = sum(spread.variance for spread in spreads)
    if variance == 0:
        return Spread(0.0, min(spread.dof for spread in spreads))
    return Spread(variance, variance**2 / sum(spread.variance**2 / spread.dof for spread in spreads))


def margin(spread: Spread, confidence: float) -> float:
    """Half-width of the interval of a difference."""
    return float(_special.stdtrit(spread.dof, (1 + confidence) / 2)) * spread.standard_error


def p_below(value: float, spread: Spread) -> float:
    """One-sided: how likely a difference of `value` or less is where there is none."""
    if spread.variance == 0:
        return 0.0 if value < 0 else 1.0
    return float(_special.stdtr(spread.dof, value / spread.standard_error))


def p_value(value: float, spread: Spread) -> float:
    """Two-sided: how likely a difference as far from 0 as `value` is where there is none."""
    return min(1.0, 2 * p_below(-abs(value), spread))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values corrected for their number: at a level a, the chance of one false finding or more is at most a.

    Source:
        Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, position in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[position]))
        corrected[position] = largest
    return corrected


def table_pairs(groups: Iterable[Cell]) -> list[Pair]:
    """The pairs of the report's table: each row of the main table against TALLRec and against `liked_share`."""
    known = [group for group in groups if not group.test_domain.endswith(EXTENDED)]
    pairs: list[Pair] = []
    for left in known:
        is_main = left.family == "tuned" and left.method == f"tallrec-{left.test_domain}"
        for right in known:
            if right.test_domain != left.test_domain or left == right or right.family not in ("baseline", "control"):
                continue
            against_tallrec = is_main and right.n_shots in (0, left.n_shots)
            against_rule = left.family == "baseline" and right.method == "liked_share"
            if against_tallrec or against_rule:
                pairs += [(left, right, "auc"), (left, right, "uauc")]
    return pairs


def p_holm(differences: Mapping[Pair, Difference]) -> dict[Pair, float]:
    """The p-value of each difference, corrected over all that share its metric and test domain."""
    families: dict[tuple[str, str], list[Pair]] = {}
    for pair in differences:
        families.setdefault((pair[2], pair[0].test_domain), []).append(pair)
    corrected: dict[Pair, float] = {}
    for pairs in families.values():
        p_values = [p_value(differences[pair].value, differences[pair].spread) for pair in pairs]
        corrected |= dict(zip(pairs, holm(p_values), strict=True))
    return corrected


def differences_csv(differences: Mapping[Pair, Difference]) -> bytes:
    """`results/differences.csv`, in the order given."""
    corrected = p_holm(differences)
    lines: list[tuple[object, ...]] = []
    for pair, found in differences.items():
        left, right, metric = pair
        sides = [getattr(side, name) for side in (left, right) for name in SIDE_COLUMNS]
        numbers = (found.value, found.low, found.high, found.spread.standard_error, found.spread.dof)
        p = p_value(found.value, found.spread)
        lines.append((metric, left.test_domain, *sides, *numbers, p, corrected[pair]))
    return csv_bytes(COLUMNS, lines)


def read_differences(path: Path) -> dict[Pair, Difference]:
    """Read what `differences_csv` wrote.

    Raises:
        MissingArtifactError: the file is not there.
        SchemaError: a column is missing or a value is malformed; the message names the row.
    """
    with require(path).open(newline="") as stream:
        reader = csv.DictReader(stream)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise SchemaError(f"{path}: expected the columns {', '.join(COLUMNS)}")
        found: dict[Pair, Difference] = {}
        for number, line in enumerate(reader, start=2):
            try:
                left, right = (_group(line, side) for side in ("left", "right"))
                value, low, high, error, dof = (float(line[name]) for name in NUMBER_COLUMNS)
            except (ValueError, TypeError) as problem:
                raise SchemaError(f"{path}: line {number}: {problem}") from None
            found[left, right, line["metric"]] = Difference(value, low, high, Spread(error**2, dof))
    return found


def _group(line: Mapping[str, str], side: str) -> Cell:
    family, method, train_domain, n_shots = (line[f"{side}_{name}"] for name in SIDE_COLUMNS)
    return Cell(family, method, train_domain, line["test_domain"], int(n_shots), 0)
