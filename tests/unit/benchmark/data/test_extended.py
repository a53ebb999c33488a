"""The further test set of MovieLens: users who are in no row of the splits."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmark.artifacts import files, paths
from benchmark.config.params import DataParams, EvaluateParams, Params
from benchmark.data.domains import DomainData, movielens
from benchmark.data.sources import fetch
from benchmark.errors import DataError
from benchmark.stages.prepare import prepare

KEYS: dict[str, Any] = {
    "format": "ml-100k",
    "source": "official",
    "noun": "movie",
    "history_length": 2,
    "liked_above": 3.0,
    "selection": "released",
    "n_samples": 3,
    "split": (0.34, 0.33, 0.33),
    "extended_rows_per_user": 2,
}
# Users in order of first appearance; with a history of 2, the last 3 rows are of users 8 and 4.
N_RATINGS = {"9": 6, "7": 3, "5": 2, "8": 4, "4": 3}


def write(folder: Path) -> Path:
    folder.mkdir(parents=True)
    rows = [
        f"{user}\t{item}\t{1 + (int(user) + item) % 5}\t{10 + item}\n"
        for user, n_ratings in N_RATINGS.items()
        for item in range(1, n_ratings + 1)
    ]
    (folder / "u.data").write_text("".join(rows))
    (folder / "u.item").write_text("".join(f"{item}|Title {item}|x\n" for item in range(1, 9)))
    return folder


def users_of_splits(data: DomainData) -> set[str]:
    return {row.sample.user_id for rows in data.splits.values() for row in rows}


def test_it_is_the_last_rows_of_each_user_who_is_in_no_split(tmp_path: Path):
    data = movielens.read(write(tmp_path / "movie"), movielens.Params(**KEYS))
    assert users_of_splits(data) == {"8", "4"}
    # User 9 has more rows than are taken, user 7 fewer, and user 5 no full history.
    assert [(row.sample.sample_id, row.sample.user_id, row.sample.target_item_id) for row in data.extended] == [
        ("movie-extended-0", "9", "movie-5"),
        ("movie-extended-1", "9", "movie-6"),
        ("movie-extended-2", "7", "movie-3"),
    ]
    histories = [[event.item_id for event in row.sample.history] for row in data.extended]
    assert histories == [["movie-3", "movie-4"], ["movie-4", "movie-5"], ["movie-1", "movie-2"]]
    for row in data.extended:
        events = [*row.sample.history, row]
        ids = [*(event.item_id for event in row.sample.history), row.sample.target_item_id]
        stars = [1 + (int(row.sample.user_id) + int(item_id.rsplit("-", 1)[-1])) % 5 for item_id in ids]
        assert [event.liked for event in events] == [star > 3 for star in stars]
    assert {"movie-5", "movie-6"} <= data.items.keys(), "items that only the further test set has"


def test_it_changes_no_split_and_may_be_left_out(tmp_path: Path):
    folder = write(tmp_path / "movie")
    with_it = movielens.read(folder, movielens.Params(**KEYS))
    without = movielens.read(folder, movielens.Params(**KEYS | {"extended_rows_per_user": 0}))
    assert without.extended == ()
    assert without.splits == with_it.splits
    assert without.items.items() < with_it.items.items()


def test_that_no_user_is_left_for_it_is_an_error(tmp_path: Path):
    everything = {"n_samples": 8, "split": (0.5, 0.25, 0.25)}
    problem = r"no user is left .* domains\.movie\.n_samples, or 0 for domains\.movie\.extended_rows_per_user"
    with pytest.raises(DataError, match=problem):
        movielens.read(write(tmp_path / "movie"), movielens.Params(**KEYS | everything))


def test_it_is_prepared_beside_the_test_set_with_its_labels_apart(repository: Path):
    with (write(repository / paths.raw_folder("movie")) / "u.data").open("a") as stream:
        stream.write("4\t4\t5\t14\n")  # a liked target among the test rows
    section = movielens.Params(**KEYS | {"n_samples": 4, "split": (0.25, 0.25, 0.5)})
    evaluate = EvaluateParams.model_construct(max_test_samples=None)
    prepare(
        "movie", Params.model_construct(domains={"movie": section}, data=DataParams(mirror=None), evaluate=evaluate)
    )
    own, further = (files.read_samples(paths.test_file(name)) for name in ("movie", "movie-extended"))
    assert [sample.sample_id for sample in own] == ["movie-2", "movie-3"]
    assert [sample.sample_id for sample in further] == [f"movie-extended-{row}" for row in range(3)]
    for name, samples in (("movie", own), ("movie-extended", further)):
        assert files.read_labels(paths.labels_file(name)).keys() == {sample.sample_id for sample in samples}
    with pytest.raises(KeyError, match="liked"):
        files.read_labelled(paths.test_file("movie-extended"))
    stats = files.read_json(paths.prepared_folder("movie") / "stats.json")
    assert (stats["extended"]["rows"], stats["extended"]["users"]) == (3, 2)
    assert set(stats["splits"]) == set(paths.SPLITS)


@pytest.mark.real_data
@pytest.mark.skipif("TALLREC_BENCH_MIRROR" not in os.environ, reason="TALLREC_BENCH_MIRROR is unset")
def test_on_real_data_it_has_835_users_with_four_rows_each(tmp_path: Path):
    folder = tmp_path / "movie"
    fetch(movielens.FILES, folder, Path(os.environ["TALLREC_BENCH_MIRROR"]))
    rows = {"history_length": 10, "n_samples": 10_000, "split": (0.8, 0.1, 0.1), "extended_rows_per_user": 4}
    data = movielens.read(folder, movielens.Params(**KEYS | rows))
    assert len(data.extended) == 3340
    rows_of = Counter(row.sample.user_id for row in data.extended)
    assert (len(rows_of), set(rows_of.values())) == (835, {4})
    assert not rows_of.keys() & users_of_splits(data)
    assert {len(row.sample.history) for row in data.extended} == {10}
    ids = [row.sample.sample_id for row in data.extended]
    assert ids == [f"movie-extended-{number}" for number in range(3340)]
