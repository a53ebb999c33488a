"""`influence.parquet`: read as it was written, number for number, and refused where it is of another run."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmark.errors import MissingArtifactError, SchemaError
from benchmark.schema import Cell
from benchmark.statistics.estimates import Estimates, known_of
from benchmark.statistics.influence_file import read_influence, write_influence
from benchmark.statistics.labels import TestRows
from benchmark.statistics.metrics import OTHERS, measured
from benchmark.statistics.results import MetricRow

RULE = Cell("control", "liked_share", "movie", "movie", 0, 0)
SEEDS = [Cell("baseline", "sasrec", "movie", "movie", 16, seed) for seed in (0, 1, 2)]


def rows_of(n_users: int = 9, seed: int = 0) -> TestRows:
    rng = np.random.default_rng(seed)
    users = np.repeat(np.arange(n_users), rng.integers(1, 30, n_users))
    n = len(users)
    shares = rng.integers(-1, 11, n) / 10
    return TestRows(
        tuple(f"s{row:03d}" for row in range(n)),
        tuple(f"u{user}" for user in users),
        tuple((rng.random(n) < 0.4).tolist()),
        tuple(np.where(shares < 0, -1.0, shares).tolist()),
    )


@pytest.fixture
def written(tmp_path: Path) -> tuple[Path, Estimates, list[MetricRow]]:
    """The file of a rule and of three seeds of a method, what it was written from, and their rows."""
    rows, rng = rows_of(), np.random.default_rng(1)
    found = {cell: measured(rows, rng.normal(size=len(rows.liked))) for cell in (RULE, *SEEDS)}
    metrics: list[MetricRow] = []
    for cell, values in found.items():
        assert values["auc"] is not None
        others = {name: None if (one := values[name]) is None else one.value for name in OTHERS}
        metrics.append(MetricRow(cell, "ok", values["auc"].value, None, None, others, 9, len(rows.liked)))
    estimates = Estimates(known_of(found, SEEDS))
    path = tmp_path / "influence.parquet"
    write_influence(path, estimates, {"movie": rows.digest})
    return path, estimates, metrics


def changed(path: Path, **columns: list[object]) -> None:
    """The file with other columns."""
    table = pq.read_table(path)
    for name, values in columns.items():
        table = table.drop_columns([name])
        if values:
            table = table.append_column(name, pa.array(values))
    pq.write_table(table, path)


def test_every_number_is_read_as_it_was_in_memory(written: tuple[Path, Estimates, list[MetricRow]]) -> None:
    path, estimates, rows = written
    again, digests = read_influence(path, rows)
    assert digests == {"movie": rows_of().digest}
    assert again.known.keys() == estimates.known.keys()
    for key, one in estimates.known.items():
        other = again.known[key]
        np.testing.assert_array_equal(one.measured.influence, other.measured.influence)
        assert (one.measured.value, one.measured.n_effective) == (other.measured.value, other.measured.n_effective)
        assert (one.seeds, one.is_seeded) == (other.seeds, other.is_seeded)
    method = replace(SEEDS[0], seed=0)
    for metric in ("auc", *OTHERS):
        assert again.difference(method, RULE, metric) == estimates.difference(method, RULE, metric)
    terms = [({method: 1.0, RULE: -1.0}, metric) for metric in ("auc", *OTHERS)]
    assert again.adjusted(terms, [0.02] * 4) == estimates.adjusted(terms, [0.02] * 4)


def test_an_empty_run_is_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "influence.parquet"
    write_influence(path, Estimates({}), {})
    found, digests = read_influence(path, [])
    assert (dict(found.known), digests) == ({}, {})


def test_a_file_that_is_not_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingArtifactError, match=r"influence\.parquet"):
        read_influence(tmp_path / "influence.parquet", [])


@pytest.mark.parametrize("column", ["metric", "user", "influence", "n_effective", "is_seeded", "test_rows"])
def test_a_file_without_a_column_is_one_line(written: tuple[Path, Estimates, list[MetricRow]], column: str) -> None:
    path, _, rows = written
    changed(path, **{column: []})
    with pytest.raises(SchemaError, match=rf"influence\.parquet: not the influences .*{column}"):
        read_influence(path, rows)


def test_a_file_of_other_methods_than_the_rows_is_one_line(written: tuple[Path, Estimates, list[MetricRow]]) -> None:
    path, _, rows = written
    with pytest.raises(SchemaError, match="not the influences of the rows of metrics"):
        read_influence(path, rows[:1])
    more = replace(rows[0], cell=replace(RULE, method="last_label"))
    with pytest.raises(SchemaError, match="no influences of last_label movie-movie k0 seed0"):
        read_influence(path, [*rows, more])


def test_a_file_that_lost_or_mixed_its_users_is_one_line(written: tuple[Path, Estimates, list[MetricRow]]) -> None:
    path, _, rows = written
    table = pq.read_table(path)
    pq.write_table(table.slice(1), path)
    with pytest.raises(SchemaError, match="expected the users from 0 on, each once"):
        read_influence(path, rows)


def test_influences_that_are_no_numbers_are_one_line(written: tuple[Path, Estimates, list[MetricRow]]) -> None:
    path, _, rows = written
    changed(path, influence=["much"] * pq.read_table(path).num_rows)
    with pytest.raises(SchemaError, match="not the influences"):
        read_influence(path, rows)


def test_no_table_at_all_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "influence.parquet"
    path.write_text("metric,user\n")
    with pytest.raises(SchemaError, match=r"influence\.parquet"):
        read_influence(path, [])
