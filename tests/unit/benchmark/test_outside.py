"""Files that DVC does not watch, and `verify` does."""

import json
import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from benchmark.outside import changed_files
from benchmark.paths import BASE_MODEL
from benchmark.sources import MIRROR_VARIABLE, checksum
from benchmark.stages.raw import main as raw

ROOT = Path(__file__).parents[3]
PARAMS = Path("params.yaml")


@pytest.fixture
def mirror(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mirror with the ratings that domain `movie` was read from."""
    content = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    preset = YAML(typ="safe").load((ROOT / "benchmark/presets/data/ml-32m.yaml").read_text())
    content["domains"]["movie"] = preset["domains"]["movie"]
    with PARAMS.open("w") as stream:
        YAML().dump(content, stream)
    folder = repository / "mirror"
    (folder / "ml-32m").mkdir(parents=True)
    (folder / "ml-32m/ratings.csv").write_text("userId,movieId,rating,timestamp\n1,1,5.0,1\n")
    (folder / "ml-32m/movies.csv").write_text("movieId,title,genres\n1,Ana (1990),Drama\n")
    monkeypatch.setenv(MIRROR_VARIABLE, str(folder))
    assert raw(["--domain", "movie"]) == 0
    return folder


def test_a_mirror_that_was_not_changed_is_fine(mirror: Path) -> None:
    assert changed_files(PARAMS) == []
    shutil.rmtree(mirror)
    assert changed_files(PARAMS) == [], "what is gone was read before"


def test_a_changed_file_of_the_mirror_is_named_with_its_stage(mirror: Path) -> None:
    ratings = mirror / "ml-32m/ratings.csv"
    ratings.write_text(ratings.read_text() + "1,1,1.0,2\n")
    assert changed_files(PARAMS) == [(ratings, "raw@movie")]
    assert raw(["--domain", "movie"]) == 0
    assert changed_files(PARAMS) == []


def test_changed_weights_in_a_folder_are_named(mirror: Path) -> None:
    model, file = mirror.parent / "llama", mirror.parent / "llama/model.safetensors"
    model.mkdir()
    file.write_bytes(b"one")
    BASE_MODEL.mkdir(parents=True)
    reference = {"model": str(model), "weights": "pretrained", "files": {file.name: checksum(file)}}
    (BASE_MODEL / "reference.json").write_text(json.dumps(reference))
    assert changed_files(PARAMS) == []
    file.write_bytes(b"two")
    assert changed_files(PARAMS) == [(file, "base")]


def test_where_no_stage_has_run_there_is_nothing_to_compare(repository: Path) -> None:
    assert changed_files(PARAMS) == []
