"""Numbers of pages beside their sources: one that is wrong, one without a source, a text that is gone."""

import csv
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.errors import SchemaError
from benchmark.report.numbers import __main__ as command
from benchmark.report.numbers.pages import NUMBERS_YAML, line_of, mend, wrong_numbers
from benchmark.report.numbers.sources import cited
from benchmark.statistics.results import SHARE_CORRELATION, read_rows, write_rows

ROOT = Path(__file__).parents[5]
LOOK = ROOT / "docs/results/look"
RUNS = {"look": LOOK}
RULE = next(
    {name: 100 * float(row[name]) for name in ("value", "low", "high")}
    for row in csv.DictReader((LOOK / "estimates.csv").read_text().splitlines())
    if (row["method"], row["test_domain"], row["metric"]) == ("liked_share", "movie", "auc")
)
"""From a file that no source reads."""
HALF = (RULE["high"] - RULE["low"]) / 2
PAGE = f"""# Found

The rule has {RULE["value"]:.1f} ±
{HALF:.1f} with Python 3.11 and `x 1.5`, the paper 67.2.

## Elsewhere

Once it had 61.5.
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one page, whose numbers are right."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "page.md").write_text(PAGE)
    (tmp_path / "docs").mkdir()
    (tmp_path / NUMBERS_YAML).write_text(f"""
runs: {{look: {LOOK}}}
pages:
  page.md:
    lines: ["rule has {{look liked_share movie 0 ±}} with", "paper {{paper tallrec-movie movie 16}}."]
    elsewhere: {{Elsewhere: it is told}}
""")
    return tmp_path


def _change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def test_a_wrong_number_is_found_in_its_line_and_mended(root: Path) -> None:
    assert wrong_numbers(root) == ([], [])
    _change(root / "page.md", f"{RULE['value']:.1f} ±", "70.1 ±")
    _change(root / "page.md", "67.2", "76.2")
    wrong, problems = wrong_numbers(root)
    assert problems == []
    right = f"{RULE['value']:.1f} ± {HALF:.1f}"
    assert line_of(wrong[0], root) == (
        f"page.md:3: 70.1 ± {HALF:.1f}, expected {right}: {LOOK}/metrics.csv (look liked_share movie 0 ±)"
    )
    assert (wrong[1].found, wrong[1].expected) == ("76.2", "67.2")
    mend(wrong, root)
    assert wrong_numbers(root) == ([], [])
    assert (root / "page.md").read_text() == PAGE.replace(" ±\n", " ± ", 1)


def test_a_number_without_a_source_is_found_and_no_version_is_taken_for_one(root: Path) -> None:
    _change(root / "page.md", "the paper", "with 3.11.7, v1.2 and [0.5](x.md), the margin 11.3, the paper")
    assert wrong_numbers(root) == (
        [],
        [
            "page.md:4: 0.5 has no source; docs/numbers.yaml names one, or says why there is none",
            "page.md:4: 11.3 has no source; docs/numbers.yaml names one, or says why there is none",
        ],
    )


def test_a_text_or_a_heading_that_is_gone_is_named(root: Path) -> None:
    _change(root / "page.md", "The rule has", "It has")
    _change(root / "page.md", "## Elsewhere", "## Before")
    problems = wrong_numbers(root)[1]
    assert "page.md has this text not once, whatever its numbers: 'rule has {look" in problems[0]
    assert "page.md has neither this heading nor, once, this text: 'Elsewhere'" in problems[1]
    assert [line.split(":")[1] for line in problems[2:]] == ["3", "4", "8"]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("look liked_share movie 0", f"{RULE['value']:.1f}"),
        ("look liked_share movie 0 0", f"{RULE['value']:.0f}"),
        ("look liked_share movie 0 ±0", f"{RULE['value']:.0f} ± {HALF:.0f}"),
        ("look liked_share movie 0 [0]", f"{RULE['value']:.1f} [{RULE['low']:.0f}, {RULE['high']:.0f}]"),
        ("look liked_share movie 0 seed0 [1] auc", f"{RULE['value']:.1f} [{RULE['low']:.1f}, {RULE['high']:.1f}]"),
        ("look liked_share movie 0 equal_share_auc", "50.0"),  # by its definition
        ("paper sasrec book 64", "50.1"),  # the paper's table
        ("papers-after ThinkRec uauc thinkrec", "67.8"),
        ("papers-after tallrec auc highest", "72.7"),
    ],
)
def test_every_form_of_a_source(source: str, text: str) -> None:
    assert cited(source, RUNS).text == text


def test_a_correlation_with_the_share_of_likes_is_of_the_rows_and_no_auc(tmp_path: Path) -> None:
    for path in LOOK.iterdir():
        shutil.copy(path, tmp_path)
    rows = read_rows(LOOK / "metrics.csv")
    with_it = [replace(row, others={**row.others, SHARE_CORRELATION: row.cell.seed / 10 - 0.12}) for row in rows]
    write_rows(tmp_path / "metrics.csv", with_it)
    runs = {"with": tmp_path, "without": tmp_path / "without"}
    assert cited("with sasrec movie 16 share_correlation seed0", runs).text == "-0.12"
    assert cited("with sasrec movie 16 share_correlation", runs).text == "0.08"  # of seeds 0 to 4
    with pytest.raises(SchemaError, match="not defined there, or without what the form '±' asks for"):
        cited("with sasrec movie 16 share_correlation ±", runs)
    runs["without"].mkdir()
    for path in LOOK.iterdir():
        shutil.copy(path, runs["without"])
    write_rows(
        runs["without"] / "metrics.csv", [replace(row, others={**row.others, SHARE_CORRELATION: None}) for row in rows]
    )
    with pytest.raises(SchemaError, match="not defined there"):
        cited("without sasrec movie 16 share_correlation seed0", runs)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("smoke liked_share movie 0", "expected paper, papers-after or a run of look, got 'smoke'"),
        ("look liked_share movie 16", "expected one METHOD TEST_SET K"),
        ("look liked_share movie", "expected one METHOD TEST_SET K"),
        ("look liked_share movie 0 auk", "expected a metric, a seed or one of"),
        ("look sasrec movie 16 seed9", "not defined there"),
        ("look sasrec movie 16 seed0 ±", "not defined there, or without what the form '±' asks for"),
        ("paper sasrec music 64", "of the main table"),
        ("papers-after ThinkRec auc cora", "expected a method or role"),
    ],
)
def test_what_is_no_source_is_refused_in_one_line(source: str, said: str) -> None:
    with pytest.raises(SchemaError, match=said):
        cited(source, RUNS)


def test_the_command_is_red_until_it_writes(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["numbers", *arguments])
        return command.main()

    monkeypatch.chdir(root)
    _change(root / "page.md", "67.2", "76.2")
    assert run() == 1
    assert capsys.readouterr().out.startswith("page.md:4: 76.2, expected 67.2: ")
    assert (run("--write"), run()) == (0, 0)
    (root / NUMBERS_YAML).write_text("pages: {}\n")
    assert run() == 2
    assert "docs/numbers.yaml: runs" in capsys.readouterr().err
