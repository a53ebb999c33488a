"""The runs that the regression gate compares, and its command: what it reads, prints and refuses."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmark.artifacts import files, paths
from benchmark.cli import app
from benchmark.config.params import Params
from benchmark.errors import DataError, MissingArtifactError, SchemaError
from benchmark.methods.configuration import merge_presets
from benchmark.schema import Cell, Prediction
from benchmark.stages import evaluate
from benchmark.statistics.estimates import INFLUENCE
from benchmark.statistics.influence_file import read_influence, write_influence
from benchmark.statistics.results import BETWEEN, MetricRow, read_rows, write_rows
from benchmark.verdicts.compared_run import named_run

ROOT = Path(__file__).parents[4]


def _rows(*aucs: float) -> list[MetricRow]:
    cells = [Cell("tuned", "tallrec-movie", "movie", "movie", 64, seed) for seed in range(len(aucs))]
    return [MetricRow(cell, "ok", auc, 0.5, 0.9, {}, 16, 1000) for cell, auc in zip(cells, aucs, strict=True)]


def _git(*arguments: str) -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *arguments], check=True, capture_output=True)


def _aucs(against: str) -> Sequence[float | None]:
    return [row.auc for row in named_run(against).rows]


def test_metrics_are_read_from_a_file_or_a_revision(repository: Path) -> None:
    write_rows(paths.METRICS_CSV, _rows(0.78, 0.82))
    _git("init", "-q")
    _git("add", "results")
    _git("commit", "-qm", "one")
    write_rows(paths.METRICS_CSV, _rows(0.68, 0.72))
    assert _aucs("HEAD") == _aucs("HEAD:results/metrics.csv") == [0.78, 0.82]
    assert _aucs("results/metrics.csv") == [0.68, 0.72]
    assert named_run("HEAD").test_rows == {}
    with pytest.raises(MissingArtifactError, match=r"^v0\.9: no file, and no git revision or experiment"):
        named_run("v0.9")
    Path("odd.csv").write_text("a,b\n")
    with pytest.raises(SchemaError, match=r"odd\.csv: expected the columns family"):
        named_run("odd.csv")
    # A revision with other metrics beside AUC can still be compared with.
    ours, none = f",{','.join(BETWEEN)},n_users", "," * (len(BETWEEN) + 1)
    other = paths.METRICS_CSV.read_text().replace(ours, ",one,two,n_users").replace(none, ",0.25,,")
    Path("other.csv").write_text(other)
    assert [row.others for row in named_run("other.csv").rows] == [{"one": 0.25, "two": None}] * 2
    Path("twice.csv").write_text(other.replace(",one,two,", ",two,two,"))
    with pytest.raises(SchemaError, match=r"twice\.csv: expected the columns family"):
        named_run("twice.csv")
    Path("infinite.csv").write_text(other.replace(",0.25,", ",inf,"))
    with pytest.raises(SchemaError, match=r"infinite\.csv: line 2: status ok, but a number is missing or not finite"):
        named_run("infinite.csv")
    Path("workbook.csv").write_bytes(b"PK\x03\x04")
    with pytest.raises(DataError, match=r"workbook\.csv: packed \(zip, as workbooks are too\)"):
        named_run("workbook.csv")
    Path("again.csv").write_text(other + other.splitlines()[1] + "\n")
    with pytest.raises(SchemaError, match=r"again\.csv: \S+ movie-movie k\d+ seed0 stands twice"):
        named_run("again.csv")
    assert repository.exists()


def test_metrics_of_a_folder_in_a_larger_repository_are_found(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = repository / "läufe/ours"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    write_rows(paths.METRICS_CSV, _rows(0.78, 0.82))
    _git("init", "-q", str(repository))
    _git("add", ".")
    _git("commit", "-qm", "one")
    assert _aucs("HEAD") == [0.78, 0.82]
    assert named_run("HEAD").name == "HEAD:läufe/ours/results/metrics.csv"


def test_a_table_that_a_spreadsheet_saved_is_read_or_refused_with_what_it_says(repository: Path) -> None:
    write_rows(Path("kept/metrics.csv"), _rows(0.78, 0.82))
    table = Path("kept/metrics.csv").read_text()
    Path("kept/metrics.csv").write_bytes(b"\xef\xbb\xbf" + table.encode())
    Path("kept/params.yaml").write_bytes(b"# caf\xe9\ndomains: {}\n")
    assert _aucs("kept/metrics.csv") == [0.78, 0.82]
    with pytest.raises(MissingArtifactError, match=r"^kept: no file, .*\(a folder: expected its kept/metrics\.csv\)$"):
        named_run("kept")
    Path("kept/metrics.csv").write_text(table.replace(",", ";"))
    with pytest.raises(SchemaError, match=r"expected the columns family, .*; got 'family;method;"):
        named_run("kept/metrics.csv")
    Path("kept/metrics.csv").write_text(table.replace(",ok\n", ",ok,0,5\n"))
    with pytest.raises(SchemaError, match=r"metrics\.csv: line 2: expected \d+ values, got more"):
        named_run("kept/metrics.csv")


@pytest.fixture
def in_both(finished_run: Path, params: Params, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished and evaluated run, and its results of before in `before/`, with and without its influences."""
    monkeypatch.setattr("benchmark.methods.configuration.load_config", lambda *_: params)
    assert evaluate.main([]) == 0
    for name in ("before", "alone"):
        Path(name).mkdir()
        shutil.copy(paths.METRICS_CSV, f"{name}/metrics.csv")
    shutil.copy(INFLUENCE, "before")
    return finished_run


