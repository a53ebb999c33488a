"""`tallrec-bench`: the work around the pipeline. The pipeline itself is `dvc repro`.

Nothing heavy is imported at module level, so that `--help` is instant.
"""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmark.artifacts.paths import PARAMS_YAML
from benchmark.cli_export import app as export
from benchmark.cli_results import COMMANDS, finish

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


for command in COMMANDS:
    app.command()(command)
app.add_typer(export, name="export")


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"tallrec-bench {version('tallrec-bench')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Reproduce TALLRec: the work around the pipeline, which is `dvc repro`. Run it in the root of the repository."""
    del version


@app.command("list")
def list_names() -> None:
    """Print what params.yaml may name: presets, domains, methods, prompt styles, files of scores, probes, claims."""

    def work() -> None:
        from benchmark.config.overlays import preset_names
        from benchmark.methods.configuration import load_config
        from benchmark.methods.controls import CONTROLS
        from benchmark.methods.probes import PROBES
        from benchmark.methods.rules import prompt_names
        from benchmark.verdicts.claim_params import read_claims
        from benchmark.verdicts.claims import CLAIMS_YAML

        params = load_config(PARAMS_YAML)
        for what, names in (
            ("presets", preset_names()),
            ("domains", params.domains),
            ("controls", CONTROLS),
            ("baselines", params.baselines.models),
            ("prompts", prompt_names()),
            ("external", dict.fromkeys(entry.name for entry in params.external)),
            ("probes", PROBES),
            ("claims", [claim["id"] for claim in read_claims(CLAIMS_YAML)]),
        ):
            typer.echo(f"{what}: {', '.join(names)}")

    finish(work)


@app.command()
def use(
    presets: Annotated[
        list[str],
        typer.Argument(
            help="One or several, e.g. `real-cpu llm/gemma-3-270m`; a later one wins. A wrong name lists them all."
        ),
    ],
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing, and exit with 1 if something would change.")
    ] = False,
) -> None:
    """Merge presets into params.yaml, keep its comments, and say what changed, what it takes and what comes next."""

    def work() -> None:
        from benchmark.methods.configuration import merge_presets, with_presets
        from benchmark.planning.show import in_short

        changes, unpinned = merge_presets(presets, PARAMS_YAML, write=not check)
        for key, old, new in changes:
            typer.echo(f"{key}: {old} -> {new}")
        if not changes:
            typer.echo(f"{PARAMS_YAML}: already {' '.join(presets)}")
        for key, problem in unpinned:
            typer.echo(f"{key}: {problem}", err=True)
        if check and changes:
            raise typer.Exit(1)
        if not check:
            for line in in_short(with_presets((), PARAMS_YAML, needs_commits=False), unpinned):
                typer.echo(line)

    finish(work)


@app.command()
def validate() -> None:
    """Check every value of params.yaml; an error names the key and what was expected."""

    def work() -> None:
        from benchmark.methods.configuration import load_config

        load_config(PARAMS_YAML)
        typer.echo(f"{PARAMS_YAML}: valid")

    finish(work)


@app.command()
def pin(
    keys: Annotated[
        list[str] | None,
        typer.Argument(help="Of params.yaml, e.g. llm.model. By default: every one that names the Hub."),
    ] = None,
    update: Annotated[bool, typer.Option("--update", help="Ask again for those that have a commit already.")] = False,
) -> None:
    """Ask the Hub for the commits of the models and data sets that params.yaml names without one, and write them in."""

    def work() -> None:
        from benchmark.doctor.pins import pin as pin_in

        for line in pin_in(PARAMS_YAML, keys or [], update=update):
            typer.echo(line)

    finish(work)


