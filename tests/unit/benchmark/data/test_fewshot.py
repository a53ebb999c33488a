from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmark.artifacts import files, paths
from benchmark.config.params import FidelityParams, GridParams, IclParams, Params
from benchmark.data.fewshot import draw
from benchmark.errors import ConfigError, DataError, MissingArtifactError
from benchmark.schema import Interaction, Item, Labelled, Sample
from benchmark.stages.draw import draw_all

IDS = [f"movie-{number}" for number in range(100)]


@pytest.mark.parametrize(("n_shots", "seed"), [(1, 0), (16, 1), (100, 6)])
def test_released_draws_are_those_of_the_datasets_and_pandas_libraries(n_shots: int, seed: int):
    import datasets

    drawn = draw(IDS, n_shots, seed, "movie", "released")
    rows = datasets.Dataset.from_dict({"id": IDS})
    theirs = rows.shuffle(seed=seed).select(range(n_shots)).shuffle(seed=seed)["id"]
    assert list(drawn.llm) == list(theirs)
    sampled = pd.DataFrame({"id": IDS}).sample(n=n_shots, random_state=seed)
    assert list(drawn.conventional) == sampled["id"].tolist()


@pytest.mark.parametrize("seed", [0, 1, 4])
def test_a_shared_draw_begins_with_every_smaller_one(seed: int):
    drawn = {n_shots: draw(IDS, n_shots, seed, "movie").llm for n_shots in (1, 16, 64, 100)}
    assert drawn[1] == drawn[16][:1]
    assert drawn[16] == drawn[64][:16]
    assert drawn[64] == drawn[100][:64]


def test_released_draws_are_nested_as_sets():
    few, many = draw(IDS, 16, 3, "movie", "released"), draw(IDS, 64, 3, "movie", "released")
    assert set(few.llm) < set(many.llm)
    assert set(few.conventional) < set(many.conventional)


def test_a_released_draw_gives_the_two_sides_different_rows():
    drawn = draw(IDS, 16, 0, "movie", "released")
    assert set(drawn.llm) != set(drawn.conventional)


def test_more_shots_than_rows_names_the_key():
    with pytest.raises(ConfigError, match=r"grid\.n_shots .*: 101 is more than the 100 training rows of movie"):
        draw(IDS, 101, 0, "movie")


def labelled(domain: str, split: str, number: int) -> Labelled:
    sample = Sample(f"{domain}-{split}-{number}", f"u{number}", (Interaction(f"{domain}-a", True),), f"{domain}-b")
    return Labelled(sample, number % 2 == 0)


def write_prepared(domain: str, n_train: int = 20) -> None:
    folder = paths.prepared_folder(domain)
    files.write_items(
        folder / "items.parquet",
        {name: Item(name, domain, name, name) for name in (f"{domain}-a", f"{domain}-b")},
    )
    files.write_labelled(folder / "train.parquet", [labelled(domain, "train", number) for number in range(n_train)])
    files.write_labelled(folder / "valid.parquet", [labelled(domain, "valid", number) for number in range(3)])


def demonstrations(*n: int) -> IclParams:
    return IclParams(n_demonstrations=n, demonstrated_prompts=(), extended_prompts=(), unavailable="stop", models={})


def params(**changes: Any) -> Params:
    values: dict[str, Any] = {
        "how": "shared",
        "both_validation": "first_domain",
        "n_shots": (2, 4),
        "cheap_seeds": None,
    } | changes
    return Params.model_construct(
        grid=GridParams.model_construct(
            domains=("movie", "book"),
            train_domains=("movie", "both"),
            n_shots=values["n_shots"],
            seeds=(0, 1),
            cheap_seeds=values["cheap_seeds"],
        ),
        icl=IclParams(
            n_demonstrations=(0, 3), demonstrated_prompts=(), extended_prompts=(), unavailable="stop", models={}
        ),
        fidelity=FidelityParams.model_construct(draw=values["how"], both_validation=values["both_validation"]),
    )


@pytest.mark.parametrize("how", ["shared", "released"])
def test_the_stage_writes_a_self_contained_folder_for_every_training_domain(repository: Path, how: str):
    write_prepared("movie")
    write_prepared("book")
    draw_all(params(how=how))
    fewshot = repository / "data/fewshot"
    assert {folder.name for folder in fewshot.iterdir()} == {"movie", "book", "both"}
    for domain, factor in (("movie", 1), ("book", 1), ("both", 2)):
        assert {path.name for path in (fewshot / domain).glob("k*")} == {"k2", "k4"}
        for n_shots in (2, 4):
            for seed in (0, 1):
                refuse_a_broken_draw(paths.draw_folder(domain, n_shots, seed), how, domain, n_shots, seed, factor)
        assert len(files.read_items(fewshot / domain / "items.parquet")) == 2 * factor
    for domain in ("movie", "book"):
        assert [path.name for path in (repository / "data/demonstrations" / domain).iterdir()] == ["k3"]
        for seed in (0, 1):
            refuse_a_broken_draw(paths.demonstrations_folder(domain, 3, seed), how, domain, 3, seed, 1)


