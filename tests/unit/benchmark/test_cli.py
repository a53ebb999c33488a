"""The command line: what it prints, its exit codes, and that a failed command changes nothing."""

import importlib.metadata
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from typer.testing import CliRunner

from benchmark.cli import app
from benchmark.config.overlays import preset_text
from benchmark.config.pipeline import stage_counts
from benchmark.doctor.machine import Finding, findings
from benchmark.errors import ConfigError

ROOT = Path(__file__).parents[3]


@pytest.fixture
def params_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the committed `params.yaml` in the current folder."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copy(ROOT / "params.yaml", tmp_path / "params.yaml"))


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.stdout, result.stderr


def test_use_says_what_changed_and_smoke_takes_it_back(params_yaml: Path):
    before = params_yaml.read_bytes()
    code, out, _ = run("use", "paper")
    assert code == 0
    assert "grid.seeds: [0, 1] -> [0, 1, 2, 3, 4]" in out
    assert "llm.model: tiny -> huggyllama/llama-7b" in out
    assert run("use", "smoke")[0] == 0
    assert params_yaml.read_bytes() == before


def test_repro_outside_the_repository_or_of_wrong_values_is_one_line(params_yaml: Path):
    params_yaml.write_text(params_yaml.read_text().replace("\ngrid:", "\ngird:"))
    assert run("repro") == (2, "", "error: params.yaml: gird: unknown key, did you mean 'grid'?\n")
    params_yaml.unlink()
    assert run("repro") == (2, "", "error: params.yaml: no such file; run from the repository root\n")


def test_the_later_preset_wins(params_yaml: Path):
    assert run("use", "paper", "llm/smollm2-135m")[0] == 0
    assert "model: HuggingFaceTB/SmolLM2-135M" in params_yaml.read_text()


def test_use_says_where_a_commit_has_to_be_looked_up(params_yaml: Path):
    code, out, err = run("use", "llm/qwen3-0.6b-base")
    assert (code, "llm.model: tiny -> Qwen/Qwen3-0.6B-Base" in out) == (0, True)
    assert (err.count("\n"), "llm.revision: expected the commit of Qwen/Qwen3-0.6B-Base" in err) == (1, True)
    assert "model: Qwen/Qwen3-0.6B-Base" in params_yaml.read_text()
    for command in ("validate", "plan"):
        code, _, err = run(command)
        assert (code, err.endswith("run `tallrec-bench pin`; or name a folder that is there\n")) == (2, True)


def test_check_writes_nothing_and_tells_by_its_exit_code(params_yaml: Path):
    before = params_yaml.read_bytes()
    assert run("use", "--check", "smoke")[0] == 0
    assert run("use", "--check", "paper")[0] == 1
    assert params_yaml.read_bytes() == before


def test_an_unknown_preset_is_one_line(params_yaml: Path):
    before = params_yaml.read_bytes()
    code, _, err = run("use", "smoke", "papr")
    assert (code, err.count("\n")) == (2, 1)
    assert "did you mean 'paper'?" in err
    assert params_yaml.read_bytes() == before


