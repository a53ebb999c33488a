"""Stage `others`: a model of `icl.models`, behind an address or local, and a prompt style -> predictions.

Usage: python -m benchmark.stages.others --model gpt-4o-mini --prompt released
"""

import logging
import sys
from collections.abc import Sequence
from typing import Any

from benchmark.arguments import stage_arguments
from benchmark.artifacts.files import write_json
from benchmark.artifacts.paths import unavailable_file
from benchmark.config.names import refuse_unknown
from benchmark.errors import ConfigError, DataError, ServerError, exit_code_of
from benchmark.methods.configuration import load_config
from benchmark.methods.in_context import run_in_context
from benchmark.methods.other_models import other_method, other_settings

_LOG = logging.getLogger(__name__)


def run(model: str, prompt: str) -> None:
    """Score every domain with one model of `grid.other_models`.

    Raises:
        ConfigError: it is none of them, or its key is not in the environment; the latter, and those that follow, only
            where `icl.unavailable` is `stop`.
        ServerError: its server gives no answer that can be scored.
        DataError: its weights cannot be loaded.
    """
    params = load_config()
    refuse_unknown("grid.other_models", model, params.grid.other_models)
    refuse_unknown("grid.prompts", prompt, params.grid.prompts)
    notes: dict[str, Any] = {}
    name = f"icl-{model}-{prompt}"
    reasons = [unavailable_file(root, name) for root in ("predictions", "runs")]  # both are outputs of the stage
    for path in reasons:
        path.unlink(missing_ok=True)
    try:
        method = other_method(params, model, prompt, notes)
        run_in_context(params, model, prompt, method, other_settings(params, model), notes)
    except (ServerError, ConfigError, DataError) as error:
        if params.icl.unavailable == "stop":
            raise
        for path in reasons:
            write_json(path, {"reason": str(error)})
        _LOG.warning("%s cannot be had, and its cells stay missing (icl.unavailable): %s", name, error)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; exit code 0, or 2 with one line on stderr."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    args = stage_arguments(__doc__, argv, "model", "prompt")
    return exit_code_of(lambda: run(args.model, args.prompt))


if __name__ == "__main__":
    sys.exit(main())
