"""Commands of `tallrec-bench` on results: comparing, keeping and merging them."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from benchmark.artifacts.paths import LOOK, METRICS_CSV, PARAMS_YAML, run_folder
from benchmark.errors import ConfigError, DataError, exit_code_of


def finish(work: Callable[[], None]) -> None:
    """Run `work`; a `BenchmarkError` becomes one line on stderr and exit code 2."""
    code = exit_code_of(work)
    if code:
        raise typer.Exit(code)


def check(
    against: Annotated[
        str,
        typer.Option("--against", help="Git revision with results/, or in docs/results a run like this; or a file."),
    ],
    alpha: Annotated[
        float, typer.Option("--alpha", help="How often noise alone may turn the check red, all comparisons together.")
    ] = 0.05,
) -> None:
    """Compare this run with a reference; exit with 1 if a cell is missing, or a method worse than noise explains."""

    def work() -> None:
        from benchmark.report.comparison import gate_lines
        from benchmark.verdicts.compared_run import other_rows
        from benchmark.verdicts.gate import FAILURES
        from benchmark.verdicts.gate import check as findings_of

        folder = run_folder()
        before, after, findings = findings_of(against, alpha=alpha, folder=folder)
        typer.echo(f"{after.name} beside {before.name}", err=True)
        for line in other_rows(before, after):
            typer.echo(line, err=True)
        for line in gate_lines(findings):
            typer.echo(line)
        if any(finding.verdict in FAILURES for finding in findings):
            raise typer.Exit(1)

    finish(work)


def compare(
    first: Annotated[
        str, typer.Argument(metavar="A", help="A git revision or DVC experiment with results/metrics.csv, or a file.")
    ],
    second: Annotated[str, typer.Argument(metavar="B", help="The same. By default: this run.")] = "",
    html: Annotated[Path | None, typer.Option("--html", help="Write a page too, with the intervals drawn.")] = None,
) -> None:
    """Print what changed from A to B: per method and K the difference, its margin and whether noise explains it."""

    def work() -> None:
        from benchmark.artifacts.files import write_bytes
        from benchmark.report.comparison import CONFIDENCE, Comparison, comparison_html, comparison_lines
        from benchmark.verdicts.compared_run import named_run, other_rows
        from benchmark.verdicts.gate import differences

        folder = run_folder()
        runs = named_run(first, folder), named_run(second or (folder / METRICS_CSV).as_posix(), folder)
        others = list(other_rows(*runs))
        comparison = Comparison(first, second or runs[1].name, differences(*runs, confidence=CONFIDENCE), others)
        for line in comparison_lines(comparison):
            typer.echo(line)
        if html:
            write_bytes(html, comparison_html(comparison).encode())

    finish(work)


def keep(
    folder: Annotated[Path, typer.Argument(help="Folder to write, e.g. docs/results/gemma-3-270m; replaced.")],
    families: Annotated[
        list[str] | None,
        typer.Option(
            "--family", help="Of cells with scores: control, baseline, icl, tuned, external. By default: icl and tuned."
        ),
    ] = None,
) -> None:
    """Write scores, records and metrics of this run into a folder that git can hold; samples are row numbers."""

    def work() -> None:
        from benchmark.methods.configuration import load_config
        from benchmark.report.kept import keep as write_kept
        from benchmark.stages import evaluate

        target = folder.absolute()
        with contextlib.chdir(run_folder()):
            evaluate.run(partial=True)
            n_cells = write_kept(target, load_config(PARAMS_YAML), families)
        typer.echo(f"{folder}: {n_cells} cells")

    finish(work)


def merge(
    folders: Annotated[list[Path], typer.Argument(help="Folders that `keep` wrote, of this machine or of others.")],
) -> None:
    """Take cells that this run lacks from other runs, evaluate what there is, and write the page."""

    def work() -> None:
        from benchmark.methods.configuration import load_config
        from benchmark.report.kept import merge as take
        from benchmark.stages import evaluate, report

        n_here = 0
        for folder in folders:
            found = take(folder, load_config(PARAMS_YAML))
            n_here += found.n_taken + found.n_known
            typer.echo(f"{folder}: {found.n_taken} cells taken, {found.n_known} were here already")
            for reason, n_cells in found.refused.items():
                typer.echo(f"{folder}: {n_cells} cells refused: {reason}", err=True)
            for key in found.told:
                typer.echo(f"{folder}: computed with {key}", err=True)
        if not n_here:
            raise DataError(f"{', '.join(map(str, folders))}: no cell fits this run")
        evaluate.run(partial=True)
        report.run()

    finish(work)


def submit(
    folder: Annotated[Path, typer.Argument(help="Folder below docs/results that `keep` wrote.")],
    by: Annotated[str, typer.Option("--by", help="Who ran it.")],
    note: Annotated[str, typer.Option("--note", help="One line that a reader should know.")] = "",
) -> None:
    """Make a run an entry of the leaderboard: note where it comes from, check it, write docs/leaderboard.html."""

    def work() -> None:
        from benchmark.report.leaderboard.entry import RESULTS
        from benchmark.report.leaderboard.entry import submit as write_entry
        from benchmark.report.leaderboard.page import write_leaderboard

        if folder.resolve().parent != RESULTS.resolve():
            raise ConfigError(f"{folder}: expected a folder of {RESULTS}, which the leaderboard is made of")
        entry = write_entry(folder, by, note)
        write_leaderboard(check=False)
        typer.echo(f"{folder}: {len(entry.rows)} cells, whole; commit it with docs/leaderboard.html")

    finish(work)


def leaderboard(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 if the page is not what the entries say.")
    ] = False,
) -> None:
    """Check every entry of docs/results and write docs/leaderboard.html."""

    def work() -> None:
        from benchmark.report.leaderboard.page import LEADERBOARD, write_leaderboard

        is_current = write_leaderboard(check=check)
        typer.echo(f"{LEADERBOARD}: {'current' if is_current else 'out of date' if check else 'written'}")
        if check and not is_current:
            raise typer.Exit(1)

    finish(work)


def show(
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Where the results/ lie. By default: here, else of `look`.")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="As Markdown, for a comment or an issue.")] = False,
) -> None:
    """Print the main table and what was found."""

    def work() -> None:
        from benchmark.report.inputs import read_inputs
        from benchmark.report.show import lines
        from benchmark.verdicts.paper import load_paper

        with contextlib.chdir(folder or run_folder()):
            for line in lines(read_inputs(), load_paper(), is_markdown=markdown):
                typer.echo(line)

    finish(work)


def look(
    presets: Annotated[
        list[str] | None, typer.Argument(help="Merged into a copy of params.yaml. By default: look.")
    ] = None,
) -> None:
    """Rules and recommenders on the real data in two to three minutes, in scratch/look; params.yaml stays as it is."""

    def work() -> None:
        from benchmark.look import look as run

        run(LOOK, presets or ["look"], lambda line: typer.echo(line, err=True))
        show(LOOK, markdown=False)
        typer.echo(f"The page is {LOOK / 'results/report.html'}")

    finish(work)


def variance(
    baseline: Annotated[str, typer.Argument(help="A baseline of params.yaml, e.g. sasrec.")],
    domain: Annotated[str, typer.Argument(help="Domain of params.yaml, e.g. movie.")],
    n_shots: Annotated[int, typer.Option("--n-shots", min=1, help="K: one of grid.n_shots.")] = 64,
    seeds: Annotated[int, typer.Option("--seeds", min=2, help="Draws, each under as many initial weights.")] = 10,
) -> None:
    """Train a baseline on every draw under every initial weights; print what its scatter is made of, write nothing."""

    def work() -> None:
        from benchmark.diagnostics.variance import variance_table
        from benchmark.methods.configuration import load_config
        from benchmark.progress import progress
        from benchmark.report.show import component_lines

        with progress(f"{baseline} {domain}, {seeds} draws x {seeds} weights") as show_progress:
            found = list(
                variance_table(
                    load_config(PARAMS_YAML),
                    baseline,
                    domain,
                    n_shots=n_shots,
                    n_seeds=seeds,
                    tell=lambda _, done, total: show_progress(done, total),
                )
            )
        for line in component_lines(found):
            typer.echo(line)

    finish(work)


def repro(
    arguments: Annotated[list[str] | None, typer.Argument(help="Of `dvc repro`; options of it after `--`.")] = None,
) -> None:
    """Run `dvc repro`, and say which stage of how many runs and how long the rest will take."""

    def work() -> None:
        from benchmark.methods.configuration import load_config
        from benchmark.repro import repro as run

        load_config(PARAMS_YAML)
        raise typer.Exit(run(arguments or []))

    finish(work)


COMMANDS = (look, repro, show, compare, check, keep, merge, submit, leaderboard, variance)
