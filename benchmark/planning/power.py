"""What a grid will be able to see, printed before it runs: the smallest true difference by table and by claim."""

from collections import Counter

from rich.console import Console
from rich.table import Table

from benchmark.config.params import Params
from benchmark.planning.rows import Rows
from benchmark.planning.sizes import Sizes
from benchmark.schema import EXTENDED
from benchmark.statistics.power import POWER
from benchmark.verdicts.foretold import Sight, TestSet, foretold, sights
from benchmark.verdicts.paper import Paper

ROWS_A_USER, EQUAL = 62.5, 9.4 / 16
"""Of the released movie test set: rows a user, and effective users beside those that it has."""


def show_power(params: Params, paper: Paper, known: Sizes) -> None:
    """Print the smallest difference that the grid sees, and what it would take to see those that are published."""
    test_sets = {
        name: _test_set(params, name, n_rows, known.prompts.rows[name])
        for name, n_rows in known.n_test.items()
        if not name.endswith(EXTENDED)
    }
    table = Table(f"seen in {POWER:.0%} of runs", "a true", "published", "which takes", box=None)
    table.columns[1].justify = table.columns[2].justify = "right"
    for sight in sights(foretold(params, paper, test_sets), paper):
        table.add_row(*_line(sight))
    Console(soft_wrap=True).print(table)


def _line(sight: Sight) -> tuple[str, str, str, str]:
    published = "" if sight.published is None else f"{100 * sight.published:.1f}"
    return sight.of, "one seed" if sight.smallest is None else f"{100 * sight.smallest:.1f}", published, sight.takes


def _test_set(params: Params, name: str, n_rows: int, rows: Rows | None) -> TestSet:
    """Users as the rows at hand have them, else as the released files of the format."""
    if rows:
        counts = Counter(sample.user_id for sample in rows.test[:n_rows]).values()
        return TestSet(sum(counts), len(counts), sum(counts) ** 2 / sum(n**2 for n in counts))
    if params.domains[name].format != "ml-100k":  # a row a user
        return TestSet(n_rows, n_rows, n_rows)
    n_users = max(2, round(n_rows / ROWS_A_USER))
    return TestSet(n_rows, n_users, EQUAL * n_users)
