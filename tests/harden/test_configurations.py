"""Hostile configuration: `params.yaml`, presets merged into it, `paper.yaml`, `claims.yaml`, `metrics.csv`."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mutation import mutated, mutated_value

from benchmark.config.overlays import merged
from benchmark.config.reading import parse_yaml
from benchmark.methods.configuration import load_config, parse_config
from benchmark.schema import Cell
from benchmark.statistics.results import BETWEEN, MetricRow, read_rows, write_rows
from benchmark.verdicts.claim_kinds import TESTS
from benchmark.verdicts.claim_params import read_claims
from benchmark.verdicts.claims import judge_claims
from benchmark.verdicts.evidence import Results
from benchmark.verdicts.paper import load_paper

ROOT = Path(__file__).parents[2]
PARAMS = Path("params.yaml")
SECTIONS = parse_yaml((ROOT / PARAMS).read_text(), PARAMS)
OVERLAY = b"""# a preset
data:
  mirror: null  # ours: none
grid:
  n_shots: [16, 64]
  seeds: [0]
domains:
  movie:
    format: ml-100k  # released: that one
    noun: "movie"
"""
TARGET = """data:
  mirror: here  # ours: a folder

grid:
  n_shots: [4]  # paper: less
  seeds:
    - 0
    - 1
domains:
  movie:
    format: ratings-table
    noun: film
tune: {patience: 3}
"""
PAPER = b"""sources: {paper: x}
language_models: {x/llama-7b: a copy}
formats: {movie: {ml-100k: {}}}
test_rows: {movie: 1000}
seed_errors: {movie: {16: 0.036, 64: 0.027}}
repositories: {fork: {address: a, setting: s, trust: low, note: n, same_setting: true}}
independent_runs:
- {repository: fork, domain: movie, n_shots: null, seed: 42, auc: 0.6}
numbers:
- {table: main, method: sasrec, train_domain: movie, test_domain: movie, n_shots: 16, auc: 0.5, tolerance: 0.03,
   source: paper, status: published}
"""
CLAIMS = b"""claims:
- {id: a, of: paper, sentence: x, where: y, kind: greater_than,
   left: {family: tuned, method: rt-*, train: [same, other]},
   right: {family: control, except: "*-*", n_shots: {at_most: 0}}, metric: uauc, pooled: true, same_model: true}
- {id: b, of: ours, sentence: x, where: y, kind: near_chance, groups: {family: icl}, band: 0.05,
   needs: {methods: [rt-movie], n_shots: [16], domains: [movie]}}
- {id: c, of: paper, sentence: x, where: y, kind: fits_in_memory, limit_gb: 24}
- {id: d, of: paper, sentence: x, where: y, kind: rises_with_k, groups: {family: tuned, train: same}}
"""
CELLS = [Cell(family, "rt-movie", "movie", "movie", k, 0) for family, k in (("tuned", 4), ("tuned", 16), ("icl", 0))]


def results() -> Results:
    return Results(dict.fromkeys(CELLS), 0.95, (), model_is_papers=False)


def test_hostile_values_of_params_are_kept_or_refused(survive: Callable[..., None]):
    def read(content: Any) -> None:
        parse_config(content, PARAMS)

    def make(rng: random.Random) -> dict[str, Any]:
        content = mutated_value(rng, SECTIONS)
        return content if isinstance(content, dict) else SECTIONS | {"grid": content}

    survive("params.yaml, values", 10_000, make, read)


@pytest.mark.parametrize(
    ("name", "many", "valid", "read"),
    [
        ("params.yaml, text", 200, (ROOT / PARAMS).read_bytes(), load_config),
        ("paper.yaml", 3_000, PAPER, load_paper),
        ("claims.yaml", 3_000, CLAIMS, lambda path: judge_claims(results(), path)),
        ("preset", 4_000, OVERLAY, lambda path: parse_yaml(merged(TARGET, path.read_text("latin-1")), PARAMS)),
    ],
)
def test_a_hostile_yaml_file_is_read_or_refused(
    name: str,
    many: int,
    valid: bytes,
    read: Callable[[Path], object],
    repository: Path,
    survive: Callable[..., None],
):
    path = repository / "file.yaml"

    def read_file(hostile: bytes) -> None:
        path.write_bytes(hostile)
        read(path)

    read_file(valid)
    survive(name, many, lambda rng: mutated(rng, valid), read_file)


def test_hostile_metrics_are_read_row_for_row_or_refused(repository: Path, survive: Callable[..., None]):
    path = repository / "metrics.csv"
    write_rows(path, [MetricRow(cell, "ok", 0.5, 0.4, 0.6, {}, 10, 20) for cell in CELLS])
    valid = path.read_bytes()

    def read(hostile: bytes) -> None:
        path.write_bytes(hostile)
        # A column with another name is a metric of another revision, which this one does not write.
        rows = [replace(row, others={name: row.others.get(name) for name in BETWEEN}) for row in read_rows(path)]
        write_rows(path, rows)
        assert read_rows(path) == rows

    survive("metrics.csv", 5_000, lambda rng: mutated(rng, valid), read)


def test_the_claims_of_the_repository_are_all_checked():
    files = (ROOT / "benchmark/verdicts/claims.yaml", ROOT / "benchmark/verdicts/follow_up_claims.yaml")
    claims = [claim for path in files for claim in read_claims(path)]
    assert len(claims) > 10
    assert {claim["kind"] for claim in claims} == set(TESTS)
