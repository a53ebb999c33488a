"""The recipes of CONTRIBUTING.md, carried out in a copy of the repository: a row in every table, and the contract kept.

Each recipe is a new file, one entry in the code, or both, and the name in the grid. One `dvc repro` runs all of them.
"""

import csv
import json
import os
import shutil
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
NEW_FILES = {
    "baselines/mean_step.py": '''"""The mean of the steps of a history: the least that an encoder can be."""

from torch import Tensor, nn

from baselines.model import Inputs, Model


class MeanStep(nn.Module):
    """Steps (R, length, n, n_in) -> states (R, n, n_in)."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, steps: Tensor) -> Tensor:
        """Mean over the length."""
        return self.scale * steps.mean(dim=1)


def model(inputs: Inputs, *, scale: float) -> Model:
    """A state is as wide as a step."""
    return Model(MeanStep(scale), inputs.n_in)
''',
    "benchmark/presets/llm/smaller.yaml": """llm:
  model: tiny                   # ours: the pipeline's own
base:
  hidden_size: 16               # ours: smaller still
""",
}
ENTRIES = {
    # file -> (what stands there, what is put before it)
    "benchmark/controls.py": [
        (
            "CONTROLS: Mapping",
            "def n_liked(task: FewShotTask) -> list[Prediction]:\n"
            '    """Number of liked items in the history."""\n'
            "    return _scored(task.test, lambda sample: float(sum(event.liked for event in sample.history)))\n\n\n",
        ),
        (
            '    "item_mean": Control(',
            '    "n_liked": Control(learns=False, is_random=False, predict=n_liked),\n',
        ),
    ],
    "tallrec/prompts.py": [
        (
            '    "gpt": Style(',
            '    "short": Style(paper_instruction, released_question, completion, {True: " Yes", False: " No"}),\n',
        )
    ],
    "tests/contract/test_method_contract.py": [('    "sasrec": {', '    "mean_step": {"scale": 1.0},\n')],
    "benchmark/claims.yaml": [
        (
            "  - id: fits_in_24_gb",
            "  - id: counting_ranks\n"
            "    sentence: Counting the likes of a history ranks above chance.\n"
            "    where: ours\n"
            "    kind: above_chance\n"
            "    groups: {family: control, method: n_liked}\n\n",
        )
    ],
}
VALUES: dict[str, Any] = {
    "grid.domains": ["movie", "film"],
    "grid.n_shots": [4],
    "grid.seeds": [0],
    "grid.controls": ["n_liked"],
    "grid.baselines": ["mean_step"],
    "grid.recipes": ["rt"],
    "grid.train_domains": ["movie"],
    "grid.icl_models": ["base"],
    "grid.prompts": ["short"],
    "baselines.heads": ["per_item"],
    "baselines.training.n_updates": 5,
    "world.populations.ml-100k": {"n_users": 20, "ratings_per_user": [16, 20]},
    "world.n_items": 40,
    "world.n_other_items": 10,
    "world.reviews_per_item": 1,
    "world.instructions": 20,
    "base.vocabulary_size": 500,
    "base.hidden_size": 32,
    "base.intermediate_size": 32,
    "base.n_layers": 1,
    "base.n_updates": 3,
    "instruct.n_updates": 1,
    "icl.n_demonstrations": [0],
    "tune.n_updates": 2,
    "tune.eval_every": 2,
    "tune.warmup_updates": 0,
    "tune.max_valid_samples": 10,
    "probe.variants": [],
    "probe.inputs": ["title_removed"],
    "efficiency.configurations": [],
    "evaluate.n_bootstrap": 20,
}


def run(folder: Path, *command: str) -> str:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environment |= {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(folder), "DVC_NO_ANALYTICS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def copy_repository(folder: Path) -> None:
    """The files of the working tree, without results."""
    for name in run(ROOT, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0"):
        if name and (ROOT / name).is_file() and not name.startswith(("results/", "dvc.lock")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository with every recipe carried out, before any run."""
    folder = tmp_path_factory.mktemp("extended") / "repository"
    copy_repository(folder)
    for name, text in NEW_FILES.items():
        assert not (folder / name).exists()
        (folder / name).write_text(text)
    for name, entries in ENTRIES.items():
        text = (folder / name).read_text()
        for anchor, entry in entries:
            assert text.count(anchor) == 1, anchor
            text = text.replace(anchor, entry + anchor)
        (folder / name).write_text(text)
    params: Any = YAML().load(folder / "params.yaml")
    params["baselines"]["models"]["mean_step"] = {"scale": 1.0}
    params["domains"]["movie"]["n_samples"] = 100
    params["domains"]["film"] = deepcopy(params["domains"]["movie"])  # of a known format
    for key, value in VALUES.items():
        *parents, last = key.split(".")
        section = params
        for parent in parents:
            section = section[parent]
        assert last in section, key
        section[last] = value
    YAML().dump(params, folder / "params.yaml")
    run(folder, "git", "init", "-q")
    run(folder, "git", "add", "-A")
    run(
        folder, "git", "-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false", "commit", "-qm", "All"
    )
    return folder


@pytest.fixture(scope="module")
def finished(extended: Path) -> Path:
    """The same after `dvc repro`."""
    run(extended, sys.executable, "-m", "dvc", "repro")
    return extended


@pytest.mark.parametrize("name", ["mean_step", "n_liked"])
def test_the_contract_picks_a_method_up(extended: Path, name: str) -> None:
    shown = run(extended, sys.executable, "-m", "pytest", "-q", "-k", name, "tests/contract/test_method_contract.py")
    n_passed = int(shown.rpartition(" passed")[0].split()[-1])
    assert n_passed >= 5, shown


def test_a_preset_of_a_model_is_found(extended: Path, tmp_path: Path) -> None:
    shutil.copytree(extended, tmp_path / "copy", ignore=shutil.ignore_patterns(".git", "models", "data"))
    run(tmp_path / "copy", sys.executable, "-m", "benchmark.cli", "use", "llm/smaller")
    assert YAML(typ="safe").load(tmp_path / "copy/params.yaml")["base"]["hidden_size"] == 16


@pytest.mark.parametrize(
    ("family", "method", "domain"),
    [
        ("control", "n_liked", "movie"),
        ("baseline", "mean_step", "movie"),
        ("icl", "icl-base-short", "movie"),
        ("baseline", "mean_step", "film"),
        ("tuned", "rt-movie", "film"),
    ],
)
def test_a_row_stands_in_the_metrics_and_in_the_report(finished: Path, family: str, method: str, domain: str) -> None:
    rows = list(csv.DictReader((finished / "results/metrics.csv").open()))
    found = [row for row in rows if (row["family"], row["method"], row["test_domain"]) == (family, method, domain)]
    assert found, sorted({(row["family"], row["method"], row["test_domain"]) for row in rows})
    assert {row["status"] for row in found} == {"ok"}
    assert method in (finished / "results/report.html").read_text()


def test_a_claim_is_decided(finished: Path) -> None:
    sentence = "Counting the likes of a history ranks above chance."
    assert sentence in (finished / "results/report.md").read_text()
    assert sentence in (finished / "results/report.html").read_text()
    assert "counting_ranks" in json.dumps(json.loads((finished / "results/claims.json").read_text()))
