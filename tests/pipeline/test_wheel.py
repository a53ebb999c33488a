"""The wheel, built from the sdist without a network: what it holds, and what its command says elsewhere."""

import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PACKAGES = ("benchmark", "baselines", "tallrec")
PIP = (sys.executable, "-m", "pip")


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run in `folder`, with nothing in the environment that would put other modules on the path."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def tracked() -> list[str]:
    done = run(ROOT, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    return [name for name in filter(None, done.stdout.split("\0")) if (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    for name in tracked():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    done = run(folder, sys.executable, "-c", "from setuptools.build_meta import build_sdist; build_sdist('dist')")
    assert done.returncode == 0, done.stderr[-3000:]
    return next((folder / "dist").glob("*.tar.gz"))


@pytest.fixture(scope="module")
def wheel(sdist: Path) -> Path:
    done = run(sdist.parent, *PIP, "--quiet", "wheel", "--no-deps", "--no-build-isolation", "--no-index", str(sdist))
    assert done.returncode == 0, done.stderr[-3000:]
    return next(sdist.parent.glob("*.whl"))


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment with the wheel alone; what it requires comes from the environment of the tests."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    done = run(folder, *PIP, "--quiet", "--python", str(python), "install", "--no-deps", "--no-index", str(wheel))
    assert done.returncode == 0, done.stderr[-3000:]
    here = next(path for path in map(Path, sys.path) if (path / "pydantic").is_dir())
    site = next(folder.glob("lib/python*/site-packages"))
    (site / "required.pth").write_text(f"{here}\n")  # behind the wheel; links in it to this repository are not followed
    return folder / "bin"


def test_the_wheel_holds_the_packages_and_all_of_their_files(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == {name for name in tracked() if name.split("/")[0] in PACKAGES}


def test_the_sdist_holds_what_the_wheel_is_built_from(sdist: Path):
    with tarfile.open(sdist) as archive:
        parts = {name.split("/")[1] for name in archive.getnames() if "/" in name}
    generated = {"PKG-INFO", "setup.cfg", "tallrec_bench.egg-info"}
    assert parts - generated == {*PACKAGES, "LICENSE", "MANIFEST.in", "README.md", "pyproject.toml"}


def test_outside_the_repository_doctor_says_what_is_lacking(programs: Path, tmp_path: Path):
    done = run(tmp_path, str(programs / "tallrec-bench"), "doctor")
    assert done.returncode == 1, done.stderr
    said = " ".join(done.stdout.split())
    assert "constraints.txt: not there; run in the repository root" in said
    assert ".dvc/ is not here; run in the repository root" in said
    assert str(programs.parent) in "".join(done.stdout.split()), "the code is the wheel's"


@pytest.mark.parametrize(
    "arguments",
    [
        ["use", "smoke"],
        ["validate"],
        ["plan"],
        ["check", "--against", "x"],
        ["export", "released", "movie", "--out", "x"],
    ],
)
def test_outside_the_repository_a_verb_is_refused_in_one_line(programs: Path, tmp_path: Path, arguments: list[str]):
    done = run(tmp_path, str(programs / "tallrec-bench"), *arguments)
    assert (done.returncode, done.stderr) == (2, "error: params.yaml: no such file; run from the repository root\n")
    assert not list(tmp_path.iterdir())


def test_in_a_repository_the_command_of_the_wheel_works_and_is_told_from_its_own_code(programs: Path, sdist: Path):
    copy = sdist.parents[1]
    command = str(programs / "tallrec-bench")
    assert run(copy, command, "validate").stdout == "params.yaml: valid\n"
    assert run(copy, command, "use", "--check", "smoke").returncode == 0
    done = run(copy, command, "doctor")
    assert "while stages run that of this folder" in " ".join(done.stdout.split())
    assert done.returncode == 1
