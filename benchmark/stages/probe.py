"""Stage `probe`: the adapters of one variant at the largest K -> predictions on changed inputs. Nothing is tuned.

Usage: python -m benchmark.stages.probe --variant tallrec-movie
"""

import sys
from collections.abc import Sequence
from dataclasses import replace

from benchmark.arguments import stage_arguments
from benchmark.artifacts.files import write_predictions
from benchmark.artifacts.paths import adapter_folder, probe_folder
from benchmark.config.names import refuse_unknown
from benchmark.data.tasks import scoring_task
from benchmark.errors import exit_code_of
from benchmark.methods import language_models
from benchmark.methods.configuration import load_config
from benchmark.methods.language_model_cells import probe_cells
from benchmark.methods.probes import PROBES, PROMPT_STYLES
from benchmark.schema import check_predictions


def run(variant: str) -> None:
    """Score every probe of every cell of the variant; written to predictions/probe/<variant>/<probe>/.

    Raises:
        ConfigError: `probe.variants` has no such variant.
    """
    from tallrec.models.adapters import load_adapter

    params = load_config()
    refuse_unknown("probe.variants", variant, params.probe.variants)
    model, tokenizer = language_models.load_base(params, to_score=True)
    for cell in probe_cells(params, variant):
        task = scoring_task(cell.test_domain, cell.seed)
        adapted = load_adapter(model, adapter_folder(variant, cell.n_shots, cell.seed))
        for probe in params.probe.inputs:
            samples, items = PROBES[probe](task.test, task.items)
            changed = replace(task, test=samples, items=items)
            scoring = language_models.scoring(params, PROMPT_STYLES.get(probe, "released"))
            predictions = language_models.scoring_method(adapted, tokenizer, scoring)(changed)
            check_predictions(predictions, task)
            write_predictions(probe_folder(variant) / probe, cell, predictions)
        adapted.unload()
        print(f"probed {cell}: {', '.join(params.probe.inputs)}", file=sys.stderr)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; exit code 0, or 2 with one line on stderr."""
    args = stage_arguments(__doc__, argv, "variant")
    return exit_code_of(lambda: run(args.variant))


if __name__ == "__main__":
    sys.exit(main())
