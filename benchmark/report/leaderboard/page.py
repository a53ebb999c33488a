"""`docs/leaderboard.html`: made of `docs/results/` alone, so that it is the same on every machine."""

from pathlib import Path

from benchmark.artifacts.files import write_bytes
from benchmark.report.leaderboard.board import tables
from benchmark.report.leaderboard.entry import RESULTS, read_entries
from benchmark.report.leaderboard.ledger import ledger
from benchmark.report.page import environment, styles
from benchmark.verdicts.paper import load_paper

LEADERBOARD = Path("docs/leaderboard.html")


def render(results: Path = RESULTS) -> str:
    """The page.

    Raises:
        BenchmarkError: an entry is not whole.
    """
    entries = read_entries(results)
    paper = load_paper()
    found, claims = tables(entries, paper), ledger(entries, paper)
    css, script = styles()
    template = environment().get_template("leaderboard.html.j2")
    return template.render(entries=entries, tables=found, claims=claims, css=css, script=script)


def write_leaderboard(*, check: bool) -> bool:
    """Whether `docs/leaderboard.html` is what the entries say; written anew if it is not, unless `check`."""
    html = render().encode()
    is_current = LEADERBOARD.exists() and LEADERBOARD.read_bytes() == html
    if not (is_current or check):
        write_bytes(LEADERBOARD, html)
    return is_current
