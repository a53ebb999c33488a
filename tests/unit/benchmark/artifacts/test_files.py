from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmark.artifacts import files, paths
from benchmark.errors import DataError, MissingArtifactError, SchemaError
from benchmark.schema import Cell, FewShotTask, Prediction

CELL = Cell("control", "liked_share", "movie", "movie", 0, 0)


def leftovers(folder: Path) -> list[Path]:
    return list(folder.rglob(".*"))


def test_samples_labelled_rows_items_and_labels_come_back(repository: Path, toy_task: FewShotTask) -> None:
    files.write_samples(Path("a/test.parquet"), toy_task.test)
    files.write_labelled(Path("a/train.parquet"), toy_task.train)
    files.write_items(Path("a/items.parquet"), toy_task.items)
    labels = {row.sample.sample_id: row.liked for row in toy_task.valid}
    files.write_labels(Path("a/labels.parquet"), labels)
    assert files.read_samples(Path("a/test.parquet")) == toy_task.test
    assert files.read_labelled(Path("a/train.parquet")) == toy_task.train
    assert files.read_items(Path("a/items.parquet")) == toy_task.items
    assert files.read_labels(Path("a/labels.parquet")) == labels
    assert leftovers(repository) == []


def test_unlabelled_samples_hold_no_label(repository: Path, toy_task: FewShotTask) -> None:
    files.write_samples(Path("test.parquet"), toy_task.test)
    assert "liked" not in pq.read_schema("test.parquet").names


def test_an_empty_history_comes_back(repository: Path, toy_task: FewShotTask) -> None:
    lonely = replace(toy_task.test[0], history=())
    files.write_samples(Path("test.parquet"), [lonely])
    assert files.read_samples(Path("test.parquet")) == (lonely,)


def test_equal_events_are_read_as_one_object(repository: Path, toy_task: FewShotTask) -> None:
    files.write_labelled(Path("train.parquet"), toy_task.train)
    events = [event for row in files.read_labelled(Path("train.parquet")) for event in row.sample.history]
    assert len({id(event) for event in events}) == len(set(events)) < len(events)
    assert files.count_rows(Path("train.parquet")) == len(toy_task.train)


def test_a_history_without_all_of_its_likes_is_refused(repository: Path, toy_task: FewShotTask) -> None:
    files.write_samples(Path("test.parquet"), toy_task.test)
    table = pq.read_table("test.parquet")
    short = pa.array([likes[1:] for likes in table["history_liked"].to_pylist()], pa.list_(pa.bool_()))
    pq.write_table(
        table.set_column(table.schema.get_field_index("history_liked"), "history_liked", short), "test.parquet"
    )
    with pytest.raises(SchemaError, match="differ in length"):
        files.read_samples(Path("test.parquet"))


def test_the_same_content_gives_the_same_bytes(repository: Path, toy_task: FewShotTask) -> None:
    backwards = dict(reversed(toy_task.items.items()))
    files.write_items(Path("one.parquet"), toy_task.items)
    files.write_items(Path("two.parquet"), backwards)
    assert Path("one.parquet").read_bytes() == Path("two.parquet").read_bytes()


def test_scores_are_sorted_and_details_lie_beside_them(repository: Path) -> None:
    predictions = [Prediction("b", 0.25, {"n_updates": 5}), Prediction("a", 0.75)]
    files.write_predictions("predictions", CELL, predictions)
    folder = paths.cell_folder("predictions", CELL)
    assert list((files.read_scores("predictions", CELL) or {}).items()) == [("a", 0.75), ("b", 0.25)]
    assert pq.read_table(folder / "details.parquet").to_pydict() == {
        "sample_id": ["a", "b"],
        "n_updates": [None, 5.0],
    }
    assert leftovers(repository) == []


def test_a_second_write_replaces_the_first_wholly(repository: Path) -> None:
    files.write_predictions("predictions", CELL, [Prediction("a", 1.0, {"x": 1.0})])
    files.write_predictions("predictions", CELL, [Prediction("b", 2.0)])
    assert files.read_scores("predictions", CELL) == {"b": 2.0}
    assert not (paths.cell_folder("predictions", CELL) / "details.parquet").exists()


def test_a_cell_that_was_not_run_has_no_scores(repository: Path) -> None:
    assert files.read_scores("predictions", CELL) is None


def test_scores_of_another_shape_are_refused_by_name(repository: Path) -> None:
    path = paths.cell_folder("predictions", CELL) / "scores.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"id": ["a"]}), path)
    with pytest.raises(SchemaError, match=r"scores\.parquet: not a table of sample_id and score"):
        files.read_scores("predictions", CELL)
    path.write_bytes(b"no parquet")
    with pytest.raises(SchemaError, match=r"scores\.parquet"):
        files.read_scores("predictions", CELL)


def test_a_table_that_was_cut_is_named(repository: Path, toy_task: FewShotTask) -> None:
    path = repository / "samples.parquet"
    files.write_samples(path, toy_task.test)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SchemaError, match=r"samples\.parquet: not a whole table"):
        files.read_samples(path)
    path.write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(DataError, match=r"samples\.parquet: a pointer of git LFS"):
        files.read_samples(path)


def test_a_table_that_is_damaged_inside_is_named(repository: Path, toy_task: FewShotTask) -> None:
    path = repository / "samples.parquet"
    files.write_samples(path, toy_task.test)
    whole = path.read_bytes()
    path.write_bytes(whole[:10] + b"\xff" * 20 + whole[30:])  # in the first column
    with pytest.raises(SchemaError, match=r"samples\.parquet: not a whole table"):
        files.read_samples(path)
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    path.write_bytes(whole[:footer] + b"\xff" * 20 + whole[footer + 20 :])
    with pytest.raises(SchemaError, match=r"samples\.parquet: not a whole table"):
        files.count_rows(path)


def test_a_folder_that_fails_half_way_leaves_the_old_one(repository: Path) -> None:
    target = Path("out/folder")
    with files.replacing_folder(target) as folder:
        (folder / "a").write_text("old")

    def fail() -> None:
        with files.replacing_folder(target) as folder:
            (folder / "a").write_text("new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (target / "a").read_text() == "old"
    assert leftovers(repository) == []


def test_of_a_link_to_a_folder_what_it_points_to_is_replaced(repository: Path) -> None:
    (repository / "elsewhere").mkdir()
    (repository / "link").symlink_to("elsewhere")
    for content in ("old", "new"):
        with files.replacing_folder(Path("link")) as folder:
            (folder / "a").write_text(content)
    assert (repository / "elsewhere/a").read_text() == "new"
    assert (repository / "link").is_symlink()


def test_a_missing_artifact_is_named(repository: Path) -> None:
    with pytest.raises(MissingArtifactError, match=r"data/prepared/movie/test\.parquet: not there"):
        files.read_samples(Path("data/prepared/movie/test.parquet"))
    with pytest.raises(MissingArtifactError, match=r"seed0/draw\.json"):
        files.read_json(paths.draw_folder("movie", 16, 0) / "draw.json")


def test_cells_of_different_keys_have_different_folders() -> None:
    cells = [
        Cell(family, method, train, test, n_shots, seed)
        for family in paths.CELL_FOLDERS
        for method in ("m1", "m2")
        for train in ("movie", "book")
        for test in ("movie", "book")
        for n_shots in (16, 64)
        for seed in (0, 1)
        if family != "external" or train == test  # who trained elsewhere names the test domain alone
    ]
    assert len({paths.cell_folder("predictions", cell) for cell in cells}) == len(cells) == 4 * 32 + 16
