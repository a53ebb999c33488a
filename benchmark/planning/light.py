"""What the stages without the language model will take: baselines by a short training, the rest by what there is."""

from collections.abc import Iterator, Mapping

from benchmark.config.params import Params
from benchmark.methods.baselines import reads_text
from benchmark.methods.grid import baseline_cells, cells, control_cells
from benchmark.planning.plan import Work
from benchmark.planning.rows import Rows
from benchmark.planning.trials import baseline_seconds

START_SECONDS = 3.0
"""A process that imports no torch, and DVC around it."""
START_WITH_TORCH = 6.0
READ_SECONDS = 2.0
"""Of raw files that are fetched, or made into samples."""
CONTROL_SECONDS = 0.02
"""A cell: scored, checked and written."""
EVALUATED_A_SECOND = 100_000
"""Rows of all cells, with their metrics, influences and comparisons."""
REPORT_SECONDS = 6.0
ENCODED_A_SECOND = 60.0
"""Texts, by the small encoder that a package carries, on a thread."""
ASSUMED_ITEMS = 1_500


def works(params: Params, rows: Mapping[str, Rows | None], n_test: Mapping[str, int], *, tries: bool) -> Iterator[Work]:
    """Every stage that uses no language model, in the order of the pipeline; `evaluate` and `report` are the last.

    Args:
        params: the configuration.
        rows: of each domain, as far as they are at hand.
        n_test: rows of each test set.
        tries: whether baselines are tried.
    """
    grid, encoder = params.grid, params.baselines.text_encoder
    domains, n = grid.domains, len(grid.domains)
    yield Work("raw", n, 0, 0, n * (START_SECONDS + READ_SECONDS))
    yield Work("prepare", n, 0, 0, n * (START_SECONDS + READ_SECONDS))
    yield Work("draw", 1, 0, 0, START_SECONDS + READ_SECONDS)
    reads = encoder.model is not None and any(map(reads_text, grid.baselines))
    n_texts = sum(len(found.items) if (found := rows[domain]) else ASSUMED_ITEMS for domain in domains if reads)
    start = START_WITH_TORCH if reads else START_SECONDS
    yield Work("encode", n, 0, 0, n * start + n_texts / ENCODED_A_SECOND / encoder.n_threads)
    n_cells = sum(len(list(control_cells(params, domain, 0))) for domain in domains)
    yield Work("controls", n, n_cells, 0, n * START_SECONDS + n_cells * CONTROL_SECONDS)
    trained = [(model, domain) for domain in domains for model in grid.baselines]
    if trained:
        n_cells = sum(len(list(baseline_cells(params, *one))) for one in trained)
        seconds = sum(baseline_seconds(params, *one, rows[one[1]], n_test, tries=tries) for one in trained)
        yield Work("baselines", len(trained), n_cells, 0, len(trained) * START_WITH_TORCH + seconds)
    if n_files := len(params.external):
        yield Work("external", n_files, n_files, 0, n_files * START_SECONDS)
    n_rows = sum(n_test[cell.test_domain] for cell in cells(params, dict.fromkeys(domains, 0)))
    yield Work("evaluate", 1, 0, 0, START_SECONDS + n_rows / EVALUATED_A_SECOND)
    yield Work("report", 1, 0, 0, START_SECONDS + REPORT_SECONDS)