@app.command()
def plan(
    presets: Annotated[
        list[str] | None, typer.Argument(help="Merged into what is planned, e.g. `paper`; params.yaml stays as it is.")
    ] = None,
    memory: Annotated[
        str, typer.Option("--memory", help="Memory of the device, e.g. 24GB. By default: this machine's.")
    ] = "",
    device: Annotated[
        str, typer.Option("--device", help="Card to plan for, e.g. 'RTX 3090'. By default: this machine's.")
    ] = "",
    tflops: Annotated[
        float | None,
        typer.Option("--tflops", help="Its dense half-precision speed. By default: as listed, or measured here."),
    ] = None,
    tokens: Annotated[
        int | None, typer.Option("--tokens", min=1, help="Tokens of a prompt. By default: of some rows, rendered.")
    ] = None,
) -> None:
    """Say what a run can tell and what it takes, by stage: cells, memory, time, questions, money; run nothing."""

    def work() -> None:
        from benchmark.methods.configuration import with_presets
        from benchmark.planning.foretold import foretold
        from benchmark.planning.power import show_power
        from benchmark.planning.show import show
        from benchmark.verdicts.paper import load_paper

        params = with_presets(presets or [], PARAMS_YAML)
        plan = foretold(params, memory=memory, device=device, tflops=tflops, n_tokens=tokens)
        show_power(params, load_paper(), plan.sizes)
        show(params, plan)

    finish(work)


@app.command()
def doctor() -> None:
    """Say what this machine has, and exit with 1 if a run would miss something; contact no address."""

    def work() -> None:
        from benchmark.doctor.machine import findings

        table = Table("", "finding", "", box=None, show_header=False)
        rows = findings(Path.cwd())
        for row in rows:
            table.add_row("ok" if row.is_fine else "!", row.subject, row.found)
        Console(soft_wrap=True).print(table)
        if not all(row.is_fine for row in rows):
            raise typer.Exit(1)

    finish(work)


@app.command()
def verify(
    mend: Annotated[bool, typer.Option("--mend", help="Remove what is damaged; `dvc repro` makes it again.")] = False,
) -> None:
    """Read what DVC trusts unread or does not watch; exit 1 if a file is damaged and stays, or changed."""

    def work() -> None:
        from benchmark.artifacts.integrity import cut_files, damaged_files, renew_times
        from benchmark.doctor.outside import changed_files

        n_files, damaged = damaged_files(Path())
        for path in (*damaged, *(cut := cut_files(Path()))):
            typer.echo(f"{path}: damaged{', removed' if mend else ''}")
            if mend:
                path.unlink()
        if mend:
            renew_times(Path())
        typer.echo(f"cache: {n_files} files, {len(damaged)} damaged")
        for path, stage in (changed := changed_files(PARAMS_YAML)):
            typer.echo(f"{path}: changed since it was read; `dvc repro -f -s {stage}` reads it again")
        if changed or ((damaged or cut) and not mend):
            raise typer.Exit(1)

    finish(work)


@app.command()
def sweep(
    workers: Annotated[int, typer.Option("--workers", min=1, help="Workers of this machine; each runs a cell.")] = 2,
    scheduler: Annotated[
        str | None,
        typer.Option(
            "--scheduler", help="Running Dask scheduler whose workers are used instead, e.g. tcp://host:8786."
        ),
    ] = None,
    repository: Annotated[
        str | None, typer.Option("--repository", help="Address or folder that workers clone. By default: this folder.")
    ] = None,
    clones: Annotated[
        Path, typer.Option("--clones", help="Folder of the clones, one a worker, on every machine.")
    ] = Path("scratch/sweep"),
    overrides: Annotated[
        list[str] | None, typer.Option("-S", "--set-param", help="Sweep an experiment with KEY=VALUE of params.yaml.")
    ] = None,
    name: Annotated[str | None, typer.Option("-n", "--name", help="Name of the experiment.")] = None,
    gpus: Annotated[int, typer.Option("--gpus", min=0, help="GPUs of each worker; cells wait for theirs.")] = 0,
    print_array: Annotated[
        bool, typer.Option("--print-array", help="Run nothing; print a script of SLURM job arrays instead.")
    ] = False,
    collect: Annotated[bool, typer.Option("--collect", help="Run nothing; collect what the arrays made.")] = False,
) -> None:
    """Run what is missing in clones of this repository, through the shared DVC remote; exit with 1 if a cell failed."""

    def work() -> None:
        from benchmark.sweep import command
        from benchmark.sweep.driver import Workers

        asked = command.Sweep(Workers(scheduler, workers, clones, gpus), repository, tuple(overrides or ()), name)
        graph = command.unfolded(Path(), asked)
        if print_array:
            typer.echo(command.print_array(Path(), graph, asked), nl=False)
            return
        code = command.finish(Path(), graph, asked) if collect else command.sweep(Path(), graph, asked)
        if code:
            raise typer.Exit(code)

    finish(work)


def main() -> None:
    """Entry point of the console script."""
    app()


if __name__ == "__main__":
    main()
