"""Two runs side by side: only what changed, verdicts in full, and intervals that are drawn."""

import re

from benchmark.report.comparison import Comparison, comparison_html, comparison_lines, gate_lines
from benchmark.verdicts.gate import Finding

LONG = "icl-SmolLM2-135M-Instruct-alpaca-16shot movie-movie-extended k256"
FINDINGS = [
    Finding(LONG, "auc", "within noise", 5, 0.701, 0.712, 0.0456, "independent"),
    Finding("rt-movie movie-movie k16", "auc", "changed", 2, 0.7, 0.7001, 0.02, "paired"),
    Finding("tallrec-movie movie-movie k16", "auc", "regression", 2, 0.72, 0.62, 0.03, "paired"),
    Finding("tallrec-movie movie-movie k64", "auc", "better", 2, 0.72, 0.82, 0.03, "paired"),
    Finding("dros movie-movie k16", "auc", "not comparable", 1, 0.5, 0.6, reason="too few users"),
    Finding("liked_share movie-movie k0", "auc", "same", 1, 0.726, 0.726),
    Finding("caser movie-movie k16", "auc", "missing", 2, 0.5),
    Finding("gru4rec movie-movie k16", "auc", "new", 2, after=0.5),
]
COMPARISON = Comparison("main", "<lower>", FINDINGS)
VERDICTS = [
    "within noise (could not see less than 4.56 points)",
    "within noise (could not see less than 2.00 points)",
    "worse",
    "better",
    "not comparable: too few users",
]


def test_the_terminal_has_what_changed_with_margin_and_whole_verdict() -> None:
    shown = list(comparison_lines(COMPARISON))
    table = shown[3 : 3 + len(VERDICTS)]
    assert [re.split(" {2,}", line)[-1] for line in table] == VERDICTS
    assert table[0].startswith(LONG)
    assert re.split(" {2,}", table[2])[1:7] == ["AUC", "72.00", "62.00", "-10.00 ± 3.00", "2", "paired"]
    notes = shown[3 + len(VERDICTS) :]
    assert "x100" in notes[0]
    assert notes[1:] == [
        "Only in A: caser movie-movie k16.",
        "Only in B: gru4rec movie-movie k16.",
        "2 within noise, 1 worse, 1 better, 1 not comparable, 1 the same to the last digit, 1 missing, 1 new.",
    ]


def test_nothing_that_changed_is_one_line() -> None:
    same = Comparison("a", "b", [FINDINGS[5]])
    assert list(comparison_lines(same)) == ["A: a", "B: b", "1 the same to the last digit."]
    assert "<table>" not in comparison_html(same)


def test_the_page_has_the_same_and_draws_each_interval() -> None:
    page = comparison_html(COMPARISON)
    cells = re.findall(r"<td>(?:<span[^>]*>)?([^<]*)", page)
    assert [cell for cell in cells if cell in VERDICTS] == VERDICTS
    assert page.count("<circle") == len([row for row in FINDINGS if row.tolerance is not None])
    assert "&lt;lower&gt;" in page
    assert "<lower>" not in page
    assert "http" not in page.replace("http-equiv", "")  # it opens without a network


def test_the_gate_cuts_no_verdict() -> None:
    lost = Finding(LONG, "auc", "not comparable", 5, 0.7, 0.6, reason="other seeds, of which one run has one alone")
    shown = list(gate_lines([lost]))
    assert shown[1].startswith(LONG)
    assert shown[1].endswith(f"not comparable: {lost.reason}")
