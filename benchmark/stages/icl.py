"""Stage `icl`: the model of section `llm` as it is, and a prompt style -> predictions on every domain.

Zero-shot and with demonstrations. Models of `icl.models` are asked by stage `others`, which waits for no model here.

Usage: python -m benchmark.stages.icl --model base --prompt released
"""

import logging
import sys
from collections.abc import Sequence

from benchmark.arguments import stage_arguments
from benchmark.config.names import refuse_unknown
from benchmark.errors import exit_code_of
from benchmark.methods.configuration import load_config
from benchmark.methods.in_context import own_method, run_in_context
from benchmark.methods.language_models import scoring_settings


def run(model: str, prompt: str) -> None:
    """Score every domain with `base` or `alpaca`."""
    params = load_config()
    refuse_unknown("grid.icl_models", model, params.grid.icl_models)
    refuse_unknown("grid.prompts", prompt, params.grid.prompts)
    run_in_context(params, model, prompt, own_method(params, model, prompt), scoring_settings(params), notes={})


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; exit code 0, or 2 with one line on stderr."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    args = stage_arguments(__doc__, argv, "model", "prompt")
    return exit_code_of(lambda: run(args.model, args.prompt))


if __name__ == "__main__":
    sys.exit(main())
