"""A first look at a slow model: every test set is cut, and nothing is decided."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.artifacts import files, paths
from benchmark.config.params import Params, Population
from benchmark.errors import DataError
from benchmark.methods.configuration import load_config
from benchmark.methods.grid import cells
from benchmark.report import inputs
from benchmark.schema import EXTENDED, Labelled
from benchmark.stages import evaluate, report
from benchmark.stages.prepare import prepare
from benchmark.stages.raw import raw
from benchmark.statistics.results import read_rows

ROOT = Path(__file__).parents[4]
POPULATIONS = {
    "ml-100k": Population(n_users=20, ratings_per_user=(16, 20)),
    "bookcrossing": Population(n_users=150, ratings_per_user=(4, 14)),
}
TEST_SETS = ("movie", f"movie{EXTENDED}", "book")
Prepared = dict[str, dict[str, bool]]


@pytest.fixture
def prepared(repository: Path) -> Callable[[int | None], Prepared]:
    """Prepares both domains with at most so many test rows; labels by sample id, in the order of the samples."""
    committed = load_config(ROOT / "params.yaml")
    world = committed.world.model_copy(update={"populations": POPULATIONS, "n_items": 30})
    movie = committed.domains["movie"].model_copy(update={"n_samples": 100})
    small = committed.model_copy(update={"world": world, "domains": {**committed.domains, "movie": movie}})
    for domain in ("movie", "book"):
        raw(domain, small)

    def run(most: int | None) -> Prepared:
        look = small.evaluate.model_copy(update={"max_test_samples": most})
        for domain in ("movie", "book"):
            prepare(domain, small.model_copy(update={"evaluate": look}))
        labels = {name: files.read_labels(paths.labels_file(name)) for name in TEST_SETS}
        samples = {name: files.read_samples(paths.test_file(name)) for name in TEST_SETS}
        assert all(labels[name].keys() == {one.sample_id for one in samples[name]} for name in TEST_SETS)
        return {name: {one.sample_id: labels[name][one.sample_id] for one in samples[name]} for name in TEST_SETS}

    return run


def learned_from() -> list[Labelled]:
    folders = [paths.prepared_folder(domain) for domain in ("movie", "book")]
    splits = [files.read_labelled(folder / f"{split}.parquet") for folder in folders for split in ("train", "valid")]
    return [row for rows in splits for row in rows]


def test_every_test_set_is_cut_to_the_same_rows_each_time(prepared: Callable[[int | None], Prepared]) -> None:
    everything, rows = prepared(None), learned_from()
    assert all(len(everything[name]) > 9 for name in TEST_SETS)
    few = prepared(9)
    for name in TEST_SETS:
        assert len(few[name]) == 9
        # The labels are theirs, and their order is that of the whole test set.
        assert list(few[name].items()) == [entry for entry in everything[name].items() if entry[0] in few[name]]
        assert list(few[name]) != list(everything[name])[:9], "the first rows are of a few users"
    assert learned_from() == rows
    assert prepared(9) == few
    more = prepared(10)
    assert all(few[name].items() <= more[name].items() for name in TEST_SETS), "a longer look goes on with the shorter"
    assert prepared(10_000) == everything
    stats = files.read_json(paths.prepared_folder("movie") / "stats.json")
    assert stats["splits"]["test"]["rows"] == len(everything["movie"])
    prepared(9)
    stats = files.read_json(paths.prepared_folder("movie") / "stats.json")
    assert (stats["splits"]["test"]["rows"], stats["extended"]["rows"]) == (9, 9)


def test_one_row_is_refused_since_it_has_no_auc(prepared: Callable[[int | None], Prepared]) -> None:
    prepared(None)
    assert 0.5 < files.read_json(paths.ceiling_file("movie"))["auc"] <= 1
    with pytest.raises(DataError, match=r"of 1 rows within evaluate\.max_test_samples = 1 are liked, .* no AUC"):
        prepared(1)


@pytest.fixture
def looked_at(finished_run: Path, params: Params, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small run, under a configuration that cuts its test sets."""
    look = params.model_copy(update={"evaluate": params.evaluate.model_copy(update={"max_test_samples": 60})})
    for reader in ("benchmark.stages.evaluate", "benchmark.report.inputs"):
        monkeypatch.setattr(f"{reader}.load_config", lambda: look)
    return finished_run


def test_no_claim_is_decided(looked_at: Path, params: Params) -> None:
    assert evaluate.main([]) == 0
    assert report.main([]) == 0
    claims = json.loads((looked_at / "results/claims.json").read_text())["claims"]
    assert len(claims) > 10
    assert {(claim["verdict"], claim["reason"]) for claim in claims} == {
        ("not run", "a first look at a part of the test rows decides nothing")
    }
    assert [claim for claim in claims if claim["evidence"]] == []
    # The numbers themselves are there.
    rows = read_rows(paths.METRICS_CSV)
    assert len(rows) == len(list(cells(params, dict.fromkeys(params.grid.domains, 100))))
    assert {row.status for row in rows} == {"ok"}


def test_both_reports_say_so_first(looked_at: Path) -> None:
    assert evaluate.main([]) == 0
    assert report.main([]) == 0
    said = "A first look: at most 60 rows of each test set were scored"
    head, *_ = (looked_at / "results/report.html").read_text().partition("Claims ledger")
    assert said in head
    assert said in (looked_at / "results/report.md").read_text()


def test_a_whole_run_has_no_such_banner(finished_run: Path) -> None:
    assert evaluate.main([]) == 0
    assert report.main([]) == 0
    for name in ("report.html", "report.md"):
        assert "first look" not in (finished_run / "results" / name).read_text()
    claims = json.loads((finished_run / "results/claims.json").read_text())["claims"]
    assert {claim["verdict"] for claim in claims} > {"not run"}


def test_a_published_number_is_compared_with_nothing(on_the_papers_rows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = inputs.load_config()
    look = real.model_copy(update={"evaluate": real.evaluate.model_copy(update={"max_test_samples": 60})})
    monkeypatch.setattr(inputs, "load_config", lambda: look)
    assert evaluate.main([]) == 0
    assert report.main([]) == 0
    verdicts: set[str] = set()
    for domain in ("movie", "book"):
        with (on_the_papers_rows / f"results/tables/main_{domain}.csv").open() as stream:
            verdicts.update(line["k16_verdict"] for line in csv.DictReader(stream))
    assert verdicts == {"", "not comparable"}
