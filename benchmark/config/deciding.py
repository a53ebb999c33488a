"""Which keys of `params.yaml` decide the scores of a cell, as the stages that make it declare them."""

from collections.abc import Iterator, Mapping
from functools import reduce
from typing import Any, cast

from benchmark.config.pipeline import item_of
from benchmark.schema import Cell, domain_of, model_and_prompt

STAGES = {
    "control": ("prepare", "draw", "controls"),
    "baseline": ("prepare", "draw", "encode", "baselines"),
    "icl": ("base", "prepare", "draw", "icl"),
    "tuned": ("base", "prepare", "draw", "tune", "score"),
    "external": ("prepare", "external"),
}
"""What makes the cells of a family. The keys that these stages read decide a result, but for those below."""
CHOICES = (
    *("grid.", "icl.n_demonstrations", "icl.demonstrated_prompts", "icl.extended_prompts", "probe."),
    *("baselines.heads", "baselines.last_update"),
)
"""Beginnings of keys that say which cells there are, and not what is in them."""
DECIDING = ("grid.weights_seed",)
"""Keys that begin so and decide all the same."""
OF_MACHINE = ("llm.dtype", "llm.n_threads", "baselines.training.n_threads", "baselines.text_encoder.n_threads")
"""Keys that move a score by rounding alone."""


def deciding_keys(cell: Cell, stages: Mapping[str, Any]) -> list[str]:
    """The keys of `params.yaml` that decide the scores of a cell, as the stages that make it declare them."""
    names = list(STAGES[cell.family])
    if cell.method.startswith(("tallrec-", "icl-alpaca-")):
        names.insert(1, "instruct")
    model = model_and_prompt(cell.method)[0] if cell.family == "icl" else cell.method.split("-")[0]
    if cell.family == "icl" and model not in ("base", "alpaca"):
        names = ["prepare", "draw", "others"]
    of_domains = [f"domains.{name}" for name in dict.fromkeys((cell.train_domain, domain_of(cell.test_domain)))]
    if cell.train_domain == "both":
        of_domains = ["domains", "grid.domains"]  # it is trained on each of the grid
    found: dict[str, None] = {}
    for key in (key for name in names for key in stages[name].get("params", [])):
        if key == "domains.${item.domain}":
            found |= dict.fromkeys(of_domains)
        else:
            found[key.replace("${item.baseline}", model).replace("${item.model}", model)] = None
    return [key for key in found if key in (*DECIDING, *of_domains) or not key.startswith(CHOICES)]


def differing(here: Any, there: Any, key: str) -> Iterator[tuple[str, Any, Any]]:
    """The keys at or below `key` that differ, with both values."""
    ours, theirs = (reduce(item_of, key.split("."), side) for side in (here, there))
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name in dict.fromkeys((*cast("dict[str, Any]", ours), *cast("dict[str, Any]", theirs))):
            yield from differing(here, there, f"{key}.{name}")
    elif ours != theirs:
        yield key, ours, theirs


def source_of(content: object, test_set: str) -> object:
    """Where a `params.yaml`, read as YAML, has the data of a test set from: `embedded` if generated; None if unsaid."""
    return reduce(item_of, ("domains", domain_of(test_set), "source"), content)