def test_a_result_that_is_not_valid_is_not_written(params_yaml: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("benchmark.config.overlays.preset_text", lambda _: "grid:\n  seeds: [one]\n")
    before = params_yaml.read_bytes()
    code, _, err = run("use", "paper")
    assert code == 2
    assert "grid.seeds.0" in err
    assert params_yaml.read_bytes() == before
    assert sorted(path.name for path in params_yaml.parent.iterdir()) == ["params.yaml"]


@pytest.mark.usefixtures("params_yaml")
def test_validate_accepts_the_committed_file():
    assert run("validate")[0] == 0


def test_validate_names_file_and_key(params_yaml: Path):
    params_yaml.write_text(params_yaml.read_text().replace("n_shots:", "n_shot:", 1))
    code, _, err = run("validate")
    assert (code, err) == (2, "error: params.yaml: grid.n_shot: unknown key, did you mean 'n_shots'?\n")


def test_plan_tells_every_stage_of_what_presets_would_ask_and_writes_nothing(params_yaml: Path):
    before = params_yaml.read_bytes()
    code, out, _ = run("plan", "look", "--tokens", "16")
    assert code == 0
    lines = [line.split()[0] for line in out.splitlines() if line.startswith(" ")]
    stages = lines[lines.index("stage") :]
    assert stages == [
        "stage",
        *("raw", "prepare", "draw", "encode", "controls", "baselines", "evaluate", "report"),
        "all",
    ]
    assert "cells: " in out
    assert params_yaml.read_bytes() == before


def test_use_ends_with_cells_an_estimate_and_the_next_command(params_yaml: Path):
    del params_yaml
    code, out, _ = run("use", "look")
    cells, estimate, following = out.splitlines()[-3:]
    assert code == 0
    assert cells.endswith("control, 120 baseline")
    assert re.fullmatch(
        r"about \d+ (s|minutes) here if idle, .*\(estimated; `tallrec-bench plan` measures this machine\)", estimate
    )
    assert following == "next: make repro"
    assert run("use", "smoke", "paper")[1].splitlines()[-1] == "next: HF_HUB_OFFLINE=0 make repro"
    assert run("use", "llm/qwen3-0.6b-base")[1].splitlines()[-1] == "next: tallrec-bench pin"


def test_stages_are_counted_over_their_matrix():
    pipeline = {"stages": {"one": {"cmd": "x"}, "many": {"matrix": {"a": "${grid.seeds}", "b": ["x", "y"]}}}}
    assert stage_counts(pipeline["stages"], {"grid": {"seeds": [0, 1, 2]}}) == {"one": 1, "many": 6}
    with pytest.raises(ConfigError, match="a matrix axis is no list"):
        stage_counts(pipeline["stages"], {"grid": {}})


def test_doctor_names_what_it_looked_at():
    code, out, _ = run("doctor")
    assert code in (0, 1)
    assert all(subject in out for subject in ("Python", "packages", "cores", "memory", "GPU", "DVC", "mirror"))


def test_doctor_tells_other_code_than_that_of_the_stages(tmp_path: Path):
    assert _found("code", ROOT).is_fine
    assert _found("code", tmp_path).is_fine, "there are no stages"
    (tmp_path / "benchmark").mkdir()
    assert not _found("code", tmp_path).is_fine


def test_doctor_tells_where_git_knows_no_commit_in_its_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert _found("git", ROOT).is_fine
    lacking = _found("git", tmp_path)
    assert not lacking.is_fine
    assert "no commit: fatal: not a git repository" in lacking.found
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    owned = _found("git", ROOT)
    assert not owned.is_fine
    assert "no commit: fatal: detected dubious ownership in repository" in owned.found


def test_doctor_tells_the_commit_of_a_repository_around_it_from_its_own(tmp_path: Path):
    around = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"]
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "x"]):
        subprocess.run([*around, *words], check=True)
    (tmp_path / "unzipped").mkdir()
    (tmp_path / "unzipped" / "dvc.yaml").write_text("stages: {}\n")
    found = _found("git", tmp_path / "unzipped")
    assert not found.is_fine
    assert "a repository around this folder" in found.found


def test_doctor_misses_a_package_that_a_run_needs(monkeypatch: pytest.MonkeyPatch):
    def version_without_torch(name: str) -> str:
        if name in ("torch", "pytest"):
            raise importlib.metadata.PackageNotFoundError(name)
        return importlib.metadata.version(name)

    monkeypatch.setattr("benchmark.doctor.machine.version", version_without_torch)
    found = _found("packages", ROOT)
    assert not found.is_fine
    assert "no torch" in found.found
    assert "pytest" not in found.found, "it is a constraint alone"


def test_doctor_names_every_package_of_a_run(monkeypatch: pytest.MonkeyPatch):
    def nothing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("benchmark.doctor.machine.version", nothing)
    asked = [Requirement(line) for line in importlib.metadata.requires("tallrec-bench") or ()]
    wanted = {canonicalize_name(one.name) for one in asked if not one.marker}
    assert {"ruamel-yaml", "torch"} <= wanted
    assert set(re.findall(r"no ([\w-]+)", _found("packages", ROOT).found)) == wanted


def test_doctor_says_that_nothing_is_installed(monkeypatch: pytest.MonkeyPatch):
    def missing(name: str) -> list[str]:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("benchmark.doctor.machine.requires", missing)
    found = _found("packages", ROOT)
    assert (found.found, found.is_fine) == ("tallrec-bench: not installed; make install", False)


def _found(subject: str, root: Path) -> Finding:
    return next(finding for finding in findings(root) if finding.subject == subject)


def test_a_sweep_without_dvc_on_the_path_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    code, _, err = run("sweep")
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith("error: dvc: no such program on PATH")


@pytest.mark.parametrize("options", [("--workers", "0"), ("--workers", "-1"), ("--gpus", "-1")])
def test_a_sweep_without_workers_is_refused(options: tuple[str, str]):
    code, _, err = run("sweep", *options)
    assert code == 2
    assert f"Invalid value for '{options[0]}'" in err


def test_help_needs_no_heavy_package():
    script = (
        "import sys; from benchmark.cli import app; app(['--help'], standalone_mode=False);"
        "print([name for name in ('torch', 'pyarrow', 'pandas', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_preset_text_is_read_as_it_lies():
    assert preset_text("real-cpu") == (ROOT / "benchmark/config/presets/real-cpu.yaml").read_text()


def test_the_version_is_that_of_the_package() -> None:
    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.output) == (0, f"tallrec-bench {importlib.metadata.version('tallrec-bench')}\n")


def test_what_may_be_named_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    done = CliRunner().invoke(app, ["list"])
    lines = dict(line.split(": ", 1) for line in done.output.splitlines())
    assert done.exit_code == 0
    assert lines["domains"] == "movie, book, ml-1m"
    assert {"real-cpu", "look", "llm/gemma-3-270m"} <= set(lines["presets"].split(", "))
    assert "liked_share" in lines["controls"].split(", ")
    assert "beats_baselines" in lines["claims"].split(", ")
