"""Published numbers: the file, and each verdict."""

from collections import Counter
from pathlib import Path

import pytest

from benchmark.errors import ConfigError
from benchmark.params import Params
from benchmark.results import MetricRow, Summary, group_of, summarise
from benchmark.verdicts import PaperNumber, judge, load_paper, why_not_comparable

NUMBER = PaperNumber("main", "tallrec-movie", "movie", "movie", 16, 0.6724, 0.05, "paper", "published")
ROWS = {"movie": 1000, "book": 2427}


def _summaries(*aucs: float | None, half_width: float = 0.001) -> dict:
    rows = []
    for seed, auc in enumerate(aucs):
        cell = NUMBER.group.__class__("tuned", "tallrec-movie", "movie", "movie", 16, seed)
        numbers = () if auc is None else (auc, auc - half_width, auc + half_width, 0.5, 16, 1000)
        rows.append(MetricRow(cell, "missing" if auc is None else "ok", *numbers))
    return summarise(rows)


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


@pytest.mark.parametrize(
    ("aucs", "half_width", "verdict"),
    [
        ((0.66, 0.66), 0.02, "match"),  # inside the interval over users
        ((0.60, 0.70), 0.001, "match"),  # inside the range of the seeds
        ((0.64, 0.65), 0.001, "close"),
        ((0.55, 0.56), 0.001, "off"),
        ((0.66, None), 0.02, "missing"),
        ((None, None), 0.02, "missing"),
    ],
)
def test_each_verdict(aucs: tuple[float | None, ...], half_width: float, verdict: str) -> None:
    assert judge(NUMBER, _summaries(*aucs, half_width=half_width), None).verdict == verdict


def test_a_number_outside_the_grid_is_missing_and_an_obstacle_is_told() -> None:
    assert judge(NUMBER, {}, None).verdict == "missing"
    found = judge(NUMBER, _summaries(0.67), "the movie data are generated")
    assert (found.verdict, found.reason) == ("not comparable", "the movie data are generated")


def test_what_is_not_comparable_says_why(params: Params) -> None:
    paper = load_paper()
    generated = {name: d.model_copy(update={"source": "embedded"}) for name, d in params.domains.items()}
    real = {name: d.model_copy(update={"source": "official"}) for name, d in params.domains.items()}
    llama = params.llm.model_copy(update={"model": "huggyllama/LLaMA-7b"})
    tiny = params.llm.model_copy(update={"model": "tiny"})

    def why(domains: dict, llm: object, rows: dict[str, int], number: PaperNumber = NUMBER) -> str | None:
        return why_not_comparable(number, params.model_copy(update={"domains": domains, "llm": llm}), paper, rows)

    assert why(generated, llama, ROWS) == "the movie data are generated"
    assert why(real, llama, ROWS | {"movie": 400}) == "another test set: 400 rows, the paper's has 1000"
    assert why(real, tiny, ROWS) == "another language model: tiny"
    assert why(real, llama, ROWS) is None
    baseline = next(number for number in paper.numbers if number.method == "gru4rec")
    assert why(real, tiny, ROWS, baseline) is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("n_shots: 16", "n_shots: '16'", "numbers.0.n_shots: expected int, got '16'"),
        ("auc: 0.5", "auc: 50.0", r"numbers.0.auc: expected a value in \[0, 1\]"),
        ("tolerance: 0.03, ", "", "numbers.0.tolerance: missing"),
        ("status: published", "status: published, page: 3", "numbers.0.page: unknown key"),
        ("source: paper", "source: memory", "numbers.0.source: 'memory' is not in sources"),
    ],
)
def test_a_broken_number_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    line = "- {table: main, method: sasrec, train_domain: movie, test_domain: movie, n_shots: 16, auc: 0.5, "
    line += "tolerance: 0.03, source: paper, status: published}\n"
    head = "sources: {paper: x}\nlanguage_model: llama-7b\ntest_rows: {movie: 1000}\nnumbers:\n"
    path = tmp_path / "paper.yaml"
    path.write_text(head + line)
    assert len(load_paper(path).numbers) == 1
    path.write_text(head + line + line)
    with pytest.raises(ConfigError, match=r"numbers\.1: sasrec stands twice"):
        load_paper(path)
    path.write_text(head + line.replace(old, new))
    with pytest.raises(ConfigError, match=message):
        load_paper(path)


def test_a_summary_joins_seeds_and_leaves_out_none() -> None:
    summary = _summaries(0.6, 0.7, None, half_width=0.1)[group_of(NUMBER.group)]
    assert isinstance(summary, Summary)
    assert (summary.n_seeds, summary.n_expected, summary.is_complete) == (2, 3, False)
    assert (summary.auc, summary.auc_low, summary.auc_high) == pytest.approx((0.65, 0.55, 0.75))
    assert summary.seed_sd == pytest.approx(0.1 / 2**0.5)
