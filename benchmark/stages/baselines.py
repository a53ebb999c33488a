"""Stage `baselines`: draws + prepared samples -> predictions of one baseline on one domain, every K and seed.

Usage: python -m benchmark.stages.baselines --baseline gru4rec --domain movie
"""

import argparse
import logging
import sys
from collections.abc import Sequence

from benchmark.config import load_config
from benchmark.errors import exit_code_of
from benchmark.grid import baseline_cells
from benchmark.methods import build_baseline
from benchmark.running import run_cells
from benchmark.tasks import few_shot_task


def run(baseline: str, domain: str) -> None:
    """Train and test `baseline` on every draw of `domain`."""
    params = load_config()
    method = build_baseline(baseline, params.baselines)
    settings = {
        "draw": params.fidelity.draw,
        "training": params.baselines.training.model_dump(mode="json"),
        "model": params.baselines.models[baseline],
    }
    run_cells(
        list(baseline_cells(params, baseline, domain)),
        task_of=lambda cell: few_shot_task(domain, domain, cell.n_shots, cell.seed, side="conventional"),
        method_of=lambda _: method,
        settings_of=lambda _: settings,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; exit code 0, or 2 with one line on stderr."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--baseline", required=True)
    parser.add_argument("--domain", required=True)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    return exit_code_of(lambda: run(args.baseline, args.domain))


if __name__ == "__main__":
    sys.exit(main())
