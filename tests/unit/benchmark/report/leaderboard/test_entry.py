"""Entries of the leaderboard: made of a kept run, whole or refused, and compared on one page."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmark.artifacts import files, paths
from benchmark.artifacts.provenance import run_file
from benchmark.config.params import Params
from benchmark.errors import ConfigError, DataError, MissingArtifactError, SchemaError
from benchmark.methods.running import rows_digest
from benchmark.report.kept import ESTIMATES, METRICS, RECORDS, SCORES, grid_cells, keep
from benchmark.report.leaderboard.board import tables
from benchmark.report.leaderboard.entry import ENTRY, read_entries, read_entry, submit
from benchmark.report.leaderboard.page import LEADERBOARD, write_leaderboard
from benchmark.schema import Cell
from benchmark.stages import evaluate
from benchmark.verdicts.paper import load_paper

REPOSITORY = Path(__file__).parents[5]
FOLDER = Path("docs/results/small")


@pytest.fixture
def kept(finished_run: Path, params: Params, once: Callable[[str, Callable[[], object]], None]) -> Path:
    """A kept run, in the place of an entry."""
    once("kept", lambda: _keep(params))
    return finished_run / FOLDER


def _keep(params: Params) -> None:
    shutil.copy(REPOSITORY / paths.PARAMS_YAML, paths.PARAMS_YAML)
    for cell in grid_cells(params):
        digest = rows_digest(files.read_samples(paths.test_file(cell.test_domain)))
        record = {"cell": {name: getattr(cell, name) for name in Cell.__slots__}, "test_sha256": digest}
        measured = {"commit": "0" * 40, "is_dirty": False, "device": "a device", "wall_seconds": 2.0}
        files.write_json(
            run_file(cell), record | measured | {"started_at": "2026-11-01T10:00:00+00:00", "versions": {}}
        )
    assert evaluate.main([]) == 0
    keep(FOLDER, params, ["icl", "tuned"])


def test_a_submitted_run_is_whole_and_says_where_it_comes_from(kept: Path) -> None:
    entry = submit(FOLDER, "somebody", "a note")
    told = json.loads((kept / ENTRY).read_text())
    assert (told["by"], told["note"], told["commits"], told["days"]) == (
        "somebody",
        "a note",
        ["0" * 40],
        ["2026-11-01"],
    )
    assert set(told["sha256"]) == {path.name for path in kept.iterdir()} - {ENTRY}
    assert read_entry(FOLDER).rows == entry.rows
    assert {row.status for row in entry.rows} == {"ok"}


def test_a_run_without_scores_has_a_record_of_every_cell(kept: Path) -> None:
    (kept / SCORES).unlink()
    with pytest.raises(SchemaError, match=r"records\.parquet: no record of random"):
        submit(FOLDER, "somebody")


def _lines(change: Callable[[list[str]], list[str]], name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text("\n".join(change((folder / name).read_text().splitlines())) + "\n")


def _records(change: Callable[[list[str]], list[str]]) -> Callable[[Path], object]:
    def damage(folder: Path) -> None:
        texts = pq.read_table(folder / RECORDS)["record"].to_pylist()
        pq.write_table(pa.table({"record": change(texts)}), folder / RECORDS)

    return damage


def _scores(column: str, change: Callable[[list[Any]], list[Any]]) -> Callable[[Path], object]:
    def damage(folder: Path) -> None:
        columns = pq.read_table(folder / SCORES).to_pydict()
        pq.write_table(pa.table({**columns, column: change(columns[column])}), folder / SCORES)

    return damage


def _no_estimate(lines: list[str]) -> list[str]:
    return [re.sub(r",auc,0\.\d+", ",auc,0.9", line) for line in lines]


DAMAGES: list[tuple[Callable[[Path], object], str]] = [
    (_records(lambda texts: texts[1:]), "records.parquet: no record of"),
    (_records(lambda texts: [*texts, "{"]), "no record of a cell"),
    (_lines(lambda lines: lines[:-1], METRICS), "has no row in metrics.csv"),
    (_lines(lambda lines: [x.replace(",60,ok", ",61,ok") for x in lines], METRICS), "60 scores, .* says 61"),
    (_lines(_no_estimate, ESTIMATES), "estimates.csv: auc of"),
    (_lines(lambda lines: lines[:-1], ESTIMATES), "estimates.csv: no .*, which influence.parquet has"),
    (
        _lines(lambda lines: [lines[0].replace("metric", "what"), *lines[1:]], ESTIMATES),
        "line 2: no estimate of a method",
    ),
    (_lines(lambda lines: [*lines, "control,random"], ESTIMATES), "estimates.csv: line .*: no estimate of a method"),
    (_lines(lambda lines: [], ESTIMATES), "estimates.csv: no auc"),
    (_records(lambda texts: [text.replace("started_at", "began_at") for text in texts]), "started_at of .*, got None"),
    (
        _records(lambda texts: [re.sub('"versions": {.*?}', '"versions": null', t) for t in texts]),
        "versions of .*, got None",
    ),
    (_records(lambda texts: [text.replace("2.0", '"2"') for text in texts]), "wall_seconds of .*, got '2'"),
    (_scores("sample_id", lambda ids: ["user 7", *ids[1:]]), "'user 7': expected the number of a row"),
    (_scores("sample_id", lambda ids: [None, *ids[1:]]), "None: expected the number of a row"),
    (_scores("sample_id", lambda ids: [7 + row for row in range(len(ids))]), "7: expected the number of a row"),
    (_scores("sample_id", lambda ids: [ids[1], *ids[1:]]), "sample 'movie-.*' of .* stands twice"),
    (_scores("score", lambda scores: [None, *scores[1:]]), "a score that is not a finite number"),
    (_scores("score", lambda scores: [*map(str, scores)]), "a score that is not a finite number"),
    (_records(lambda texts: [t.replace('"a device"', "[1]") for t in texts]), r"device of .*, got \[1\]"),
    (_records(lambda texts: [t.replace(f'"{"0" * 40}"', "{}") for t in texts]), "commit of .*, got {}"),
    (_records(lambda texts: [t.replace("2026-11-01T", "yesterday ") for t in texts]), "started_at of .*, got 'yest"),
    (_records(lambda texts: [t.replace("2.0", "NaN") for t in texts]), "wall_seconds of .*, got nan"),
    (_lines(lambda lines: [re.sub(r",0\.(\d\d)", r",\1.", line) for line in lines], METRICS), "expected 0 to 1"),
]


def test_what_does_not_fit_together_is_refused(kept: Path) -> None:
    whole = kept.with_name("whole")
    shutil.copytree(kept, whole)
    for damage, said in DAMAGES:
        damage(kept)
        with pytest.raises((SchemaError, DataError), match=said):
            submit(FOLDER, "somebody")
        assert not (kept / ENTRY).exists()
        shutil.rmtree(kept)
        shutil.copytree(whole, kept)


def test_a_file_that_changes_after_its_submission_is_found(kept: Path) -> None:
    submit(FOLDER, "somebody")
    with (kept / ESTIMATES).open("a") as stream:
        stream.write("\n")
    with pytest.raises(SchemaError, match=r"estimates\.csv: not the file that was submitted"):
        read_entry(FOLDER)


def test_a_checkout_with_the_line_ends_of_windows_has_the_same_bytes(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=Toy", "-c", "user.email=toy@example.org", "-c", "core.autocrlf=true"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    for path in (".gitattributes", "docs/results/look/metrics.csv", "docs/results/look/influence.parquet"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / path, tmp_path / path)
    before = {path: path.read_bytes() for path in (tmp_path / "docs").rglob("*.*")}
    git("init")
    git("add", ".")
    git("commit", "-m", "Start")
    shutil.rmtree(tmp_path / "docs")
    git("checkout", ".")
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize(
    ("key", "value"), [("sha256", None), ("confidence", 95), ("n_shots", 64), ("days", None), ("commits", "abc")]
)
def test_a_value_of_another_kind_is_named(kept: Path, key: str, value: object) -> None:
    submit(FOLDER, "somebody")
    files.write_json(kept / ENTRY, json.loads((kept / ENTRY).read_text()) | {key: value})
    with pytest.raises(SchemaError, match=rf"entry\.json: {key}: .*, got {value!r}"):
        read_entry(FOLDER)


def test_what_desktops_and_spreadsheets_leave_takes_no_entry_away(kept: Path) -> None:
    (kept / ESTIMATES).write_bytes(b"\xef\xbb\xbf" + (kept / ESTIMATES).read_bytes())
    submit(FOLDER, "somebody")
    (kept / ".DS_Store").touch()
    assert read_entry(FOLDER).provenance["by"] == "somebody"


def test_an_entry_of_a_machine_without_a_name_is_shown(kept: Path) -> None:
    _records(lambda texts: [text.replace('"a device"', "null") for text in texts])(kept)
    submit(FOLDER, "somebody")
    write_leaderboard(check=False)
    assert "unknown" in LEADERBOARD.read_text()


def test_an_entry_says_who_ran_it(kept: Path) -> None:
    with pytest.raises(ConfigError, match="--by: expected who ran it"):
        submit(FOLDER, " ")
    assert not (kept / ENTRY).exists()


def test_a_kept_run_that_was_never_submitted_names_the_command_and_hidden_folders_are_none(kept: Path) -> None:
    (kept.parent / ".ipynb_checkpoints").mkdir()
    with pytest.raises(
        MissingArtifactError, match=r"entry\.json: not there; `tallrec-bench submit docs/results/small`"
    ):
        read_entries()
    submit(FOLDER, "somebody")
    assert len(read_entries()) == 1


def test_the_page_compares_every_method_with_the_best_rule_on_the_same_users(kept: Path) -> None:
    entry = submit(FOLDER, "somebody")
    assert not write_leaderboard(check=True)
    assert not LEADERBOARD.exists()
    assert not write_leaderboard(check=False)
    assert write_leaderboard(check=True)
    html = LEADERBOARD.read_text()
    left = Cell("tuned", "tallrec-movie", "movie", "movie", 16, 0)
    right = Cell("control", "liked_share", "movie", "movie", 0, 0)
    difference = entry.estimates.difference(left, right)
    assert difference is not None
    movie = html[html.index('<section id="movie">') : html.index('<section id="movie-extended">')]
    row = next(part for part in movie.split("<tbody")[1:] if "TALLRec (tiny LM)</label>" in part)
    assert f"<td>{100 * difference.value:+.1f}<small>" in row
    assert "<td>2 s</td>" in row
    assert "run: small throughout" in movie
    assert "60 rows of 6 users, generated data" in movie


def test_nothing_published_stands_beside_generated_rows_however_many_they_are(kept: Path) -> None:
    entry, paper = submit(FOLDER, "somebody"), load_paper()
    same_size = replace(paper, test_rows={"movie": 60})
    assert kept.exists()
    for source, is_there in (("embedded", False), ("official", True)):
        files.write_bytes(FOLDER / paths.PARAMS_YAML, f"domains: {{movie: {{source: {source}}}}}".encode())
        movie = next(table for table in tables([entry], same_size) if table.id == "movie")
        assert ("TALLRec (LLaMA-7B), paper" in [row.name for row in movie.rows]) == is_there


def test_other_rows_of_the_same_name_have_a_table_of_their_own() -> None:
    """The further movie test set of `look` has four rows of each user, that of the runs of language models has two."""
    entries = read_entries(REPOSITORY / "docs/results")
    titles = {table.id: table.title for table in tables(entries, load_paper())}
    assert titles["movie-extended"] == "Test set movie-extended: 1,670 rows of 835 users"
    assert titles["movie-extended-2"] == "Test set movie-extended: 3,340 rows of 835 users"
    are_generated = ["generated" in title for title in titles.values()]
    assert (next(iter(titles)), are_generated) == ("movie", sorted(are_generated))
    assert titles["ml-1m"] == [title for title in titles.values() if "generated" not in title][-1]
    movie = next(table for table in tables(entries, load_paper()) if table.id == "movie")
    assert "TALLRec (LLaMA-7B), paper" in [row.name for row in movie.rows]
    assert {row.entries[-1].text for row in movie.rows} > {"look", "gemma-3-270m", "the paper"}
    assert {row.entries[-1].href for row in movie.rows} > {"results/look", "results/gemma-3-270m", ""}
