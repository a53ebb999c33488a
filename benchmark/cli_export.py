"""Commands of `tallrec-bench export`: what leaves this repository for the tools of others."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from benchmark.artifacts.paths import PARAMS_YAML
from benchmark.cli_results import finish

app = typer.Typer(no_args_is_help=True, help="Write samples, released files or an adapter for the tools of others.")

Domain = Annotated[str, typer.Argument(help="Domain of params.yaml, e.g. movie.")]


@app.command()
def released(
    domain: Domain,
    out: Annotated[Path, typer.Option("--out", help="File to write.")],
    split: Annotated[Literal["train", "valid", "test"], typer.Option("--split", help="Split to write.")] = "test",
) -> None:
    """Write a prepared split as JSON in the form of the released code."""

    def work() -> None:
        from benchmark.data.released_export import export
        from benchmark.methods.configuration import load_config

        export(domain, split, out, load_config(PARAMS_YAML))
        typer.echo(f"{out}: written", err=True)

    finish(work)


@app.command()
def samples(
    domain: Domain,
    out: Annotated[Path, typer.Option("--out", help="Folder to write; replaced.")],
    n_shots: Annotated[int, typer.Option("--n-shots", min=0, help="K of a draw; 0: all training rows.")] = 0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the draw.")] = 0,
) -> None:
    """Write the rows that a model elsewhere is trained on and the samples that it scores, as JSON lines."""

    def work() -> None:
        from benchmark.data.samples_export import export_samples
        from benchmark.methods.configuration import load_config

        export_samples(domain, out, load_config(PARAMS_YAML), n_shots, seed)
        typer.echo(f"{out}: written; README.md there says what comes back", err=True)

    finish(work)


@app.command()
def adapter(
    variant: Annotated[str, typer.Argument(help="What was tuned, e.g. tallrec-movie.")],
    n_shots: Annotated[int, typer.Option("--n-shots", min=1, help="K of the cell.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write; replaced.")],
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the cell.")] = 0,
    benchmark: Annotated[
        str, typer.Option("--benchmark", help="Data set of the Hub that is registered as this benchmark, OWNER/NAME.")
    ] = "",
) -> None:
    """Write the adapter of a cell for plain PEFT, with a card of what the records say; upload nothing."""

    def work() -> None:
        from benchmark.methods.configuration import load_config
        from benchmark.report.cards.adapter import export_adapter

        export_adapter(variant, n_shots, seed, out, load_config(PARAMS_YAML), benchmark)
        typer.echo(f"{out}: written, and nothing is uploaded; read README.md there, and then: ", err=True)
        typer.echo(f"hf upload OWNER/{out.resolve().name} {out}")

    finish(work)
