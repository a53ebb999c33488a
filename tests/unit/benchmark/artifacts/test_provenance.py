import json
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from benchmark.artifacts import provenance
from benchmark.schema import Cell

CELL = Cell("baseline", "gru4rec", "movie", "movie", 16, 0)
RECORD = Path("runs/baseline/movie-movie/gru4rec/gru4rec/k16/seed0.json")


@pytest.fixture(autouse=True)
def fresh_look_at_git() -> Iterator[None]:
    provenance._commit.cache_clear()
    yield
    provenance._commit.cache_clear()


def git(*arguments: str) -> str:
    identity = ["-c", "user.name=Toy", "-c", "user.email=toy@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *identity, *arguments], check=True, capture_output=True, text=True).stdout.strip()


def record_of(cell: Cell = CELL) -> dict[str, object]:
    with provenance.recorded(cell, {"learning_rate": 0.1}):
        pass
    return json.loads(provenance.run_file(cell).read_text())


def test_a_record_says_what_was_run_and_what_it_took(repository: Path) -> None:
    with provenance.recorded(CELL, {"b": 1, "a": 2.5}) as notes:
        notes.update(n_train=16, n_updates=100)
        assert not RECORD.exists()
    record = json.loads(RECORD.read_text())
    assert record["cell"] == {
        "family": "baseline",
        "method": "gru4rec",
        "train_domain": "movie",
        "test_domain": "movie",
        "n_shots": 16,
        "seed": 0,
    }
    assert (record["n_train"], record["n_updates"]) == (16, 100)
    assert record["settings_sha256"] == provenance.digest({"a": 2.5, "b": 1})
    assert record["wall_seconds"] >= 0
    assert record["peak_memory_bytes"] > 2**20
    assert record["versions"]["numpy"]
    assert record["device"]
    assert datetime.fromisoformat(record["started_at"]).utcoffset().total_seconds() == 0


def test_what_is_measured_wins_over_a_note_of_the_same_name(repository: Path) -> None:
    with provenance.recorded(CELL, {}) as notes:
        notes["wall_seconds"] = -1
    assert json.loads(RECORD.read_text())["wall_seconds"] >= 0


def test_a_run_that_fails_leaves_no_record(repository: Path) -> None:
    with pytest.raises(ZeroDivisionError), provenance.recorded(CELL, {}):
        raise ZeroDivisionError
    assert not Path("runs").exists()


def test_different_settings_have_different_digests() -> None:
    assert provenance.digest({"a": 1}) != provenance.digest({"a": 2})
    assert provenance.digest({"a": 1, "b": 2}) == provenance.digest({"b": 2, "a": 1})


def test_outside_git_commit_and_dirty_flag_are_unknown(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(repository.parent))
    record = record_of()
    assert (record["commit"], record["is_dirty"]) == (None, None)


def test_a_commit_of_a_repository_around_the_folder_is_none_of_the_record(
    repository: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    git("init")
    git("commit", "--allow-empty", "-m", "Other work")
    for folder in ("unzipped", "scratch"):
        Path(folder).mkdir()
    Path("unzipped/dvc.yaml").write_text("stages: {}\n")
    monkeypatch.chdir("unzipped")
    assert record_of()["commit"] is None
    assert "no commit: git knows that of a repository around this folder" in caplog.text
    monkeypatch.chdir("../scratch")  # such as that of `look`, where the code is that of the repository
    provenance._commit.cache_clear()
    assert record_of()["commit"] == git("rev-parse", "HEAD")


@pytest.mark.parametrize("name", ["GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"])
def test_what_points_git_to_another_repository_changes_no_record(
    name: str, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git("init")
    Path("dvc.yaml").write_text("stages: {}\n")
    git("add", ".")
    git("commit", "-m", "Start")
    git("init", "other")
    git("-C", "other", "commit", "--allow-empty", "-m", "Other work")
    other = {"GIT_DIR": "other/.git", "GIT_INDEX_FILE": "other/.git/index", "GIT_WORK_TREE": "other"}
    expected = git("rev-parse", "HEAD")
    monkeypatch.setenv(name, str(repository / other[name]))  # as git sets it for a hook of the other one
    record = record_of()
    assert (record["commit"], record["is_dirty"]) == (expected, False)


def test_a_repository_without_a_commit_is_told_as_such(repository: Path, caplog: pytest.LogCaptureFixture) -> None:
    git("init")
    assert record_of()["commit"] is None
    assert "does not have any commits yet" in caplog.text


def test_a_git_that_cannot_compare_is_told(
    repository: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    git("init")
    git("commit", "--allow-empty", "-m", "Start")
    Path(".git/index").write_bytes(b"broken")
    record = record_of()
    assert (record["commit"], record["is_dirty"]) == (git("rev-parse", "HEAD"), None)
    assert "do not say whether the code is that of" in caplog.text


def test_a_machine_without_git_still_gets_a_record(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert record_of()["commit"] is None


def test_only_code_makes_a_record_dirty(repository: Path) -> None:
    git("init")
    Path("params.yaml").write_text("grid: {}\n")
    Path("dvc.lock").write_text("schema: '2.0'\n")
    git("add", ".")
    git("commit", "-m", "Start")
    Path("dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    Path("results").mkdir()
    Path("results/metrics.csv").write_text("auc\n")
    clean = record_of()
    assert (clean["commit"], clean["is_dirty"]) == (git("rev-parse", "HEAD"), False)

    Path("tallrec").mkdir()
    Path("tallrec/dvc.lock").write_text("schema: '2.0'\n")
    provenance._commit.cache_clear()
    assert record_of()["is_dirty"] is False

    # The values that decide a result are in its record, and most runs have others than git.
    provenance._commit.cache_clear()
    Path("params.yaml").write_text("grid: {n_shots: [1]}\n")
    assert record_of()["is_dirty"] is False

    provenance._commit.cache_clear()
    Path("dvc.yaml").write_text("stages: {}\n")
    assert record_of()["is_dirty"] is True


@pytest.mark.parametrize("shown", ["normal", "no"])
def test_a_new_file_of_code_makes_a_record_dirty(repository: Path, shown: str) -> None:
    git("init")
    git("config", "status.showUntrackedFiles", shown)  # "no" in large checkouts, where looking for files is slow
    Path("params.yaml").write_text("grid: {}\n")
    git("add", ".")
    git("commit", "-m", "Start")
    Path("baselines").mkdir()
    Path("baselines/caser.py").write_text("")
    assert record_of()["is_dirty"] is True


def test_git_is_asked_once_a_process(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[str]] = []
    real = subprocess.run

    def asked(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        return real(command, **options)

    monkeypatch.setattr(provenance.subprocess, "run", asked)
    record_of()
    n_calls = len(calls)
    record_of()
    assert len(calls) == n_calls > 0
