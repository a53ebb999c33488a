"""A copy of the repository with a grid as small as it gets, in which the real `dvc repro` takes a minute."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
CHANGES: dict[str, Any] = {
    "domains.movie.n_samples": 100,
    "world.populations.ml-100k": {"n_users": 20, "ratings_per_user": [16, 20]},
    "world.n_items": 40,
    "world.n_other_items": 10,
    "world.reviews_per_item": 1,
    "world.instructions": 20,
    "grid.domains": ["movie"],
    "grid.n_shots": [4],
    "grid.seeds": [0],
    "grid.controls": ["random", "liked_share", "item_mean"],
    "grid.recipes": ["tallrec"],
    "grid.train_domains": ["movie"],
    "grid.icl_models": [],  # a minute is enough; tests/unit/benchmark/stages/test_stages_of_llm.py runs that stage
    "grid.prompts": ["released"],
    "baselines.heads": ["per_item"],
    "baselines.training.n_updates": 5,
    "base.vocabulary_size": 500,
    "base.hidden_size": 32,
    "base.intermediate_size": 32,
    "base.n_layers": 1,
    "base.n_updates": 5,
    "base.n_threads": 1,
    "instruct.n_updates": 5,
    "tune.n_updates": 5,
    "tune.eval_every": 5,
    "tune.warmup_updates": 0,
    "tune.max_valid_samples": 10,
    "probe.variants": ["tallrec-movie"],
    "probe.inputs": ["title_removed"],
    "efficiency.configurations": [],  # each is a process of its own, with tests of its own
}


def new_repository(folder: Path, changes: Mapping[str, Any]) -> Path:
    """A repository of its own in `folder`, with `changes` of its `params.yaml`, by dotted key, and nothing run."""
    listed = run(ROOT, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, listed.split("\0")):
        source = ROOT / name
        # Results of an earlier run are not part of what is tried.
        if source.is_file() and not name.startswith(("results/", "dvc.lock")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, folder / name)
    set_params(folder / "params.yaml", changes)
    run(folder, "git", "init", "-q")
    commit(folder, "toy", "-A")
    return folder


def set_params(path: Path, changes: Mapping[str, Any]) -> None:
    yaml = YAML()
    content = yaml.load(path.read_text())
    for key, value in changes.items():
        set_key(content, key, value)
    with path.open("w") as stream:
        yaml.dump(content, stream)


def set_key(content: Any, key: str, value: Any) -> None:
    """Set a dotted key that is there."""
    *parents, last = key.split(".")
    for parent in parents:
        content = content[parent]
    assert last in content, key
    content[last] = value


def environment(folder: Path) -> dict[str, str]:
    """What commands of the repository in `folder` need: its own modules, and nothing of the network."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(folder)}


def run(folder: Path, *command: str) -> str:
    """What a command that ends well prints."""
    done = subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def commit(folder: Path, message: str, *paths: str) -> None:
    run(folder, "git", "add", *paths)
    run(
        folder,
        *("git", "-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false", "commit", "-qm", message),
    )


def dvc(folder: Path, *arguments: str) -> str:
    return run(folder, sys.executable, "-m", "dvc", *arguments)
