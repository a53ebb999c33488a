"""The recipes of CONTRIBUTING.md, carried out in a copy of the repository: a row in every table, and the contract kept.

The examples are read out of the page. One `dvc repro` runs all of them.
"""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from textwrap import indent
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from benchmark.artifacts import files, paths
from benchmark.schema import Cell

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
EXAMPLE = re.compile(r"^```(python|yaml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PLACE = re.compile(r"# (?P<file>[\w./-]+\.(?:py|yaml))(?:, (?P<how>before|in|at the end) ?(?P<name>[A-Z_]+)?)?")
VALUES: dict[str, Any] = {
    "grid.domains": ["movie", "film"],
    "grid.n_shots": [4],
    "grid.seeds": [0],
    "grid.controls": [],
    "grid.baselines": [],
    "grid.recipes": ["rt"],
    "grid.train_domains": ["movie"],
    "grid.icl_models": ["base"],
    "grid.prompts": [],
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
}
"""A grid that is small, and empty where a recipe adds a name."""


class Example(NamedTuple):
    """A block of code of CONTRIBUTING.md."""

    file: str
    how: str
    """`before` or `in` a name, `at the end`, or empty: a new file, or values that join those of params.yaml."""
    name: str
    text: str


def examples() -> list[Example]:
    """All blocks of Python and YAML, each of which must say where it goes."""
    found: list[Example] = []
    for _, block in EXAMPLE.findall((ROOT / "CONTRIBUTING.md").read_text()):
        first, _, text = block.partition("\n")
        place = PLACE.fullmatch(first)
        assert place, first
        found.append(Example(place["file"], place["how"] or "", place["name"] or "", text))
    return found


def carry_out(example: Example, folder: Path) -> None:
    """Change the copy of the repository in `folder`."""
    path = folder / example.file
    if example.file == "params.yaml":
        yaml = YAML()  # which keeps comments
        params: Any = yaml.load(path)
        join(params, yaml.load(example.text))
        yaml.dump(params, path)
        return
    if not example.how:
        assert not path.exists()
        path.write_text(example.text)
        return
    lines = path.read_text().splitlines(keepends=True)
    if example.how == "at the end":
        path.write_text("".join([*lines, "\n", example.text]))
        return
    (place,) = (n for n, line in enumerate(lines) if re.match(rf"{example.name}\b.* = [\[{{]$", line))
    if example.how == "in":
        lines.insert(place + 1, indent(example.text, "    "))
    else:
        lines.insert(place, f"{example.text}\n\n")
    path.write_text("".join(lines))


def join(there: Any, new: Any) -> None:
    """Add keys and elements to what stands there."""
    for key, value in new.items():
        if isinstance(value, dict) and key in there:
            join(there[key], value)
        elif isinstance(value, list) and key in there:
            there[key].extend(value)
        else:
            assert key not in there, key
            there[key] = value


def run(folder: Path, *command: str) -> str:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environment |= {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(folder)}
    environment |= {"TALLREC_BENCH_MIRROR": str(folder / "mirror")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def copy_repository(folder: Path) -> None:
    """The files of the working tree, without results."""
    for name in run(ROOT, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0"):
        if name and (ROOT / name).is_file() and not name.startswith(("results/", "dvc.lock")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)


def write_reviews(path: Path) -> None:
    """Reviews of 60 users and 15 games, one a line, and a line that is none."""
    rng = np.random.default_rng(0)
    rows = [
        {"user": f"u{user}", "item": f"i{item}", "title": f"Game {item}", "stars": stars, "time": time}
        for user in range(60)
        for item, stars, time in zip(
            rng.permutation(15).tolist(),
            rng.integers(1, 6, 15).tolist(),
            rng.integers(10**9, size=15).tolist(),
            strict=True,
        )
    ]
    path.parent.mkdir(parents=True)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows) + "no review\n")


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository with every recipe carried out, before any run."""
    folder = tmp_path_factory.mktemp("extended") / "repository"
    copy_repository(folder)
    params: Any = YAML().load(folder / "params.yaml")
    params["domains"]["movie"]["n_samples"] = 100
    params["domains"]["film"] = deepcopy(params["domains"]["movie"])  # a domain of a known format
    for key, value in VALUES.items():
        *parents, last = key.split(".")
        section = params
        for parent in parents:
            section = section[parent]
        assert last in section, key
        section[last] = value
    YAML().dump(params, folder / "params.yaml")
    for example in examples():
        carry_out(example, folder)
    write_reviews(folder / "mirror/games/reviews.jsonl")
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


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "results/metrics.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_there_is_an_example_for_everything_that_can_be_added() -> None:
    names = [example.name for example in examples() if example.how == "in"]
    assert len(names) == len(set(names))
    assert {*names} == {*("BASELINES", "CONTROLS", "FORMATS", "CASES", "PROMPT_BYTES", "ANSWER_BYTES", "METRICS")}
    new = [example.file for example in examples() if not example.how and example.file != "params.yaml"]
    assert [str(Path(file).parent) for file in new] == [
        "baselines",
        "benchmark/data/domains",
        "tallrec/prompts/styles",
        "benchmark/config/presets/llm",
    ]


@pytest.mark.parametrize(
    ("file", "names", "at_least"),
    [
        ("tests/contract/test_method_contract.py", "mean_step or n_liked or every_registered", 11),
        ("tests/contract/test_metric_contract.py", "precision_at_1", 7),
        ("tests/golden/test_prompts.py", "short or every_style", 3),
        ("tests/harden/test_raw_files.py", "json-lines or every_format", 2),
        ("tests/unit/benchmark/stages/test_evaluate.py", "scikit_learn", 1),
        ("tests/unit/benchmark/verdicts/test_claims.py", "every_kind", 1),
        ("tests/test_layout.py", "json_lines or mean_step or declared", 5),
    ],
)
def test_the_tests_pick_it_up(extended: Path, file: str, names: str, at_least: int) -> None:
    shown = run(extended, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", names, file)
    n_passed = int(re.findall(r"(\d+) passed", shown)[-1])
    assert n_passed >= at_least, shown


def test_lint_and_types_pass(extended: Path) -> None:
    changed = sorted({example.file for example in examples() if example.file.endswith(".py")})
    for command in (("ruff", "check"), ("ruff", "format", "--check")):
        run(extended, sys.executable, "-m", *command, *changed)
    packages = [file for file in changed if not file.startswith("tests/")]
    run(extended, sys.executable, "-m", "pyright", "--pythonpath", sys.executable, *packages)


def outputs_of(repository: Path) -> Callable[[str, list[str]], set[str]]:
    """What a copy of the repository does without: git and the outputs, whose names folders of code have too."""
    return lambda folder, _: {".git", "models", "data"} if Path(folder) == repository else set()


def test_a_preset_of_a_model_is_found(extended: Path, tmp_path: Path) -> None:
    shutil.copytree(extended, tmp_path / "copy", ignore=outputs_of(extended))
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
        ("control", "n_liked", "games"),
        ("baseline", "mean_step", "games"),
        ("icl", "icl-base-short", "games"),
        ("tuned", "rt-movie", "games"),
    ],
)
def test_a_row_stands_in_the_metrics_and_in_the_report(finished: Path, family: str, method: str, domain: str) -> None:
    rows = rows_of(finished)
    found = [row for row in rows if (row["family"], row["method"], row["test_domain"]) == (family, method, domain)]
    assert found, sorted({(row["family"], row["method"], row["test_domain"]) for row in rows})
    assert {row["status"] for row in found} == {"ok"}
    html = (finished / "results/report.html").read_text()
    assert method in html
    assert f"Few-shot AUC, {domain}" in html


def test_a_new_format_counts_its_lines(finished: Path) -> None:
    notes = json.loads((finished / "data/prepared/games/stats.json").read_text())["notes"]
    assert notes["reviews"] == {"read": 901, "used": 900, "broken_line": 1}


def test_a_metric_is_a_column_of_every_table(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of(finished)
    assert list(rows[0])[9:11] == ["precision_at_1", "equal_share_auc"]
    assert all(0 <= float(row["precision_at_1"]) <= 1 for row in rows)
    monkeypatch.chdir(finished)
    row = next(row for row in rows if row["method"] == "mean_step" and row["test_domain"] == "games")
    cell = Cell("baseline", "mean_step", "games", "games", 4, 0)
    assert float(row["precision_at_1"]) == pytest.approx(precision_by_hand(cell), abs=1e-12)
    means = json.loads((finished / "results/metrics.json").read_text())["games"]["mean_step"]["k4"]
    assert means["precision_at_1"] == float(row["precision_at_1"])
    html = (finished / "results/report.html").read_text()
    assert "P@1: share of users whose item with the highest score is liked." in html
    with (finished / "results/tables/within_users_games.csv").open() as stream:
        shown = next(line for line in csv.DictReader(stream) if line["name"] == "mean_step")
    assert shown["P@1"] == f"{100 * means['precision_at_1']:.2f} one seed"
    with (finished / "results/estimates.csv").open() as stream:
        lines = [line for line in csv.DictReader(stream) if line["metric"] == "precision_at_1"]
    assert all(float(line["low"]) <= float(line["value"]) for line in lines if line["method"] == "n_liked")


def precision_by_hand(cell: Cell) -> float:
    """Over users: the share of likes among the samples with the user's highest score."""
    samples = files.read_samples(paths.test_file(cell.test_domain))
    table = pd.DataFrame(
        {
            "user": {sample.sample_id: sample.user_id for sample in samples},
            "score": files.read_scores("predictions", cell),
            "liked": files.read_labels(paths.labels_file(cell.test_domain)),
        }
    )
    is_best = table["score"] == table.groupby("user")["score"].transform("max")
    return float(table[is_best].groupby("user")["liked"].mean().mean())


def test_a_claim_is_decided(finished: Path) -> None:
    sentence = "Counting the likes of a history ranks above chance."
    assert sentence in (finished / "results/report.md").read_text()
    assert sentence in (finished / "results/report.html").read_text()
    assert "counting_ranks" in json.dumps(json.loads((finished / "results/claims.json").read_text()))
