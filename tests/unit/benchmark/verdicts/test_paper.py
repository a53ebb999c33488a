"""The file of published numbers and independent runs."""

from collections import Counter
from pathlib import Path

import pytest

from benchmark.errors import ConfigError
from benchmark.verdicts.paper import PaperNumber, load_paper

NUMBER = PaperNumber("main", "tallrec-movie", "movie", "movie", 16, 0.6724, 0.05, "paper", "published")


def test_the_file_holds_every_published_number_once() -> None:
    paper = load_paper()
    assert Counter(number.table for number in paper.numbers) == {
        "main": 42,
        "ablation": 36,
        "cross-domain": 4,
    }
    assert {number.status for number in paper.numbers if number.table == "main"} == {"published"}
    main = {number.group: number.auc for number in paper.numbers if number.table == "main"}
    assert main[NUMBER.group] == 0.6724


def test_independent_runs_stand_beside_the_number_that_measures_the_same() -> None:
    paper = load_paper()
    beside = {number.group: [run.auc for run in paper.runs_beside(number)] for number in paper.numbers}
    assert beside[NUMBER.group] == [0.5780, 0.6996]
    assert {group.method for group, runs in beside.items() if runs} == {"tallrec-movie", "tallrec-book"}
    measured_otherwise = [run for run in paper.independent_runs if not run.repository.same_setting]
    assert {run.repository.address for run in measured_otherwise} >= {
        "https://github.com/mhajiaghayi/tallrec",
        "https://github.com/Findgod/TALLRec_Issues-39",
        "https://github.com/SAI990323/TALLRec/issues/58",
    }


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("n_shots: 16", "n_shots: '16'", "numbers.0.n_shots: expected int, got '16'"),
        ("auc: 0.5", "auc: 50.0", r"numbers.0.auc: expected a value in \[0, 1\]"),
        ("tolerance: 0.03, ", "", "numbers.0.tolerance: missing"),
        ("status: published", "status: published, page: 3", "numbers.0.page: unknown key"),
        (", source: paper", ", source: memory", "numbers.0.source: 'memory' is not in sources"),
        ("status: published", "status: rumour", "numbers.0.status: expected one of published, pre-publication"),
        ("seed: 42", "seed: one", "independent_runs.0.seed: expected int or null, got 'one'"),
        ("auc: 0.6}", "auc: 1.6}", r"independent_runs.0.auc: expected a value in \[0, 1\]"),
        ("repository: fork", "repository: fog", "independent_runs.0.repository: 'fog' is not in repositories"),
        ("trust: low", "trust: some", "repositories.fork.trust: expected one of fair, low, got 'some'"),
        ("note: n, ", "", "repositories.fork.note: missing"),
    ],
)
def test_a_broken_number_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    line = "- {table: main, method: sasrec, train_domain: movie, test_domain: movie, n_shots: 16, auc: 0.5, "
    line += "tolerance: 0.03, source: paper, status: published}\n"
    head = "sources: {paper: x}\nlanguage_models: {x/llama-7b: a copy}\n"
    head += "formats: {movie: {ml-100k: {}}}\ntest_rows: {movie: 1000}\n"
    head += "seed_errors: {movie: {16: 0.03}}\n"
    head += "repositories: {fork: {address: a, setting: s, trust: low, note: n, same_setting: true}}\n"
    head += "independent_runs:\n- {repository: fork, domain: movie, n_shots: null, seed: 42, auc: 0.6}\nnumbers:\n"
    path = tmp_path / "paper.yaml"
    path.write_text(head + line)
    assert len(load_paper(path).numbers) == 1
    path.write_text(head + line + line)
    with pytest.raises(ConfigError, match=r"numbers\.1: sasrec stands twice"):
        load_paper(path)
    assert old in head + line
    path.write_text((head + line).replace(old, new))
    with pytest.raises(ConfigError, match=message):
        load_paper(path)
