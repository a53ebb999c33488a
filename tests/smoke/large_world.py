"""What is true of each claim in the world of preset `ledger`: its items and its model, with more users and other draws.

`python tests/smoke/large_world.py FOLDER` runs the stages of `use smoke ledger` in FOLDER, without DVC and in one
process, and writes `truths.json` beside this file: the verdict of each claim there, and its comparisons with their
margins. Items, texts and model are those of smoke, since none of them depends on how many users there are; no seed of a
draw is one of that preset's. A second call goes on where the first was stopped.

`python tests/smoke/large_world.py FOLDER --claim at_alone_is_below_rt` adds that claim from more draws of the
methods that it compares, each scored on its own domain: twelve were too few (1.0 with a margin of 2.0, nearly all of
it between draws, so that half as many test rows do).
"""

import argparse
import importlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from benchmark.config.overlays import merged, preset_text
from benchmark.methods.configuration import load_config
from benchmark.stages import evaluate, report

ROOT = Path(__file__).parents[2]
TRUTHS = Path(__file__).with_name("truths.json")
CHANGES: dict[str, dict[str, Any]] = {
    "domains.movie": {"n_samples": 20_000, "split": [0.75, 0.05, 0.2]},
    "domains.book": {"split": [0.75, 0.05, 0.2]},
    "world.populations.ml-100k": {"n_users": 3_600},
    "world.populations.bookcrossing": {"n_users": 20_000},
    "grid": {"seeds": [*range(100, 112)], "cheap_seeds": [*range(100, 124)]},
}
CHANGES_OF: dict[str, dict[str, Any]] = {
    "at_alone_is_below_rt": {
        "domains.movie": {"n_samples": 20_000, "split": [0.85, 0.05, 0.1]},
        "domains.book": {"split": [0.85, 0.05, 0.1]},
        "grid": {"seeds": [*range(200, 260)], "cheap_seeds": None, "recipes": ["rt"], "icl_models": ["alpaca"]}
        | {"baselines": [], "prompts": ["released"], "controls": ["liked_share"]},
        "icl": {"n_demonstrations": [0], "demonstrated_prompts": []},
    },
}
"""In the place of `CHANGES`: what a claim needs that those leave open. Fixed before it is run."""


def commands() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each stage with its arguments, in an order that leaves nothing missing."""
    grid = load_config().grid
    for domain in grid.domains:
        yield "raw", {"domain": domain}
        yield "prepare", {"domain": domain}
    yield "draw", {}
    for domain in grid.domains:
        yield "controls", {"domain": domain}
        for baseline in grid.baselines:
            yield "baselines", {"baseline": baseline, "domain": domain}
    yield "base", {}
    yield "instruct", {}
    for recipe in grid.recipes:
        for train_domain in grid.train_domains:
            variant = {"recipe": recipe, "train-domain": train_domain}
            for n_shots in grid.n_shots:
                for seed in grid.seeds:
                    yield "tune", variant | {"n-shots": n_shots, "seed": seed}
            yield "score", variant
    for model in grid.icl_models:
        for prompt in grid.prompts:
            yield "icl", {"model": model, "prompt": prompt}


def write_params(changed: dict[str, dict[str, Any]]) -> None:
    """Write `params.yaml` of the large world: that of presets `smoke` and `ledger` with what is changed."""
    text = merged((ROOT / "params.yaml").read_text(), preset_text("smoke"))
    params: Any = YAML().load(merged(text, preset_text("ledger")))
    for key, changes in changed.items():
        section = params
        for name in key.split("."):
            section = section[name]
        assert changes.keys() <= section.keys()
        section.update(changes)
    YAML().dump(params, Path("params.yaml"))


def run(stage: str, arguments: dict[str, Any]) -> None:
    """Run a stage in this process, unless it has come to its end before."""
    done = Path("done") / "-".join((stage, *map(str, arguments.values())))
    if not done.exists():
        given = [word for name, value in arguments.items() for word in (f"--{name}", str(value))]
        assert importlib.import_module(f"benchmark.stages.{stage}").main(given) == 0
        done.parent.mkdir(exist_ok=True)
        done.touch()


def truths(claims: list[dict[str, Any]]) -> dict[str, Any]:
    """What `results/claims.json` says, as far as a run of smoke is held against it."""
    told = ("what", "distance", "margin", "verdict")
    return {
        claim["id"]: {
            "verdict": claim["verdict"],
            "comparisons": [{name: rounded(item[name]) for name in told} for item in claim["evidence"]],
        }
        for claim in claims
    }


def rounded(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--claim", choices=CHANGES_OF)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    changes = CHANGES | CHANGES_OF.get(arguments.claim, {})
    os.chdir(arguments.folder)
    write_params(changes)
    for stage, given in commands():
        if stage == "score" and arguments.claim:
            alone = [given["train-domain"]]
            write_params(changes | {"grid": changes["grid"] | {"domains": alone, "train_domains": alone}})
        run(stage, given)
        write_params(changes)
    assert evaluate.main(["--partial"] if arguments.claim else []) == report.main([]) == 0
    found = truths(json.loads(Path("results/claims.json").read_text())["claims"])
    known = json.loads(TRUTHS.read_text())
    if arguments.claim:
        known["more_draws"][arguments.claim] = {"changes": CHANGES_OF[arguments.claim], **found[arguments.claim]}
    else:
        known |= {"changes": CHANGES, "claims": found}
    TRUTHS.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main()
