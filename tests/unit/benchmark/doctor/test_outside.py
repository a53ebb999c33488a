"""Files that DVC does not watch, and `verify` does."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from benchmark.artifacts import paths
from benchmark.artifacts.paths import MIRROR_VARIABLE, STARTS
from benchmark.data.sources import MANIFEST, OUTSIDE, checksum, describe_outside
from benchmark.doctor.outside import changed_files
from benchmark.stages.raw import main as raw

ROOT = Path(__file__).parents[4]
PARAMS = Path("params.yaml")
MODEL = "model.safetensors"


def configure(change: dict[str, Any]) -> None:
    """Write the committed `params.yaml` with `change`, by dotted key."""
    content = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    for dotted, value in change.items():
        *sections, key = dotted.split(".")
        section = content
        for name in sections:
            section = section[name]
        section[key] = value
    with PARAMS.open("w") as stream:
        YAML().dump(content, stream)


@pytest.fixture
def mirror(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mirror with the ratings that domain `movie` was read from."""
    preset = YAML(typ="safe").load((ROOT / "benchmark/config/presets/data/ml-32m.yaml").read_text())
    configure({"domains.movie": preset["domains"]["movie"]})
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


def test_a_mirror_that_came_after_a_download_is_compared_too(mirror: Path) -> None:
    manifest = paths.raw_folder("movie") / MANIFEST
    manifest.write_text(manifest.read_text().replace('"mirror"', '"official"'))
    assert changed_files(PARAMS) == []
    (mirror / "ml-32m/movies.csv").write_text("movieId,title,genres\n1,Bo (1991),Drama\n")
    assert changed_files(PARAMS) == [(mirror / "ml-32m/movies.csv", "raw@movie")]


def test_changed_weights_in_a_folder_are_named(repository: Path) -> None:
    model = repository / "llama"
    model.mkdir()
    (model / MODEL).write_bytes(b"one")
    configure({"llm.model": str(model)})
    origin = {"model": str(model), "files": {MODEL: checksum(model / MODEL)}, "sizes": {MODEL: 3}}
    paths.BASE_MODEL.mkdir(parents=True)
    (paths.BASE_MODEL / "origin.json").write_text(json.dumps(origin))
    assert changed_files(PARAMS) == []
    (model / MODEL).write_bytes(b"two")
    assert changed_files(PARAMS) == [(model / MODEL, "tallrec/dvc.yaml:base")]


def test_changed_weights_of_another_model_are_named(repository: Path) -> None:
    model = repository / "other"
    model.mkdir()
    (model / MODEL).write_bytes(b"one")
    configure({"icl.models": {"mine": {"kind": "local", "model": str(model), "revision": None}}})
    record = Path("runs/icl/icl-mine-gpt/movie-movie/k0/seed0.json")
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"files": {MODEL: checksum(model / MODEL)}}))
    assert changed_files(PARAMS) == []
    (model / MODEL).write_bytes(b"two")
    assert changed_files(PARAMS) == [(model / MODEL, "others@mine-gpt")]


@pytest.mark.parametrize(
    ("key", "record", "stage"),
    [
        ("instruct.adapter", STARTS / "tallrec", "tallrec/dvc.yaml:instruct"),
        ("instruct.data", STARTS / "tallrec", "tallrec/dvc.yaml:instruct"),
        ("baselines.text_encoder.model", paths.texts_file("book").parent, "encode@book"),
    ],
)
def test_changed_files_that_a_record_holds_are_named(repository: Path, key: str, record: Path, stage: str) -> None:
    source = repository / "source"
    file = source if key == "instruct.data" else source / "file"
    file.parent.mkdir(exist_ok=True)
    file.write_text("one")
    record.mkdir(parents=True)
    describe_outside(record, [file])
    configure({key: str(source)})
    assert changed_files(PARAMS) == []
    file.write_text("two")
    assert changed_files(PARAMS) == [(file, stage)]
    configure({})
    assert changed_files(PARAMS) == [], "no longer asked for"


def test_what_nothing_outside_went_into_has_no_record(repository: Path) -> None:
    describe_outside(repository, [])
    assert not (repository / OUTSIDE).exists()


def test_where_no_stage_has_run_there_is_nothing_to_compare(repository: Path) -> None:
    assert changed_files(PARAMS) == []
