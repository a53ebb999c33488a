"""What DVC takes for stale after a change: `dvc status` of a grid that is done, without a model in it.

The stages up to the draws are run. What the others write is made up, and committed to DVC's lock as it is.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import toy

from benchmark.stages import draw, prepare, raw

pytestmark = pytest.mark.slow

SERVED = {
    **{
        "kind": "api",
        "address": "http://127.0.0.1:1/v1",
        "model": "m",
        "key_variable": None,
        "endpoint": "chat",
    },
    **{"read": "logprobs", "n_top_logprobs": 5, "missing_answer": "remainder", "parameters": {}, "max_concurrency": 1},
    **{"timeout_seconds": 1.0, "extended_test_set": False, "n_retries": 0},
    **{"dollars_per_million_input_tokens": None, "dollars_per_million_output_tokens": None},
}
MEASURED = {
    **{"name": "plain", "quantization": "none", "micro_batch_size": 4, "gradient_checkpointing": False},
    **{"n_tokens": None, "attention": "sdpa"},
}
GRID = toy.CHANGES | {
    "grid.domains": ["movie"],
    "grid.n_shots": [4, 8],
    "grid.icl_models": ["base", "alpaca"],
    "grid.other_models": ["served"],
    "icl.models": {"served": SERVED},
    "icl.n_demonstrations": [0, 2],
    "efficiency.configurations": [MEASURED],
    "external": [{"name": "fm", "path": "fm.csv", "test_domain": "movie", "n_shots": 4, "seed": 0, "trained": True}],
}
NO_LANGUAGE_MODEL = {
    **{
        "grid.recipes": [],
        "grid.icl_models": [],
        "grid.other_models": [],
        "probe.variants": [],
        "efficiency.configurations": [],
        "external": [],
    },
}
BASE, INSTRUCT, TUNE = (f"tallrec/dvc.yaml:{stage}" for stage in ("base", "instruct", "tune"))
OF_A_LANGUAGE_MODEL = ("score", "probe", "icl", "efficiency", "tallrec/dvc.yaml")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose every stage is done, as far as DVC can tell."""
    folder = toy.new_repository(tmp_path_factory.mktemp("finished"), GRID)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for stage in (raw, prepare):
            assert stage.main(["--domain", "movie"]) == 0
        assert draw.main([]) == 0
    make_up_outputs(folder)
    (folder / "fm.csv").write_text("sample_id,score\n")
    toy.dvc(folder, "commit", "--force", "dvc.yaml", "tallrec/dvc.yaml")
    assert stale(folder) == set()
    return folder


@pytest.fixture
def done(finished: Path, tmp_path: Path) -> Path:
    """A copy of it to change."""
    toy.run(finished, "cp", "-a", ".", str(tmp_path / "done"))
    return tmp_path / "done"


def make_up_outputs(folder: Path) -> None:
    from dvc.repo import Repo

    with Repo(str(folder)) as repo:
        outs = [Path(out.fs_path) for stage in repo.index.stages for out in stage.outs]
    for out in outs:
        if not out.exists():
            file = out if out.suffix else out / "made_up.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{out.relative_to(folder)}\n")


def stale(folder: Path) -> set[str]:
    """The stages that `dvc status` names: what they read or write is not what they were done with."""
    return set(json.loads(toy.dvc(folder, "status", "--json")))


def stale_after(folder: Path, changes: Mapping[str, Any]) -> set[str]:
    """The same after a change of `params.yaml`, and the draws that `dvc repro` would make first."""
    toy.set_params(folder / "params.yaml", changes)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert draw.main([]) == 0
    return stale(folder)