def _run(*arguments: str, command: str = "check") -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [command, *arguments])
    return result.exit_code, result.stdout, result.stderr


def _turn_round(seeds: Sequence[int]) -> None:
    """No for Yes."""
    for seed in seeds:
        cell = Cell("tuned", "tallrec-movie", "movie", "movie", 16, seed)
        scores = files.read_scores("predictions", cell) or {}
        turned = [Prediction(sample_id, -score) for sample_id, score in scores.items()]
        files.write_predictions("predictions", cell, turned)
    assert evaluate.main([]) == 0


def test_the_command_is_green_on_the_same_results(in_both: Path) -> None:
    for folder in ("before", "alone"):
        code, out, _ = _run("--against", f"{folder}/metrics.csv")
        assert (code, out.splitlines()) == (0, [out.strip()])
        assert out.startswith("AUC and UAUC: ")
        assert out.endswith(" same\n")
    assert in_both.exists()


def test_the_command_is_red_when_a_scorer_reads_the_wrong_token(in_both: Path) -> None:
    _turn_round((0, 1))
    for folder, interval in (("before", "paired"), ("alone", "independent")):
        code, out, _ = _run("--against", f"{folder}/metrics.csv")
        assert code == 1
        red = [line.split() for line in out.splitlines()[:-1] if line.rstrip().endswith(" regression")]
        assert {tuple(line[:3]) for line in red} == {("tallrec-movie", "movie-movie", "k16")}
        assert {line[-2] for line in red} == {interval}
    assert in_both.exists()


def test_the_command_is_red_when_a_cell_is_missing(in_both: Path) -> None:
    shutil.rmtree(paths.cell_folder("predictions", Cell("baseline", "gru4rec", "movie", "movie", 16, 1)))
    assert evaluate.main(["--partial"]) == 0
    code, out, _ = _run("--against", "before/metrics.csv")
    assert code == 1
    (missing,) = [line for line in out.splitlines() if "missing: " in line]
    assert missing.split()[:5] == ["gru4rec", "movie-movie", "k16", "AUC", "2"]
    assert missing.rstrip().endswith("missing: 1 of 2 seeds")
    assert in_both.exists()


def test_misuse_is_one_line_and_exit_code_2(in_both: Path) -> None:
    Path("empty.csv").write_text(Path("before/metrics.csv").read_text().partition("\n")[0] + "\n")
    shutil.copy("before/influence.parquet", "alone")
    Path("alone/metrics.csv").write_text(Path("before/metrics.csv").read_text().replace("gru4rec", "other"))
    for arguments, message in (
        (("--against", "nothing"), "nothing: no file, and no git revision or experiment"),
        (("--against", "before/metrics.csv", "--alpha", "1.5"), "--alpha: expected a rate above 0 and below 0.5"),
        (("--against", "empty.csv"), "empty.csv: no cell with the status ok, so that nothing could turn the check red"),
        (("--against", "alone/metrics.csv"), "alone/influence.parquet: not the influences of the rows"),
    ):
        code, _, err = _run(*arguments)
        assert (code, err.count("\n")) == (2, 1), arguments
        assert message in err
    assert _run()[0] == 2
    paths.METRICS_CSV.unlink()
    assert "results/metrics.csv: not there" in _run("--against", "before/metrics.csv")[2]
    assert in_both.exists()


def test_influences_of_a_revision_are_found(in_both: Path) -> None:
    _git("init", "-q")
    _git("add", "results", "alone")
    _git("commit", "-qm", "results")
    _turn_round((1,))
    for against, interval in (("HEAD", "paired"), ("HEAD:alone/metrics.csv", "independent")):
        assert f" {interval} " in _run("--against", against)[1]
    assert in_both.exists()


