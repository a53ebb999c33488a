"""A first look: what stops it, and what it leaves alone."""

import shutil
from pathlib import Path

import pytest

from benchmark.artifacts.paths import MIRROR_VARIABLE
from benchmark.errors import BenchmarkError, ConfigError
from benchmark.look import look

ROOT = Path(__file__).parents[3]


@pytest.fixture
def params_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The committed configuration in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    return Path("params.yaml")


def test_a_misspelled_key_is_named_in_its_own_file_and_nothing_is_written(params_yaml: Path) -> None:
    params_yaml.write_text(params_yaml.read_text().replace("  n_shots:", "  n_shot:"))
    with pytest.raises(ConfigError, match=r"^params\.yaml: grid\.n_shot: unknown key"):
        look(Path("scratch/look"), ["look"], print)
    assert not Path("scratch").exists()


def test_a_wrong_file_of_a_mirror_stops_it_and_is_not_replaced_by_generated_data(
    params_yaml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = params_yaml.read_bytes()
    for name in ("u.data", "u.item"):
        path = Path("mirror/ml-100k") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1\t1\t5\t1\n")
    monkeypatch.setenv(MIRROR_VARIABLE, "mirror")
    with pytest.raises(BenchmarkError, match=r"^raw movie: ml-100k/u\.data .*sha256 is"):
        look(Path("scratch/look"), ["look"], print)
    assert params_yaml.read_bytes() == before
    assert not Path("scratch/look/data/raw/movie").exists()
