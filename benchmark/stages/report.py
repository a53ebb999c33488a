"""Stage `report`: results + paper.yaml + claims.yaml -> the report, tables, figures, claims.json, cost.csv, cost.json.

Usage: python -m benchmark.stages.report
"""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmark.arguments import stage_arguments
from benchmark.artifacts.files import replacing_folder, write_bytes, write_json
from benchmark.artifacts.paths import COST_CSV, COST_JSON
from benchmark.errors import exit_code_of
from benchmark.statistics.results import csv_bytes

RESULTS = Path("results")


def run() -> None:
    """Read the results, render everything in memory, then write it."""
    from benchmark.report.export import table_csv, table_tex
    from benchmark.report.inputs import read_inputs
    from benchmark.report.page import build_page, render_html, render_markdown, render_svg
    from benchmark.report.tables.costs import COST_COLUMNS, cost_rows, mean_costs
    from benchmark.verdicts.paper import load_paper

    inputs = read_inputs()
    page = build_page(inputs, load_paper())
    html, markdown = render_html(page), render_markdown(page)
    with replacing_folder(RESULTS / "tables") as folder:
        for table in page.tables:
            write_bytes(folder / f"{table.id}.csv", table_csv(table))
            write_bytes(folder / f"{table.id}.tex", table_tex(table))
    with replacing_folder(RESULTS / "figures") as folder:
        for plot in page.plots:
            write_bytes(folder / f"{plot.id}.svg", render_svg(plot).encode())
    write_bytes(COST_CSV, csv_bytes(COST_COLUMNS, cost_rows(inputs)))
    write_json(COST_JSON, mean_costs(inputs))
    content = {"generated_domains": page.generated, "claims": [asdict(claim) for claim in page.claims]}
    write_json(RESULTS / "claims.json", content)
    write_bytes(RESULTS / "report.md", markdown.encode())
    write_bytes(RESULTS / "report.html", html.encode())
    counts = ", ".join(f"{count} {verdict}" for verdict, count in page.claim_counts.items())
    print(f"{RESULTS / 'report.html'}: {len(inputs.rows)} cells; claims: {counts}", file=sys.stderr)


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    stage_arguments(__doc__, argv)
    return exit_code_of(run)


if __name__ == "__main__":
    sys.exit(main())
