"""AUC on parts of a test set: rows whose target film is of the median year or earlier, and those of later films.

What a model has read of a film grows with its age. A rule that reads no title stands beside the model, since the two
parts need not be equally hard.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.artifacts.files import read_items, read_samples
from benchmark.artifacts.paths import prepared_folder, test_file
from benchmark.schema import Cell, domain_of
from benchmark.statistics.auc import Bools, Floats, Integers
from benchmark.statistics.estimates import Estimates, known_of
from benchmark.statistics.influence import Measured, auc_of_pairs
from benchmark.statistics.labels import TestRows
from benchmark.statistics.results import GROUP_COLUMNS, csv_bytes

YEARS_CSV = Path("results/years.csv")
YEARS_COLUMNS = (*GROUP_COLUMNS, "median_year", "part", "n_samples", "n_users", "auc", "low", "high")
PARTS = ("up to the median year", "later", "difference")
"""What `part` may be; the last is the first minus the second."""

_YEAR = re.compile(r"\(([0-9]{4})\)")


@dataclass(frozen=True, slots=True)
class Parts:
    """The rows of a test set in two parts; rows without a year are in neither."""

    median_year: int
    """Of the targets of the rows."""
    earlier: Bools
    """Shape (n_rows,): the target is of the median year or an earlier one."""
    later: Bools


def parts_by_year(years: Floats) -> Parts | None:
    """The parts of the rows whose targets are of `years`, shape (n_rows,), NaN for one without.

    None where most targets have no year, or all rows fall into one part.
    """
    is_known = np.isfinite(years)
    if 2 * int(is_known.sum()) <= len(years):
        return None
    median = int(np.median(years[is_known]))
    parts = Parts(median, is_known & (years <= median), is_known & (years > median))
    return parts if parts.earlier.any() and parts.later.any() else None


def target_years(test_domain: str, rows: TestRows) -> Floats:
    """The year of each target, as the last `(1995)` of its title says, in the order of `rows`; NaN where none does."""
    path = prepared_folder(domain_of(test_domain)) / "items.parquet"
    years = {item_id: _YEAR.findall(item.text)[-1:] for item_id, item in read_items(path).items()}
    targets = {sample.sample_id: sample.target_item_id for sample in read_samples(test_file(test_domain))}
    found = [years.get(targets[sample_id], []) for sample_id in rows.sample_ids]
    return np.array([float(one[0]) if one else np.nan for one in found])


def auc_by_part(rows: TestRows, scores: Floats, parts: Parts) -> dict[str, Measured | None]:
    """The AUC of each of `PARTS`, and their difference on the same users; None where a part has one label alone."""
    users = _shared_users_last(rows.user_numbers, parts)
    found = [_auc(rows.is_liked, scores, users, part) for part in (parts.earlier, parts.later)]
    return dict(zip(PARTS, (*found, _difference(*found)), strict=True))


def _shared_users_last(users: Integers, parts: Parts) -> Integers:
    """Users numbered anew, so that the highest number occurs in both parts where any does: influences then align."""
    everyone = np.arange(int(users.max()) + 1, dtype=np.int64)
    is_shared = np.isin(everyone, users[parts.earlier]) & np.isin(everyone, users[parts.later])
    number: Integers = np.empty(len(everyone), dtype=np.int64)
    number[np.argsort(is_shared, kind="stable")] = everyone
    return number[users]


def _auc(liked: Bools, scores: Floats, users: Integers, part: Bools) -> Measured | None:
    rows = np.flatnonzero(part)
    return auc_of_pairs(liked[rows], scores[rows], users[rows], np.zeros(len(rows), dtype=np.int64))


def _difference(one: Measured | None, other: Measured | None) -> Measured | None:
    """None too where no user is in both parts: the two are of other people then."""
    if one is None or other is None or len(one.influence) != len(other.influence):
        return None
    influence = one.influence - other.influence
    return Measured(one.value - other.value, influence, min(one.n_effective, other.n_effective))


def years_csv(
    scores: Mapping[Cell, Floats], truth: Mapping[str, TestRows], seeded: Collection[Cell], confidence: float
) -> bytes:
    """`results/years.csv`: language models that saw no demonstration, tuned ones, and controls, by part.

    Args:
        scores: of the cells that were run, in the order of their test rows.
        truth: the rows of each test set.
        seeded: cells of which another seed would be another value.
        confidence: of the intervals over users and seeds, in (0, 1).
    """
    parts = {name: parts_by_year(target_years(name, rows)) for name, rows in truth.items()}
    measured: dict[Cell, dict[str, Measured | None]] = {}
    for cell, values in scores.items():
        part = parts[cell.test_domain]
        if part and (cell.family in ("tuned", "control") or (cell.family == "icl" and cell.n_shots == 0)):
            measured[cell] = auc_by_part(truth[cell.test_domain], values, part)
    estimates = Estimates(known_of(measured, [cell for cell in measured if cell in seeded]))
    lines: list[tuple[Any, ...]] = []
    for group, name in estimates.known:
        found, part = estimates.estimate(group, name), parts[group.test_domain]
        assert found is not None, "it was measured"
        assert part is not None, "else nothing was measured"
        chosen = {PARTS[0]: part.earlier, PARTS[1]: part.later}.get(name, part.earlier | part.later)
        n_users = len(np.unique(truth[group.test_domain].user_numbers[chosen]))
        ends = found.interval(confidence) or (None, None)
        lines.append((*astuple(group)[:-1], part.median_year, name, int(chosen.sum()), n_users, found.value, *ends))
    return csv_bytes(YEARS_COLUMNS, lines)
