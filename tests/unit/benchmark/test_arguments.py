"""Command lines of stages: help that says what to write, and one line for what is wrong."""

from importlib import import_module
from pathlib import Path

import pytest

from benchmark.arguments import stage_arguments

STAGES = sorted(
    path.stem for path in (Path(__file__).parents[3] / "benchmark/stages").glob("*.py") if path.stem != "__init__"
)
DOCUMENTATION = "What it does.\n\nUsage: python -m benchmark.stages.tune --recipe rt --seed 0\n"


@pytest.mark.parametrize("stage", STAGES)
def test_help_says_what_the_stage_does_and_an_example_that_it_takes(
    stage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    module = import_module(f"benchmark.stages.{stage}")
    with pytest.raises(SystemExit, match=r"^0$"):
        module.main(["--help"])
    said = capsys.readouterr().out
    assert said.startswith(f"usage: python -m benchmark.stages.{stage} [-h]")
    assert f"Stage `{stage}`: " in said
    (example,) = (line for line in said.splitlines() if line.startswith("example: "))
    for option in (word for word in example.split() if word.startswith("--")):
        assert f"  {option}" in said  # with what it is


def test_values_have_their_types() -> None:
    given = ["--recipe", "rt", "--seed", "3"]
    found = stage_arguments(DOCUMENTATION, given, "recipe", "seed")
    assert (found.recipe, found.seed) == ("rt", 3)
    assert not stage_arguments(DOCUMENTATION, [], "partial").partial


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["--recipe", "rt"], "the following arguments are required: --seed"),
        (["--recipe", "other", "--seed", "3"], "argument --recipe: invalid choice: 'other'"),
        (["--recipe", "rt", "--seed", "x"], "argument --seed: invalid int value: 'x'"),
        (["--recipe", "rt", "--seed", "3", "--k", "4"], "unrecognized arguments: --k 4"),
    ],
)
def test_a_wrong_word_is_one_line_and_2(given: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        stage_arguments(DOCUMENTATION, given, "recipe", "seed")
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"python -m benchmark.stages.tune: error: {expected}")
