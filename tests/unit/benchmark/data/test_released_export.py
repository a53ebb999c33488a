import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from benchmark.artifacts import files, paths
from benchmark.config.params import DataParams, DomainParams, EvaluateParams, Params, Population
from benchmark.data.domains import DomainData, bookcrossing, movielens, released_json
from benchmark.data.domains.summary import describe
from benchmark.data.released_export import export
from benchmark.errors import ConfigError, DataError, MissingArtifactError
from benchmark.methods.configuration import load_config
from benchmark.schema import Interaction, Labelled, Sample
from benchmark.stages import prepare as prepare_stage
from benchmark.stages.prepare import prepare
from benchmark.stages.raw import raw

ROOT = Path(__file__).parents[4]
MOVIE: dict[str, Any] = {
    "format": "ml-100k",
    "source": "official",
    "noun": "movie",
    "history_length": 2,
    "liked_above": 3.0,
    "selection": "released",
    "n_samples": 4,
    "split": (0.25, 0.25, 0.5),
    "extended_rows_per_user": 0,
}
SMALL = {name: Population(n_users=20, ratings_per_user=(16, 16)) for name in ("ml-100k", "bookcrossing")}
WORLD = load_config(ROOT / "params.yaml").world.model_copy(update={"populations": SMALL, "n_items": 30})
BLOBS = {
    "train": "2bbe93bffecd30423606a6d8e78d22c9a6c5f64f",
    "valid": "d26599315557a9587cd74d83c1c565670361d215",
    "test": "ee8bb62c56a82d6f176b07d094cc39e8a13878bc",
}
"""Git's names of the files in the released repository, under `data/movie`."""

needs_mirror = pytest.mark.skipif("TALLREC_BENCH_MIRROR" not in os.environ, reason="TALLREC_BENCH_MIRROR is unset")


def params(**domains: DomainParams) -> Params:
    evaluate = EvaluateParams.model_construct(max_test_samples=None)
    return Params.model_construct(domains=domains, data=DataParams(mirror=None), world=WORLD, evaluate=evaluate)


def write_raw_movies() -> Params:
    folder = paths.raw_folder("movie")
    folder.mkdir(parents=True)
    ratings = [f"1\t{item}\t{stars}\t{item}" for item, stars in enumerate((5, 1, 4, 2, 5, 1), start=1)]
    (folder / "u.data").write_text("\n".join(ratings))
    titles = ["\xc9t\xe9 (1990)", "Two", "Three", "Four", "Five", "Six"]
    lines = [f"{item}|{title}|x" for item, title in enumerate(titles, start=1)]
    (folder / "u.item").write_text("\n".join(lines), encoding="latin-1")
    return params(movie=movielens.Params(**MOVIE))


def test_the_released_form_of_a_prepared_domain(repository: Path):
    configuration = write_raw_movies()
    prepare("movie", configuration)
    for split in paths.SPLITS:
        export("movie", split, Path(f"{split}.json"), configuration)
    instruction = (
        "Given the user's preference and unpreference, identify whether the user will like the target movie "
        'by answering "Yes." or "No.".'
    )
    text = (repository / "train.json").read_text()
    assert json.loads(text) == [
        {
            "instruction": instruction,
            "input": 'User Preference: "\xc9t\xe9 (1990)"\nUser Unpreference: "Two"\n'
            'Whether the user will like the target movie "Three"?',
            "output": "Yes.",
        }
    ]
    assert text.startswith('[\n    {\n        "instruction"')
    assert "\\u00c9t\\u00e9" in text
    assert not text.endswith("\n")
    assert [row["output"] for row in json.loads((repository / "test.json").read_text())] == ["Yes.", "No."]


def test_test_labels_lie_apart_from_the_prepared_samples(repository: Path):
    prepare("movie", write_raw_movies())
    folder = paths.prepared_folder("movie")
    assert {path.name for path in folder.iterdir()} == {
        "items.parquet",
        "train.parquet",
        "valid.parquet",
        "test.parquet",
        "stats.json",
    }
    first, second = files.read_samples(folder / "test.parquet")
    assert files.read_labels(paths.labels_file("movie")) == {first.sample_id: True, second.sample_id: False}
    assert b"liked" in (folder / "valid.parquet").read_bytes()
    with pytest.raises(KeyError, match="liked"):
        files.read_labelled(folder / "test.parquet")


