"""How much an AUC hangs on single users, and on targets that the training rows named."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import astuple
from pathlib import Path

import numpy as np

from benchmark.artifacts import files, paths
from benchmark.config.params import Params
from benchmark.schema import Cell, Sample, domain_of, group_of, item_ids
from benchmark.statistics.auc import Bools, Floats, roc_auc
from benchmark.statistics.influence import won_pairs
from benchmark.statistics.labels import TestRows
from benchmark.statistics.results import GROUP_COLUMNS

SENSITIVITY_CSV = Path("results/sensitivity.csv")
SENSITIVITY_COLUMNS = (
    *GROUP_COLUMNS,
    *("n_seeds", "lowest_without_a_user", "highest_without_a_user", "share_seen", "auc_seen", "auc_unseen"),
)
SIDES = {"tuned": "llm", "baseline": "conventional", "control": "conventional"}
"""Which side of a draw a family learns from."""


def without_each_user(rows: TestRows, scores: Floats) -> Floats:
    """AUC of all rows but those of one user, for each user; NaN where the others have one label alone.

    Args:
        rows: of the test set.
        scores: shape (n_rows,), in their order.

    Returns:
        Shape (n_users,), users in the order of their names.
    """
    liked, users = rows.is_liked, rows.user_numbers
    n_users = int(users.max()) + 1
    won, pairs = won_pairs(liked, scores, np.zeros(len(scores), dtype=np.int64))
    own_won, own_pairs = won_pairs(liked, scores, users)

    def left(of_all: Floats, of_own: Floats) -> Floats:
        # A pair between two users counts for both, one within a user twice for them.
        touched = np.bincount(users, of_all, n_users) - np.bincount(users, of_own, n_users) / 2
        return of_all[liked].sum() - touched

    n_left = left(pairs, own_pairs)
    return np.divide(left(won, own_won), n_left, out=np.full(n_users, np.nan), where=n_left > 0)


class SeenTargets:
    """Which test rows ask about an item that stands in the training rows of a cell, as a target or in a history."""

    def __init__(self, params: Params, n_train: Mapping[str, int]) -> None:
        """Reads the training rows of every domain of the grid.

        Raises:
            MissingArtifactError: a domain is not prepared.
        """
        self.n_train = n_train
        self.train: dict[str, dict[str, Sample]] = {}
        self.targets: dict[str, list[str]] = {}
        for domain in params.grid.domains:
            train = files.read_labelled(paths.prepared_folder(domain) / "train.parquet")
            self.train[domain] = {row.sample.sample_id: row.sample for row in train}
            for name in params.test_sets(domain):
                test = sorted(files.read_samples(paths.test_file(name)), key=lambda sample: sample.sample_id)
                self.targets[name] = [sample.target_item_id for sample in test]
        self._known: dict[tuple[str, int, int, str], Bools] = {}

    def of(self, cell: Cell) -> Bools | None:
        """For each test row in the order of its sample id; None for a method without training rows of this domain."""
        domain = domain_of(cell.test_domain)
        if cell.n_shots == 0 or cell.family not in SIDES or cell.train_domain not in (domain, "both"):
            return None
        key = cell.test_domain, cell.n_shots, cell.seed, SIDES[cell.family]
        if key not in self._known:
            rows = self.train[domain]
            chosen = iter(rows.values())
            if cell.n_shots != self.n_train[domain]:
                draw = files.read_json(paths.draw_folder(domain, cell.n_shots, cell.seed) / "draw.json")
                chosen = (rows[sample_id] for sample_id in draw["ids"][SIDES[cell.family]])
            seen = item_ids(chosen)
            self._known[key] = np.array([target in seen for target in self.targets[cell.test_domain]], dtype=np.bool_)
        return self._known[key]


def auc_of(rows: TestRows, scores: Floats, chosen: Bools) -> float | None:
    """AUC of some of the rows; None where they have one label alone."""
    liked = rows.is_liked[chosen]
    return roc_auc(liked, scores[chosen]) if 0 < liked.sum() < len(liked) else None


def sensitivity_rows(
    scores: Mapping[Cell, Floats], truth: Mapping[str, TestRows], seen: SeenTargets
) -> Iterator[tuple[object, ...]]:
    """The lines of `results/sensitivity.csv`: means over the seeds of every group; the same user is left out of all.

    Args:
        scores: of every cell that was run, in the order of the rows of its test set.
        truth: the rows, by test set.
        seen: which of them ask about an item of the training rows.
    """
    groups: dict[Cell, list[Cell]] = defaultdict(list)
    for cell in scores:
        groups[group_of(cell)].append(cell)
    for group, cells in groups.items():
        rows = truth[group.test_domain]
        without = np.mean([without_each_user(rows, scores[cell]) for cell in cells], axis=0)
        known = without[np.isfinite(without)]
        ends = (float(known.min()), float(known.max())) if len(known) else (None, None)
        chosen = {cell: one for cell in cells if (one := seen.of(cell)) is not None}
        parts = [
            _mean([auc_of(rows, scores[cell], one if is_seen else ~one) for cell, one in chosen.items()])
            for is_seen in (True, False)
        ]
        share = _mean([float(one.mean()) for one in chosen.values()])
        yield (*astuple(group)[:-1], len(cells), *ends, share, *parts)


def _mean(values: list[float | None]) -> float | None:
    """Of those that are defined; None where none is."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