@pytest.fixture
def looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone of what git holds here, after a `make look` that gave what docs/results/look has."""
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    monkeypatch.chdir(clone)
    _git("checkout", "-q", "-B", "main")
    shutil.copytree("docs/results/look", paths.LOOK / "results")
    # As a look of today writes it: what git keeps may lack keys that came later.
    shutil.copy(paths.PARAMS_YAML, paths.LOOK)
    merge_presets(["look"], paths.LOOK / paths.PARAMS_YAML, write=True)
    return clone


def test_after_a_look_a_fresh_clone_is_compared_with_the_look_that_git_keeps(looked: Path) -> None:
    code, out, err = _run("--against", "main")
    assert (code, err) == (0, "scratch/look/results/metrics.csv beside main:docs/results/look/metrics.csv\n")
    assert out.endswith(" same\n")
    assert len(out.splitlines()) == 1
    kept = looked / paths.LOOK / "results/metrics.csv"
    lines = [line for line in kept.read_text().splitlines() if ",sasrec-shared,movie,movie,16,4," not in line]
    kept.write_text("\n".join(lines) + "\n")
    code, out, _ = _run("--against", "main")
    assert code == 1
    assert "missing: 4 of 5 seeds" in out
    assert _run("main", command="compare")[1].splitlines()[:2] == ["A: main", "B: scratch/look/results/metrics.csv"]


def _on_other_rows(folder: Path) -> None:
    """Let the influences of a run say that they are of other test rows."""
    estimates, digests = read_influence(folder / INFLUENCE, read_rows(folder / paths.METRICS_CSV))
    write_influence(folder / INFLUENCE, estimates, {name: f"not {digest}" for name, digest in digests.items()})


def test_generated_data_are_not_compared_with_real_ones(looked: Path) -> None:
    _on_other_rows(paths.LOOK)
    merge_presets(["data/embedded"], paths.LOOK / paths.PARAMS_YAML, write=True)
    for name in ("docs/results/look/metrics.csv", "main:docs/results/look/metrics.csv"):
        refused = (
            f"{name} and scratch/look/results/metrics.csv: other rows of movie (domains.movie.source: official, "
            "embedded; domains.movie.n_samples: 10000, 3000): generated data and real ones cannot be compared\n"
        )
        assert _run("--against", name)[::2] == (2, f"scratch/look/results/metrics.csv beside {name}\nerror: {refused}")
        assert _run(name, command="compare")[::2] == (2, f"error: {refused}")
    assert "none is of look data/embedded, but of " in _run("--against", "main")[2]
    # Which `params.yaml` lies there by now says nothing where the digests do.
    shutil.copytree(looked / "docs/results/look", paths.LOOK / "results", dirs_exist_ok=True)
    assert _run("--against", "docs/results/look/metrics.csv")[0] == 0


def test_other_test_rows_are_told_with_what_makes_them_differ(in_both: Path) -> None:
    shutil.copy(ROOT / paths.PARAMS_YAML, in_both)
    shutil.copy(ROOT / paths.PARAMS_YAML, "before")
    assert "other rows" not in _run("--against", "before/metrics.csv")[2]
    _on_other_rows(Path())
    changed = (in_both / paths.PARAMS_YAML).read_text().replace("selection: released", "selection: described")
    (in_both / paths.PARAMS_YAML).write_text(changed)
    told = (
        "before/metrics.csv and results/metrics.csv: other rows of movie (domains.movie.selection: released, "
        "described); users are taken to be others"
    )
    code, _, err = _run("--against", "before/metrics.csv")
    assert (code, told in err.splitlines()) == (0, True)
    assert f"{told}." in _run("before/metrics.csv", command="compare")[1].splitlines()
    # Without influences, their number says it.
    text = Path("alone/metrics.csv").read_text()
    assert "other rows" not in _run("--against", "alone/metrics.csv")[2]
    Path("alone/metrics.csv").write_text(text.replace(",60,ok", ",61,ok"))
    assert (
        "alone/metrics.csv and results/metrics.csv: other rows of book; users"
        in _run("--against", "alone/metrics.csv")[2]
    )


def test_a_run_that_git_keeps_none_like_is_told_which_there_are(looked: Path) -> None:
    shutil.copy(looked / "params.yaml", looked / paths.LOOK)
    merge_presets(["paper"], looked / paths.LOOK / "params.yaml", write=True)
    code, _, err = _run("--against", "main")
    assert code == 2
    assert "no results/metrics.csv, and of the runs in docs/results none is of paper llm/llama-7b, but of " in err
    assert "look" in err.split("but of ")[1]
    Path("docs/results/look/entry.json").write_text("[]")
    _git("commit", "-qam", "broken")
    code, _, err = _run("--against", "main")
    assert (code, "main:docs/results/look/entry.json: no presets" in err) == (2, True)


def test_an_experiment_is_found_by_its_name_as_dvc_keeps_it(in_both: Path) -> None:
    _git("init", "-q")
    _git("add", "results")
    _git("commit", "-qm", "before")
    _turn_round((0, 1))
    _git("add", "results")
    _git("commit", "-qm", "experiment")
    _git("update-ref", "refs/exps/5d/2add3/turned", "HEAD")
    _git("reset", "-q", "--hard", "HEAD~1")
    code, out, _ = _run("HEAD", "turned", command="compare")
    lines = out.splitlines()
    assert (code, lines[:2]) == (0, ["A: HEAD", "B: turned"])
    worse = [line.split()[:4] for line in lines if line.endswith("  worse")]
    assert ["tallrec-movie", "movie-movie", "k16", "AUC"] in worse
    assert {line.split()[0] for line in lines if " paired " in line} == {"tallrec-movie"}  # only what changed
    assert "  better\n" in _run("turned", "--html", "page.html", command="compare")[1]  # with this folder
    assert "<svg" in Path("page.html").read_text()
    assert in_both.exists()