def test_the_statistics_say_what_the_splits_share(repository: Path):
    prepare("movie", write_raw_movies())
    stats = files.read_json(paths.prepared_folder("movie") / "stats.json")
    assert {split: stats["splits"][split]["rows"] for split in paths.SPLITS} == {"train": 1, "valid": 1, "test": 2}
    assert stats["splits"]["train"]["like_rate"] == 1.0
    assert stats["splits"]["train"]["history_length"] == {"min": 2, "mean": 2.0, "max": 2}
    assert stats["overlap"]["train-test"] == {"users": 1, "targets": 0}
    assert stats["test_targets_seen_in_training"] == 0.0


def test_adjacent_rows_that_show_the_answer_before_are_counted():
    oldest_first = (Interaction("a", liked=True), Interaction("b", liked=False))
    following = [
        (*oldest_first, Interaction("target", liked=True)),  # shows the answer
        (*oldest_first, Interaction("target", liked=False)),  # another answer
        (Interaction("target", liked=True), *oldest_first),  # not at the end
    ]
    for history, expected in zip(following, (1, 0, 0), strict=True):
        first = Labelled(Sample("s1", "u", oldest_first, "target"), liked=True)
        second = Labelled(Sample("s2", "u", history, "c"), liked=True)
        data = DomainData({}, {"train": (first, second), "valid": (), "test": ()})
        assert describe(data)["splits"]["train"]["adjacent_rows_with_the_answer_before"] == expected


def test_an_empty_split_leaves_nothing_behind(repository: Path):
    write_raw_movies()
    with pytest.raises(DataError, match="split 'train' has no row"):
        prepare("movie", params(movie=movielens.Params(**MOVIE | {"n_samples": 1, "split": (0.8, 0.1, 0.1)})))
    assert not paths.prepared_folder("movie").exists()
    assert not paths.labels_file("movie").exists()


def test_an_unknown_domain_and_an_unprepared_one_are_named(repository: Path):
    configuration = params(movie=movielens.Params(**MOVIE))
    for stage in (raw, prepare):
        with pytest.raises(ConfigError, match="domains: 'music' is not one of movie"):
            stage("music", configuration)
    with pytest.raises(MissingArtifactError, match="raw/movie"):
        prepare("movie", configuration)
    with pytest.raises(MissingArtifactError, match="prepared/movie"):
        export("movie", "train", Path("out.json"), configuration)
    with pytest.raises(ConfigError, match="'music' is not one of movie"):
        export("music", "train", Path("out.json"), configuration)


def test_the_command_ends_with_code_2_and_one_line(repository: Path, capsys: pytest.CaptureFixture[str]):
    assert prepare_stage.main(["--domain", "movie"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_embedded_world_passes_through_the_real_readers(repository: Path):
    book = {
        "format": "bookcrossing",
        "source": "embedded",
        "noun": "book",
        "history_length": 5,
        "liked_above": 5.0,
        "zero_ratings": "dislike",
        "min_ratings": 4,
        "split": (0.6, 0.2, 0.2),
        "seed": 0,
    }
    movie = movielens.Params(**MOVIE | {"source": "embedded", "n_samples": 50, "split": (0.6, 0.2, 0.2)})
    configuration = params(movie=movie, book=bookcrossing.Params(**book))
    for domain, n_rows in (("movie", 50), ("book", 20)):
        raw(domain, configuration)
        prepare(domain, configuration)
        stats = files.read_json(paths.prepared_folder(domain) / "stats.json")
        assert sum(split["rows"] for split in stats["splits"].values()) == n_rows
        manifest = files.read_json(paths.raw_folder(domain) / "manifest.json")
        assert {entry["origin"] for entry in manifest.values()} == {"embedded"}


@pytest.mark.real_data
@needs_mirror
def test_the_released_movie_files_are_regenerated_byte_for_byte(repository: Path):
    changes = {"history_length": 10, "n_samples": 10_000, "split": (0.8, 0.1, 0.1)}
    configuration = params(movie=movielens.Params(**MOVIE | changes))
    raw("movie", configuration)
    prepare("movie", configuration)
    for split, blob in BLOBS.items():
        path = repository / f"{split}.json"
        export("movie", split, path, configuration)
        content = path.read_bytes()
        assert hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == blob


@pytest.mark.real_data
@needs_mirror
def test_the_released_book_files_survive_the_round_trip_byte_for_byte(repository: Path):
    keys = {
        "format": "released-json",
        "source": "official",
        "noun": "book",
        "history_length": 10,
        "liked_above": 5.0,
    }
    configuration = params(book=released_json.Params(**keys))
    raw("book", configuration)
    prepare("book", configuration)
    for split in ("valid", "test"):
        export("book", split, repository / f"{split}.json", configuration)
        assert (repository / f"{split}.json").read_bytes() == (paths.raw_folder("book") / f"{split}.json").read_bytes()
