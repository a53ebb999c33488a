"""The command line of a stage: its help is the docstring of its module."""

import argparse
from collections.abc import Sequence
from typing import Any

OPTIONS: dict[str, dict[str, Any]] = {
    "domain": {"help": "a key of `domains` in params.yaml"},
    "train-domain": {"help": "a key of `domains` in params.yaml, or `both`"},
    "baseline": {"help": "a key of `baselines.models` in params.yaml"},
    "recipe": {
        "choices": ("tallrec", "rt"),
        "help": "what is tuned: the instruction-tuned model (tallrec) or the base model (rt)",
    },
    "variant": {"help": "a recipe and what it is trained on, such as tallrec-movie or rt-both"},
    "name": {"help": "a name of `external` in params.yaml"},
    "test-domain": {"help": "a key of `domains` in params.yaml, or one followed by `-extended`"},
    "n-shots": {"type": int, "help": "number of training samples, K of the paper"},
    "seed": {"type": int, "help": "number of the draw"},
    "model": {"help": "one of `grid.icl_models`, or for stage `others` of `grid.other_models`, in params.yaml"},
    "configuration": {"help": "a name of `efficiency.configurations` in params.yaml"},
    "prompt": {"help": "one of `grid.prompts` in params.yaml"},
    "partial": {
        **{"action": "store_true", "required": False},
        "help": "write cells without a result as missing instead of stopping",
    },
}
"""What a stage can be told; an option is needed unless it says that it is not."""


def stage_arguments(documentation: str | None, given: Sequence[str] | None, *names: str) -> argparse.Namespace:
    """What the command line of a stage says.

    Args:
        documentation: of the module of the stage; it ends in `Usage: ` and an example of its command.
        given: the words after the command; None for those of this process.
        names: keys of `OPTIONS` that the stage has.

    Raises:
        SystemExit: 2, after a message, where an option is missing, unknown or not of its type.
    """
    text, _, example = (documentation or "").rpartition("Usage: ")
    parser = argparse.ArgumentParser(
        prog=" ".join(example.split()[:3]),
        description=text,
        epilog=f"example: {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name in names:
        option: dict[str, Any] = {"required": True, **OPTIONS[name]}
        parser.add_argument(f"--{name}", **option)
    return parser.parse_args(given)
