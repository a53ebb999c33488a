"""`tallrec-bench repro` around the real DVC: what it prints, how it counts, and its exit code."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.config.pipeline import unfolded
from benchmark.config.reading import read_yaml
from benchmark.repro import n_stages, repro

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
STAGES = """stages:
  first:
    matrix: {domain: '${grid.domains}'}
    cmd: echo of ${item.domain} > ${item.domain}.txt
    outs: ['${item.domain}.txt']
  last:
    cmd: test -f movie.txt && sleep 2
    deps: [movie.txt, book.txt]
"""


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three stages, without git."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    Path("dvc.yaml").write_text(STAGES)
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q", "--no-scm"], check=True)
    return tmp_path


def test_each_stage_is_told_with_its_number_and_silence_is_broken(
    pipeline: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmark.repro.EVERY_SECONDS", 0.5)
    assert repro([]) == 0
    out, err = capfd.readouterr()
    assert "Running stage 'first@movie':" in out
    lines = [line.partition(",")[0] for line in err.splitlines() if line.startswith("stage ")]
    assert list(dict.fromkeys(line.split(" (")[0] for line in lines)) == [f"stage {n} of 3" for n in (1, 2, 3)]
    assert {line.split(" (")[1] for line in lines} == {"first@movie)", "first@book)", "last)"}
    assert lines.count("stage 3 of 3 (last)") > 2
    assert repro(["--quiet"]) == 0
    assert capfd.readouterr().err == ""


def test_what_is_up_to_date_is_counted_and_a_failure_is_passed_on(
    pipeline: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert repro(["first"]) == 0
    Path("dvc.yaml").write_text(STAGES.replace("sleep 2", "exit 3"))
    capfd.readouterr()
    assert repro(["last"]) != 0
    _, err = capfd.readouterr()
    assert "stage 3 of 3 (last)" in err


@pytest.mark.parametrize("n_free", [0, 2**30])
def test_a_full_disk_is_told_since_dvc_waits_without_a_word(
    pipeline: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, n_free: int
) -> None:
    Path("dvc.yaml").write_text("stages:\n  long:\n    cmd: sleep 1\n")
    monkeypatch.setattr("benchmark.repro.EVERY_SECONDS", 0.2)
    usage = shutil.disk_usage(pipeline)._replace(free=n_free)
    monkeypatch.setattr("benchmark.repro.shutil.disk_usage", lambda _: usage)
    assert repro([]) == 0
    assert ("the disk of this folder is full; DVC may wait" in capfd.readouterr().err) == (n_free == 0)


@pytest.mark.skipif(sys.platform != "linux", reason="a stage dies with DVC where the kernel offers it")
@pytest.mark.parametrize("sigint", [signal.default_int_handler, signal.SIG_IGN], ids=["foreground", "background"])
def test_whoever_ends_it_ends_dvc_and_the_stage(pipeline: Path, sigint: Callable[..., object] | int) -> None:
    Path("dvc.yaml").write_text("stages:\n  long:\n    cmd: echo $$ > number && exec sleep 60\n")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    program = "import sys; from benchmark.repro import repro; sys.exit(repro([]))"
    former = signal.signal(signal.SIGINT, sigint)
    with subprocess.Popen([sys.executable, "-c", program], env=environment) as process:
        signal.signal(signal.SIGINT, former)
        while not (Path("number").exists() and (number := Path("number").read_text().strip())):
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 128 + signal.SIGTERM
    for _ in range(100):
        if not Path("/proc", number).exists():
            return
        time.sleep(0.1)
    pytest.fail("the stage goes on")


def test_the_stages_that_make_the_model_are_counted_where_one_needs_it() -> None:
    params = read_yaml(ROOT / "params.yaml")
    without = {
        **params,
        "grid": {**params["grid"], "recipes": [], "icl_models": []},
        "efficiency": {"configurations": []},
    }
    without["probe"] = {"variants": []}
    of_all = [stage.name for stage in unfolded(ROOT, params)]
    assert n_stages(ROOT, params) == len(of_all)
    assert sum("tune@" in name for name in of_all) == 24
    assert n_stages(ROOT, without) == len([*unfolded(ROOT, without)]) - 2