def refuse_a_broken_draw(folder: Path, how: str, domain: str, n_shots: int, seed: int, factor: int) -> None:
    content = files.read_json(folder / "draw.json")
    assert (content["domain"], content["n_shots"], content["seed"]) == (domain, n_shots, seed)
    drawn: set[str] = set()
    for side in ("llm", "conventional"):
        assert len(set(content["ids"][side])) == factor * n_shots
        drawn.update(content["ids"][side])
    assert (content["ids"]["llm"] == content["ids"]["conventional"]) == (how == "shared")
    assert {row.sample.sample_id for row in files.read_labelled(folder / "rows.parquet")} == drawn


def test_more_draws_leave_every_file_of_the_others_as_it_is(repository: Path):
    write_prepared("movie")
    write_prepared("book")
    draw_all(params())
    before = {path: path.read_bytes() for path in (repository / "data/fewshot").rglob("*") if path.is_file()}
    more = params()
    grid = more.grid.model_copy(update={"seeds": (0, 1, 2), "n_shots": (2, 4, 5)})
    draw_all(
        more.model_copy(
            update={
                "grid": grid,
                "icl": IclParams(
                    n_demonstrations=(0, 1, 3),
                    demonstrated_prompts=(),
                    extended_prompts=(),
                    unavailable="stop",
                    models={},
                ),
            }
        )
    )
    after = {path: path.read_bytes() for path in (repository / "data/fewshot").rglob("*") if path.is_file()}
    assert before.items() < after.items()


def test_seeds_of_cheap_methods_are_drawn_beside_the_others(repository: Path):
    write_prepared("movie")
    write_prepared("book")
    draw_all(params())
    before = {path: path.read_bytes() for path in repository.rglob("*") if path.is_file()}
    draw_all(params(cheap_seeds=(0, 1, 7)))
    after = {path: path.read_bytes() for path in repository.rglob("*") if path.is_file()}
    assert before.items() < after.items()
    # Baselines and controls learn from one domain; what is tuned on both, and demonstrations, keep the seeds.
    assert {path.parent for path in after.keys() - before.keys()} == {
        paths.draw_folder(domain, n_shots, 7).absolute() for domain in ("movie", "book") for n_shots in (2, 4)
    }


def test_a_draw_of_one_class_is_told(repository: Path, caplog: pytest.LogCaptureFixture):
    write_prepared("movie")
    write_prepared("book")
    path = paths.prepared_folder("movie") / "train.parquet"
    files.write_labelled(path, [replace(row, liked=True) for row in files.read_labelled(path)])
    path = paths.prepared_folder("book") / "train.parquet"
    rows = files.read_labelled(path)
    files.write_labelled(path, [replace(row, liked=number % 2 == 0) for number, row in enumerate(rows)])
    with caplog.at_level("WARNING"):
        draw_all(params(n_shots=(1, 4)))
    told = "movie k4 seed0: all rows that the llm side draws are liked, so that it sees one answer alone"
    assert told in caplog.messages
    assert not [message for message in caplog.messages if " k1 " in message]
    assert not [message for message in caplog.messages if message.startswith("both k4")]


def test_both_refuses_two_items_of_one_name(repository: Path):
    write_prepared("movie")
    write_prepared("book")
    (first, *_) = items = files.read_items(paths.prepared_folder("movie") / "items.parquet")
    other = files.read_items(paths.prepared_folder("book") / "items.parquet")
    other[first] = replace(items[first], text="another film")
    files.write_items(paths.prepared_folder("book") / "items.parquet", other)
    with pytest.raises(DataError, match=f"{first} is .* in one and 'another film' in another; .* `noun` of its own"):
        draw_all(params())


def test_both_is_the_draw_of_each_domain(repository: Path):
    write_prepared("movie")
    write_prepared("book")
    draw_all(params())
    parts = [
        files.read_json(paths.draw_folder(domain, 4, 1) / "draw.json")["ids"]["llm"] for domain in ("movie", "book")
    ]
    assert files.read_json(paths.draw_folder("both", 4, 1) / "draw.json")["ids"]["llm"] == [*parts[0], *parts[1]]
    assert {row.sample.sample_id for row in files.read_labelled(repository / "data/fewshot/both/valid.parquet")} == {
        f"movie-valid-{number}" for number in range(3)
    }
    draw_all(params(both_validation="every_domain"))
    assert len(files.read_labelled(repository / "data/fewshot/both/valid.parquet")) == 6


def test_too_many_shots_leave_nothing_half_written(repository: Path):
    write_prepared("movie")
    write_prepared("book", n_train=3)
    with pytest.raises(ConfigError, match="of book"):
        draw_all(params())
    assert not (repository / "data/fewshot").exists()


def test_an_unprepared_domain_is_named(repository: Path):
    write_prepared("movie")
    with pytest.raises(MissingArtifactError, match="prepared/book"):
        draw_all(params())