def kinds(stages: set[str]) -> set[str]:
    return {stage.split("@")[0] for stage in stages}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"grid.seeds": [0, 1]}, id="a seed"),
        pytest.param({"grid.n_shots": [4, 8, 16]}, id="a K"),
    ],
)
def test_another_draw_tunes_the_new_cells_alone(done: Path, changes: dict[str, Any]) -> None:
    found = stale_after(done, changes)
    cells = {stage for stage in found if stage.startswith(f"{TUNE}@")}
    assert cells
    assert cells.isdisjoint({f"{TUNE}@tallrec-movie-4-0", f"{TUNE}@tallrec-movie-8-0"})
    assert not kinds(found) & {BASE, INSTRUCT, "efficiency", "raw", "prepare"}
    assert ("icl" in kinds(found)) == ("grid.seeds" in changes)  # each seed has demonstrations of its own


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"grid.prompts": ["released", "gpt"]}, {"icl", "others", "evaluate", "report"}, id="a prompt"),
        pytest.param(
            {"icl.n_demonstrations": [0, 2, 4]}, {"draw", "icl", "others", "evaluate", "report"}, id="demonstrations"
        ),
        pytest.param({"score.batch_tokens": 100}, {"efficiency", "report"}, id="memory of scoring and validation"),
        pytest.param(
            {"tune.micro_batch_size": 2, "tune.gradient_checkpointing": True},
            {"efficiency", "report"},
            id="memory of tuning",
        ),
        pytest.param(
            {"instruct.micro_batch_size": 2, "instruct.gradient_checkpointing": True},
            {"report"},
            id="memory of the instruction tuning",
        ),
        pytest.param(
            {"grid.cheap_seeds": [0, 1, 2]},
            {"draw", "controls", "baselines", "evaluate", "report"},
            id="a cheap seed, which tunes nothing",
        ),
        pytest.param({"grid.controls": ["random"]}, {"controls", "evaluate", "report"}, id="a control"),
        pytest.param(
            {"grid.baselines": ["gru4rec", "caser"]},
            {"baselines", "encode", "evaluate", "report"},
            id="a baseline",
        ),
        pytest.param({"instruct.n_updates": 6}, {INSTRUCT, "report"}, id="the instruction tuning"),
        pytest.param(
            {"external": [{**GRID["external"][0], "trained": False}]},
            {"evaluate", "report"},
            id="what a file is said to be",
        ),
        pytest.param({"evaluate.confidence": 0.9}, {"evaluate", "report"}, id="the statistics"),
        pytest.param({"evaluate.max_test_samples": 5}, {"prepare", "evaluate", "report"}, id="a first look"),
        pytest.param(
            {"grid.weights_seed": 0}, {"baselines", TUNE, "evaluate", "report"}, id="a seed of initial weights"
        ),
        pytest.param(
            {"domains.movie.extended_rows_per_user": 2}, {"raw", "prepare", "report"}, id="rows of the further test set"
        ),
    ],
)
def test_a_change_reaches_what_reads_it_and_no_more(done: Path, changes: dict[str, Any], expected: set[str]) -> None:
    found = stale_after(done, changes)
    assert kinds(found) == expected
    assert not {"icl@base-released", "icl@alpaca-released", "others@served-released"} & found or (
        "icl.n_demonstrations" in changes
    )


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        pytest.param("tallrec/prompts/styles/gpt.py", {"report"}, id="a prompt that is not asked"),
        pytest.param("tallrec/prompts/styles/new.py", {"report"}, id="a new prompt"),
        pytest.param("tallrec/api/cache.py", {"others"}, id="the cache of a server's replies"),
        pytest.param("fm.csv", {"external"}, id="a file of scores"),
        pytest.param("tallrec/cost/simulation.py", {"efficiency"}, id="the simulation"),
        pytest.param("benchmark/methods/controls.py", {"controls", "baselines", "evaluate", "report"}, id="controls"),
        pytest.param("benchmark/artifacts/integrity.py", set(), id="the check of the cache"),
        pytest.param("benchmark/config/presets/paper.yaml", {"report"}, id="a preset"),
        pytest.param("tallrec/training/tuning.py", {INSTRUCT, TUNE}, id="the two tunings"),
    ],
)
def test_an_edit_reaches_what_imports_it_and_no_more(done: Path, file: str, expected: set[str]) -> None:
    path = done / file
    path.write_text((path.read_text() if path.exists() else '"""New."""\n') + "\n# edited\n")
    assert kinds(stale(done)) == expected


def test_another_preset_of_the_same_model_pretrains_nothing(done: Path) -> None:
    toy.set_params(done / "params.yaml", {"grid.domains": ["movie", "book"]})  # which the preset has
    toy.run(done, "python", "-m", "benchmark.cli", "use", "real-cpu")
    found = stale(done)
    assert BASE not in found
    assert {"raw@movie", "draw"} <= found


def test_without_recipes_and_models_nothing_of_the_language_model_runs(tmp_path: Path) -> None:
    folder = toy.new_repository(tmp_path, GRID | NO_LANGUAGE_MODEL)
    done = toy.dvc(folder, "repro")
    stages = {line.split("'")[1] for line in done.splitlines() if line.startswith("Running stage")}
    assert {"raw@movie", "controls@movie", "baselines@gru4rec-movie", "evaluate", "report"} <= stages
    assert not [stage for stage in stages if stage.startswith(OF_A_LANGUAGE_MODEL)]
    assert (folder / "results/report.html").exists()
    assert not (folder / "models").exists()


def test_a_model_behind_an_address_waits_for_no_local_one(done: Path) -> None:
    edges = toy.dvc(done, "dag", "--dot", "others@served-released")
    assert '"draw"' in edges
    assert not [stage for stage in (BASE, INSTRUCT, TUNE) if stage in edges]
    own = toy.dvc(done, "dag", "--dot", "icl@base-released")
    assert BASE in own
    assert INSTRUCT not in own
