"""A name on the command line of a stage that `params.yaml` does not have is one line, and nothing is written."""

import importlib
import shutil
from pathlib import Path

import pytest

PARAMS_YAML = Path(__file__).parents[4] / "params.yaml"


@pytest.mark.parametrize(
    ("stage", "arguments", "said"),
    [
        ("raw", ["--domain", "movies"], "domains: 'movies' is not one of movie, "),
        ("prepare", ["--domain", "movies"], "domains: 'movies' is not one of movie, "),
        ("encode", ["--domain", "movies"], "domains: 'movies' is not one of movie, "),
        ("controls", ["--domain", "movies"], "domains: 'movies' is not one of movie, "),
        ("baselines", ["--baseline", "mf", "--domain", "movies"], "domains: 'movies' is not one of movie, "),
        ("baselines", ["--baseline", "mg", "--domain", "movie"], "baselines.models: 'mg' is not one of "),
        ("icl", ["--model", "bass", "--prompt", "released"], "grid.icl_models: 'bass' is not one of "),
        ("others", ["--model", "bass", "--prompt", "released"], "grid.other_models: 'bass' is not one of "),
        ("probe", ["--variant", "tallrec"], "probe.variants: 'tallrec' is not one of tallrec-movie"),
        ("efficiency", ["--configuration", "9bit"], "efficiency.configurations: '9bit' is not one of "),
        ("memorised", ["--domain", "movies"], "memory.domains: 'movies' is not one of "),
    ],
)
def test_a_name_that_params_yaml_does_not_have_is_one_line(
    repository: Path, capsys: pytest.CaptureFixture[str], stage: str, arguments: list[str], said: str
) -> None:
    shutil.copy(PARAMS_YAML, repository / "params.yaml")
    assert importlib.import_module(f"benchmark.stages.{stage}").main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {said}")
    assert error.count("\n") == 1
    assert [path.name for path in repository.iterdir()] == ["params.yaml"]
