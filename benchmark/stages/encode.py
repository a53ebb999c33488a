"""Stage `encode`: item texts -> data/texts/<domain>/, one vector an item by a frozen text encoder.

Where `baselines.text_encoder.model` is null, or no baseline of the grid reads text, the table is empty.

Usage: python -m benchmark.stages.encode --domain movie
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmark.arguments import stage_arguments
from benchmark.artifacts import files, paths
from benchmark.config.names import refuse_unknown
from benchmark.data.sources import describe_outside
from benchmark.errors import exit_code_of
from benchmark.methods.baselines import reads_text
from benchmark.methods.configuration import load_config
from benchmark.progress import progress


def run(domain: str) -> None:
    """Encode the text of every item of `domain` once.

    Raises:
        ConfigError: there is no such domain.
    """
    params = load_config()
    refuse_unknown("domains", domain, params.domains)
    settings = params.baselines.text_encoder
    vectors = {}
    if settings.model is not None and any(reads_text(model) for model in params.grid.baselines):
        from baselines.text_encoder import encode_texts

        items = files.read_items(paths.prepared_folder(domain) / "items.parquet")
        with progress(f"encode the texts of {domain}") as tell:
            found = encode_texts(
                [item.text for item in items.values()],
                settings.model,
                settings.revision,
                max_length=settings.max_length,
                batch_size=settings.batch_size,
                n_threads=settings.n_threads,
                tell=tell,
            )
        vectors = dict(zip(items, found.numpy(), strict=True))
    with files.replacing_folder(paths.texts_file(domain).parent) as folder:
        files.write_vectors(folder / paths.texts_file(domain).name, vectors)
        if vectors and settings.model is not None and Path(settings.model).is_dir():
            describe_outside(folder, sorted(path for path in Path(settings.model).rglob("*") if path.is_file()))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; exit code 0, or 2 with one line on stderr."""
    args = stage_arguments(__doc__, argv, "domain")
    return exit_code_of(lambda: run(args.domain))


if __name__ == "__main__":
    sys.exit(main())
